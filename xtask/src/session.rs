//! An installation and a copy of the app that exist for one run.
//!
//! [`Session::end`] is called whatever happened. It uses Skep's own command to stop everything, as a
//! user would; what is still there after that is a defect: it is killed, and said.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::demo;
use crate::http;
use crate::interrupt;
use crate::place::Place;
use crate::step::{Stop, Tried, announce, expect, output, say, say_raw};

/// How long processes may take to be gone after the command that stops them came back, or after
/// they were killed: the kernel's time to tear them down on a loaded machine.
const GONE_LIMIT: Duration = Duration::from_secs(20);

/// Between two looks at a level that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// An installation, an app and an address.
pub(crate) struct Session {
    pub(crate) app: PathBuf,
    pub(crate) address: String,
    root: PathBuf,
    home: PathBuf,
    skep: PathBuf,
    uv: Option<PathBuf>,
}

impl Session {
    pub(crate) fn begin(place: &Place, skep: PathBuf, uv: Option<PathBuf>) -> Result<Self, Stop> {
        let root = place.target.join(format!("demo-check-{}", std::process::id()));
        let app = root.join("guestbook");
        copy_app(&place.source.join("examples/guestbook"), &app)?;
        // Free now; whoever takes it in the next moment makes the check fail, not pass.
        let listener = TcpListener::bind("127.0.0.1:0").tried("find a free port")?;
        let address = listener.local_addr().tried("find a free port")?.to_string();
        Ok(Self { home: root.join("home"), app, address, root, skep, uv })
    }

    /// Runs a command that must work; returns what it printed.
    pub(crate) fn skep(&self, arguments: &[&str]) -> Result<String, Stop> {
        let (status, text) = self.run(arguments)?;
        expect(status == Some(0), || {
            format!("`skep {}` ended with {status:?}", arguments.join(" "))
        })?;
        Ok(text)
    }

    /// Runs a command that must fail with this code and say this.
    pub(crate) fn skep_fails(&self, arguments: &[&str], code: i32, says: &str) -> Result<(), Stop> {
        let (status, text) = self.run(arguments)?;
        let command = arguments.join(" ");
        expect(status == Some(code), || {
            format!("`skep {command}` ended with {status:?}, not {code}")
        })?;
        expect(text.contains(says), || format!("`skep {command}` does not say {says:?}"))
    }

    fn run(&self, arguments: &[&str]) -> Result<(Option<i32>, String), Stop> {
        interrupt::check()?;
        say(format_args!("\n$ skep {}", arguments.join(" ")));
        let output = output(&mut self.command(arguments))?;
        let text = [output.stdout, output.stderr].concat();
        say_raw(&text);
        // It is in our process group and ended early if Ctrl-C was typed.
        interrupt::check()?;
        Ok((output.status.code(), String::from_utf8_lossy(&text).into_owned()))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = demo::skep_command(&self.skep, &self.home, self.uv.as_deref());
        command.args(arguments).current_dir(&self.app);
        command
    }

    /// Looks at the first page; it must be there and contain this.
    pub(crate) fn page(&self, contains: &str) -> Result<(), Stop> {
        let answer = http::get(&self.address, "/").tried("get the page")?;
        let (status, bytes) = (answer.status, answer.body.len());
        say(format_args!("  GET / {status} in {bytes} bytes, looking for {contains:?}"));
        expect(answer.status == 200 && answer.body.contains(contains), || {
            format!("GET / was answered {} without {contains:?}:\n{}", answer.status, answer.body)
        })
    }

    /// Replaces text in one of the app's files.
    pub(crate) fn edit(&self, file: &str, old: &str, new: &str) -> Result<(), Stop> {
        let path = self.app.join(file);
        let text = fs::read_to_string(&path).tried(format_args!("read {}", path.display()))?;
        expect(text.contains(old), || format!("{file} does not contain {old:?}"))?;
        say(format_args!("  {file}: {old} -> {new}"));
        fs::write(&path, text.replace(old, new)).tried(format_args!("write {}", path.display()))
    }

    /// Stops and removes everything, whatever state it is in.
    pub(crate) fn end(&self) -> Result<(), Stop> {
        announce("tidy up");
        let stopped = demo::stop(&self.skep, &self.home).map(|said| say_raw(&said));
        let left = self.wait_until_gone();
        for process in &left {
            interrupt::kill_now(process.pid);
        }
        let survived = self.wait_until_gone();
        // Artifacts are not writable, not even by their owner.
        let _ = Command::new("chmod").args(["-R", "u+rwX"]).arg(&self.root).status();
        fs::remove_dir_all(&self.root).tried(format_args!("remove {}", self.root.display()))?;
        for (which, processes) in [("left", left), ("could not even be killed", survived)] {
            expect(processes.is_empty(), || {
                let all: Vec<String> = processes.into_iter().map(|one| one.command).collect();
                format!("processes were {which}:\n  {}", all.join("\n  "))
            })?;
        }
        stopped
    }

    /// Waits until no process of the installation is there; returns those that still are.
    fn wait_until_gone(&self) -> Vec<Process> {
        let deadline = Instant::now() + GONE_LIMIT;
        loop {
            let left = self.processes();
            if left.is_empty() || Instant::now() >= deadline {
                return left;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Returns the processes of this installation: its paths are in their environment, command
    /// line or working directory. No other process has them, they contain our process id.
    fn processes(&self) -> Vec<Process> {
        let home = self.home.to_string_lossy().into_owned();
        let text = |path: PathBuf| {
            fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
        };
        let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
        entries
            .map(|entry| entry.path())
            .filter_map(|process| {
                let pid: u32 = process.file_name()?.to_str()?.parse().ok()?;
                let command = text(process.join("cmdline"));
                let here =
                    fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&home));
                let ours = here
                    || command.contains(&home)
                    || text(process.join("environ")).contains(&home);
                let command = format!("{pid} {}", command.replace('\0', " "));
                (ours && pid != std::process::id()).then_some(Process { pid, command })
            })
            .collect()
    }
}

/// A process of the session's installation.
struct Process {
    pid: u32,
    command: String,
}

/// Copies the app without what running it by hand leaves there.
fn copy_app(from: &Path, to: &Path) -> Result<(), Stop> {
    let tried = || format!("copy {}", from.display());
    fs::create_dir_all(to).tried(tried())?;
    for entry in fs::read_dir(from).tried(tried())? {
        let entry = entry.tried(tried())?;
        let (path, name) = (entry.path(), entry.file_name());
        if ["__pycache__", "build", "var", "venv"].iter().any(|left| name == *left) {
            continue;
        }
        if path.is_dir() {
            copy_app(&path, &to.join(name))?;
        } else {
            fs::copy(&path, to.join(name)).tried(tried())?;
        }
    }
    Ok(())
}
