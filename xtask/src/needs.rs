//! What each command needs beyond git, a C compiler and Rust, and how it gets there.
//!
//! Nothing is installed before it was said what and why. Where we may not install, the exact
//! command is printed instead.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::{is_root, others_may_enter};
use crate::step::{Stop, announce, output, run, succeeds, typed};

/// One thing that must be there.
pub(crate) struct Need {
    /// What it is called in messages.
    name: &'static str,
    /// How one sees that it is there.
    present: Present,
    /// The Debian package that brings it.
    package: &'static str,
    /// What it is for.
    why: &'static str,
}

enum Present {
    /// A program in `PATH`.
    Program(&'static str),
    /// Modules that `python3` can import.
    Python(&'static str),
    /// A file.
    File(&'static str),
}

const PYTHON: &[Need] = &[
    Need {
        name: "python3",
        present: Present::Program("python3"),
        package: "python3",
        why: "runs the example apps",
    },
    Need {
        name: "python3 -m venv",
        present: Present::Python("venv, ensurepip"),
        package: "python3-venv",
        why: "makes environments for test servers",
    },
    Need {
        name: "python3 -m pip",
        present: Present::Python("pip"),
        package: "python3-pip",
        why: "installs uv, which builds Python apps",
    },
    Need {
        name: "certificates",
        present: Present::File("/etc/ssl/certs/ca-certificates.crt"),
        package: "ca-certificates",
        why: "package downloads over https",
    },
];

const PEERS: &[Need] = &[
    Need {
        name: "wrk",
        present: Present::Program("wrk"),
        package: "wrk",
        why: "makes the load that is measured",
    },
    Need {
        name: "hyperfine",
        present: Present::Program("hyperfine"),
        package: "hyperfine",
        why: "times commands",
    },
    Need {
        name: "nginx",
        present: Present::Program("nginx"),
        package: "nginx-light",
        why: "the peer that the proxy is measured beside",
    },
    Need {
        name: "runit",
        present: Present::Program("runsvdir"),
        package: "runit",
        why: "the peer that restarts are measured beside",
    },
];

/// What demo and tests need.
pub(crate) fn for_apps() -> Result<(), Stop> {
    ensure(PYTHON)
}

/// What measurements need.
pub(crate) fn for_benchmarks() -> Result<(), Stop> {
    ensure(PYTHON.iter().chain(PEERS))
}

fn ensure(needs: impl IntoIterator<Item = &'static Need>) -> Result<(), Stop> {
    let missing: Vec<&Need> = needs.into_iter().filter(|need| !need.is_present()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        announce(format_args!("missing: {} (package {}), {}", need.name, need.package, need.why));
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let [mut update, mut install] = apt(&[], &packages);
    let by_hand = format!("apt-get update && apt-get install {}", packages.join(" "));
    if !succeeds(Command::new("apt-get").arg("--version")) {
        let names: Vec<&str> = missing.iter().map(|need| need.name).collect();
        return Err(Stop::Missing(format!(
            "this machine has no apt-get; install these with its own package manager: {}",
            names.join(", ")
        )));
    }
    if !is_root() {
        if !succeeds(Command::new("sudo").args(["-n", "true"])) {
            return Err(Stop::Missing(format!("install them first, as root:\n\n  {by_hand}\n")));
        }
        [update, install] = apt(&["sudo", "-n"], &packages);
    }
    announce(format_args!("installing: {}", typed(&install)));
    run(&mut update)?;
    run(&mut install)?;
    match missing.iter().find(|need| !need.is_present()) {
        None => Ok(()),
        Some(need) => Err(Stop::Missing(format!(
            "{} is still missing after installing the package {}; is another one earlier in PATH?",
            need.name, need.package
        ))),
    }
}

/// Returns the commands that refresh the package lists and install packages.
fn apt(prefix: &[&str], packages: &[&str]) -> [Command; 2] {
    let command = |words: &[&str]| {
        let mut all = prefix.to_vec();
        all.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes"]);
        all.extend(words);
        let mut command = Command::new(all[0]);
        command.args(&all[1..]);
        command
    };
    let mut install = command(&["install", "--no-install-recommends"]);
    install.args(packages);
    [command(&["update"]), install]
}

impl Need {
    fn is_present(&self) -> bool {
        match self.present {
            Present::Program(program) => find(program).is_some(),
            Present::Python(modules) => {
                succeeds(Command::new("python3").arg("-c").arg(format!("import {modules}")))
            }
            Present::File(path) => Path::new(path).exists(),
        }
    }
}

/// Returns where a program is in `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Debian keeps servers in sbin, which an ordinary user's PATH does not name.
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// The uv that is installed for tests: the one that `release::tools` installs for users.
const UV_VERSION: &str = "0.13.8";

/// Returns the directory of a uv program that all users can run; `None` if there is one in `PATH`.
///
/// Skep would install its own into each new home, and hundreds of tests make one.
pub(crate) fn uv(tools: &Path) -> Result<Option<PathBuf>, Stop> {
    if find("uv").is_some_and(|uv| is_new_enough(&uv) && (!is_root() || others_may_enter(&uv))) {
        return Ok(None);
    }
    let target = tools.join("uv");
    let directory = target.join("bin");
    if !is_new_enough(&directory.join("uv")) {
        let (requirement, path) = (format!("uv=={UV_VERSION}"), target.display());
        announce(format_args!(
            "installing {requirement} into {path} with pip: it builds Python apps"
        ));
        run(Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--upgrade", "--target"])
            .arg(&target)
            .arg(&requirement)
            // In a directory of its own nothing of the system's can break.
            .env("PIP_ROOT_USER_ACTION", "ignore"))?;
    }
    Ok(Some(directory))
}

/// Returns whether Skep would use this uv: it takes none of an older series than its own.
fn is_new_enough(uv: &Path) -> bool {
    output(Command::new(uv).arg("--version")).is_ok_and(|said| {
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        said.split(' ').nth(1).and_then(series) >= series(UV_VERSION)
    })
}

/// Returns the first two numbers of a version.
fn series(version: &str) -> Option<[u32; 2]> {
    let mut numbers = version.split('.').map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next()?.ok()?])
}

/// Returns our `PATH` with one more directory in front.
pub(crate) fn path_with(first: Option<&Path>) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = first.map(Path::to_owned).into_iter().chain(std::env::split_paths(&path));
    // Only a colon inside a directory's name can make this fail.
    std::env::join_paths(all).unwrap_or_else(|_| OsStr::to_owned(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_use_the_uv_that_users_get() {
        let tools = crate::place::clone().join("crates/release/src/tools.rs");
        let text = std::fs::read_to_string(tools).unwrap();
        let [major, minor] = series(UV_VERSION).unwrap();
        for line in [
            format!("pub const UV_VERSION: &str = \"{UV_VERSION}\";"),
            format!("pub const MINIMUM_UV: [u32; 2] = [{major}, {minor}];"),
        ] {
            assert!(text.contains(&line), "crates/release/src/tools.rs has no line `{line}`");
        }
    }

    #[test]
    fn what_is_no_version_is_older_than_all() {
        assert!(series("0.13.8") > series("0.9.30"));
        assert!(series("0.13.8 (x86_64)") >= series(UV_VERSION));
        assert!(series("uv") < series(UV_VERSION));
        assert!(!is_new_enough(Path::new("/no/uv")));
    }
}
