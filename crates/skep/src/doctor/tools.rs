//! The programs builds use.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use home::Home;
use tokio::process::Command;

use super::Check;

/// How long a program may take to say its version.
const VERSION_MAX: Duration = Duration::from_secs(10);

pub(super) async fn checks(home: &Home) -> Vec<Check> {
    vec![python().await, uv(home).await, git().await]
}

async fn python() -> Check {
    const ASK: &str = "import platform, sys; print(sys.executable, platform.python_version())";
    let Some(program) = find("python3") else {
        return Check::warning("python", "no python3 in PATH").hint(
            "apt install python3 python3-pip, or let uv install one: requires-python in the project",
        );
    };
    let Some(answer) = first_line(&program, &["-c", ASK]).await else {
        return Check::warning("python", format!("{} does not run", program.display()));
    };
    let (executable, version) = answer.rsplit_once(' ').unwrap_or((&answer, "unknown"));
    let text = format!("{version} at {executable}");
    match closed_to_others(Path::new(executable)) {
        Some(closed) if rustix::process::geteuid().is_root() => Check::warning(
            "python",
            format!("{text}, which apps' own users may not run ({} is closed)", closed.display()),
        )
        .hint("builds take another interpreter: a system Python, or one of uv's below SKEP_HOME"),
        _ => Check::ok("python", text),
    }
}

async fn uv(home: &Home) -> Check {
    let own = home.tools().join(format!("uv-{}/bin/uv", release::UV_VERSION));
    let program = if own.is_file() { Some(own) } else { find("uv") };
    match program {
        Some(program) => match first_line(&program, &["--version"]).await {
            Some(version) => Check::ok("uv", format!("{version} at {}", program.display())),
            None => Check::warning("uv", format!("{} does not run", program.display())),
        },
        None => Check::ok("uv", "not here yet: the first build of a Python app installs it"),
    }
}

async fn git() -> Check {
    let Some(program) = find("git") else {
        return Check::warning("git", "no git in PATH: releases do not say which commit they are")
            .hint("apt install git");
    };
    match first_line(&program, &["--version"]).await {
        Some(version) => Check::ok("git", version.trim_start_matches("git version ").to_owned()),
        None => Check::warning("git", format!("{} does not run", program.display())),
    }
}

/// Returns where a program is, as a shell would find it.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|program| {
        fs::metadata(program)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

async fn first_line(program: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(VERSION_MAX, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}

/// Returns the outermost part of a path that other users may not pass through, or execute.
pub(super) fn closed_to_others(program: &Path) -> Option<PathBuf> {
    let real = program.canonicalize().ok()?;
    let closed = |path: &&Path| {
        fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o001 == 0)
    };
    real.ancestors().filter(closed).last().map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_directory_above_a_program_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("open/python3");
        fs::create_dir(program.parent().unwrap()).unwrap();
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        // The outermost one is named; where tests run may lie below one already.
        let closed = closed_to_others(&program).unwrap();
        assert!(directory.path().canonicalize().unwrap().starts_with(&closed), "{closed:?}");
    }
}
