//! Tests of testinfra (`pytest-testinfra`, on PyPI), unmodified.
//!
//! testinfra enters containers with `docker exec [-u USER] NAME COMMAND…`. The machine is one to it: a program called
//! `docker`, first in its PATH, goes into the machine instead. So tests run with this machine's Python and need nothing
//! in the tree but a shell and what they ask for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ::kitchen::machine::{ENTER, Machine};
use disk::{DiskError, PathContext};
use report::{Failure, Kind};

use super::open::{Chosen, disk_failure};
use crate::error::Result;
use crate::output::Output;
use crate::parts;

/// The interpreter; a virtual environment that is active has its own.
const PYTHON: &str = "python3";

/// Returns the tests in a directory, sorted.
pub(super) fn tests(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_test = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("test_") && path.extension().is_some_and(|extension| extension == "py")
    };
    let mut tests: Vec<_> = entries.map(|entry| entry.path()).filter(is_test).collect();
    tests.sort();
    tests
}

/// Runs tests; what they print is progress.
pub(super) fn run(
    chosen: &Chosen<'_>,
    machine: &Machine,
    tests: &[PathBuf],
    output: &Output,
) -> Result<()> {
    let has_it = Command::new(PYTHON)
        .args(["-c", "import pytest, testinfra"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !has_it.is_ok_and(|status| status.success()) {
        let message =
            format!("the tests of {} need testinfra, which {PYTHON} has not", chosen.name);
        return Err(Failure::new(Kind::Unavailable, message)
            .hint("pip install pytest-testinfra")
            .into());
    }
    let tools = chosen.instance.tools();
    docker(&tools, machine, &parts::executable()?).map_err(|error| disk_failure(&error))?;
    let mut search = tools.into_os_string();
    search.push(":");
    search.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new(PYTHON);
    command
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .arg(format!("--hosts=docker://{}", chosen.name))
        .args(tests)
        .env("PATH", search)
        // Nothing is left in the repository.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null());
    match super::inside::run(command, output)? {
        0 => Ok(()),
        code => Err(Failure::new(Kind::Failed, format!("testinfra failed on {}", chosen.name))
            .cause(format!("pytest ended with {code}"))
            .hint(format!("skep kitchen:login {}    to look around", chosen.name))
            .into()),
    }
}

/// Writes the program that testinfra takes for docker.
fn docker(tools: &Path, machine: &Machine, executable: &Path) -> Result<(), DiskError> {
    disk::create_directories(tools, 0o700)?;
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', "'\\''"));
    let text = format!(
        "#!/bin/sh\n\
         # docker exec [-u USER] NAME COMMAND...\n\
         shift\n\
         user=root\n\
         if [ \"$1\" = -u ]; then user=$2; shift 2; fi\n\
         shift\n\
         exec {} {ENTER} {} exec --user \"$user\" -- \"$@\"\n",
        quoted(executable),
        quoted(machine.directory()),
    );
    let path = tools.join("docker");
    fs::write(&path, text).context("write", &path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).context("set the mode of", &path)
}
