//! The systemd unit of the agent.
//!
//! The unit's main process is `skep agent:start --foreground`: it has the agent's shim started,
//! waits, and on SIGTERM stops the agent. `KillMode=process` keeps systemd's hands off everything
//! else in the unit's cgroup, which are the services; `Delegate=yes` lets Skep make cgroups there.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use home::Home;
use report::{Failure, Kind};
use tokio::process::Command;

use crate::error::{Result, usage};

/// How long systemctl may take: a stop waits for the agent's grace.
const SYSTEMCTL_MAX: Duration = Duration::from_secs(120);

/// The unit of one installation.
#[derive(Debug)]
pub(crate) struct Unit {
    home: PathBuf,
    name: String,
    path: PathBuf,
    manager: Manager,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    System,
    User,
}

impl Unit {
    /// Returns the unit of an installation; it need not exist.
    pub(crate) fn of(home: &Home) -> Result<Self> {
        let manager =
            if rustix::process::geteuid().is_root() { Manager::System } else { Manager::User };
        let directory = match manager {
            Manager::System => PathBuf::from("/etc/systemd/system"),
            Manager::User => user_directory()?,
        };
        let name = unit_name(home.root(), std::env::var_os("SKEP_HOME").is_some());
        Ok(Self { home: home.root().to_owned(), path: directory.join(&name), name, manager })
    }

    /// Returns its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns its file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns how systemctl is called for it.
    pub(crate) fn systemctl(&self) -> &'static str {
        match self.manager {
            Manager::System => "systemctl",
            Manager::User => "systemctl --user",
        }
    }

    /// Returns whether the service manager that would run it runs (sd_booted(3)).
    pub(crate) fn manager_runs(&self) -> bool {
        let user_bus = || {
            std::env::var_os("XDG_RUNTIME_DIR")
                .is_some_and(|runtime| Path::new(&runtime).join("systemd").is_dir())
        };
        Path::new("/run/systemd/system").is_dir() && (self.manager == Manager::System || user_bus())
    }

    /// Returns a shell command that runs `skep ACTION` for this installation.
    pub(crate) fn command(&self, program: &Path, action: &str) -> String {
        format!("SKEP_HOME={} {} {action}", self.home.display(), program.display())
    }

    /// Returns its text.
    pub(crate) fn text(&self, program: &Path) -> String {
        let wanted_by = match self.manager {
            Manager::System => "multi-user.target",
            Manager::User => "default.target",
        };
        let network = match self.manager {
            Manager::System => "Wants=network-online.target\nAfter=network-online.target\n",
            Manager::User => "",
        };
        format!(
            "# Written by `skep agent:install`. Stopping this unit stops the agent, no service.\n\
             [Unit]\n\
             Description=Skep agent ({home})\n\
             {network}\
             StartLimitIntervalSec=0\n\
             \n\
             [Service]\n\
             Type=exec\n\
             Environment={environment}\n\
             ExecStart={program} agent:start --foreground\n\
             Restart=always\n\
             RestartSec=2\n\
             KillMode=process\n\
             Delegate=yes\n\
             TimeoutStopSec=90\n\
             \n\
             [Install]\n\
             WantedBy={wanted_by}\n",
            home = escaped(&self.home.display().to_string()),
            environment = quoted(&format!("SKEP_HOME={}", self.home.display())),
            program = quoted(&program.display().to_string()),
        )
    }

    /// Writes it.
    pub(crate) fn write(&self, program: &Path) -> Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        disk::create_directories(directory, 0o755)
            .and_then(|()| disk::write_atomically(&self.path, self.text(program).as_bytes(), 0o644))
            .map_err(|error| Failure::from_error(Kind::Failed, &error).into())
    }

    /// Has the manager read it, start it, and start it at every boot.
    pub(crate) async fn enable(&self) -> Result<()> {
        self.control(&["daemon-reload"]).await?;
        self.control(&["enable", "--now", &self.name]).await
    }

    /// Stops it, and with it the agent.
    pub(crate) async fn stop(&self) -> Result<()> {
        self.control(&["stop", &self.name]).await
    }

    /// Returns whether the manager keeps the agent running now.
    pub(crate) async fn is_active(&self) -> bool {
        self.path.is_file()
            && self.manager_runs()
            && self.control(&["is-active", "--quiet", &self.name]).await.is_ok()
    }

    /// Returns whether a user unit would end with the user's last session.
    pub(crate) async fn needs_linger(&self) -> bool {
        if self.manager == Manager::System {
            return false;
        }
        let user = rustix::process::geteuid().as_raw().to_string();
        let mut command = Command::new("loginctl");
        command.args(["show-user", "--property=Linger", "--value", &user]);
        match tokio::time::timeout(SYSTEMCTL_MAX, command.kill_on_drop(true).output()).await {
            Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).trim() != "yes",
            _ => true,
        }
    }

    async fn control(&self, arguments: &[&str]) -> Result<()> {
        let shown = format!("{} {}", self.systemctl(), arguments.join(" "));
        let mut command = Command::new("systemctl");
        if self.manager == Manager::User {
            command.arg("--user");
        }
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        let failed = Failure::new(Kind::Failed, format!("`{shown}` failed"));
        match tokio::time::timeout(SYSTEMCTL_MAX, command.output()).await {
            Ok(Ok(output)) if output.status.success() => Ok(()),
            Ok(Ok(output)) => {
                let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                Err(failed
                    .cause(if text.is_empty() { output.status.to_string() } else { text })
                    .into())
            }
            Ok(Err(error)) => Err(failed.because(&error).into()),
            Err(_) => {
                Err(failed.cause(format!("no answer in {} s", SYSTEMCTL_MAX.as_secs())).into())
            }
        }
    }
}

/// Returns `skep.service`, or a name of its own for an installation that `SKEP_HOME` names.
fn unit_name(home: &Path, named: bool) -> String {
    if !named || home == Home::root_installation().root() {
        return "skep.service".to_owned();
    }
    let mut words = String::new();
    for character in home.display().to_string().chars() {
        let keep = character.is_ascii_alphanumeric();
        match (keep, words.ends_with('-')) {
            (true, _) => words.push(character),
            (false, false) => words.push('-'),
            (false, true) => {}
        }
    }
    format!("skep-{}.service", words.trim_matches('-'))
}

fn user_directory() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".config")))
        .map(|config| config.join("systemd/user"))
        .ok_or_else(|| usage("there is no place for a user unit: HOME is not set").into())
}

/// Escapes what systemd would expand (`systemd.unit(5)`, specifiers).
fn escaped(text: &str) -> String {
    text.replace('%', "%%")
}

/// Returns one word of a command line or an assignment (`systemd.syntax(7)`).
fn quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-=+:@,".contains(&b);
    if text.bytes().all(plain) {
        return text.to_owned();
    }
    let text = escaped(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_installation_has_its_unit() {
        assert_eq!(unit_name(Path::new("/var/lib/skep"), true), "skep.service");
        assert_eq!(unit_name(Path::new("/home/a/.local/state/skep"), false), "skep.service");
        assert_eq!(unit_name(Path::new("/srv/skep.two/"), true), "skep-srv-skep-two.service");
    }

    #[test]
    fn words_are_quoted_where_they_must_be() {
        assert_eq!(quoted("/usr/bin/skep"), "/usr/bin/skep");
        assert_eq!(quoted("SKEP_HOME=/a b/100%\"$x"), "\"SKEP_HOME=/a b/100%%\\\"$x\"");
    }
}
