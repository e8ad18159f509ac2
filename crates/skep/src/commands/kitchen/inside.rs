//! Starting programs in an instance's machine: all of them go in through `kitchen-enter`.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use ::kitchen::inside::environment;
use ::kitchen::kitchen_file::{Planned, Runs};
use ::kitchen::machine::{ENTER, Machine, SHARED};
use report::{Failure, Kind};

use super::open::{Chosen, disk_failure};
use crate::error::{Error, Result};
use crate::output::{Format, Output};
use crate::parts;

/// Returns an instance's machine; fails if there is none.
pub(super) fn machine_of(chosen: &Chosen<'_>) -> Result<Machine> {
    let machine = chosen.instance.machine().map_err(|error| disk_failure(&error))?;
    machine.ok_or_else(|| {
        Failure::new(Kind::Failed, format!("{} has no machine", chosen.name))
            .hint(format!("skep kitchen:create {}", chosen.name))
            .into()
    })
}

/// Becomes a program of the machine; `words` are those of `kitchen-enter … exec`. Returns only if that failed.
pub(super) fn become_program(machine: &Machine, words: &[OsString]) -> Error {
    let executable = match parts::executable() {
        Ok(executable) => executable,
        Err(error) => return error,
    };
    let mut command = Command::new(executable);
    command.arg(ENTER).arg(machine.directory()).arg("exec").args(words);
    let error = command.exec();
    Failure::new(Kind::Failed, "failed to go into the machine").because(&error).into()
}

/// What of its caller's a `skep` in the machine is told: how to print.
const PRINTING: [&str; 2] = ["TERM", "NO_COLOR"];

/// Returns `skep` as it runs in the machine, with words of its command line.
pub(super) fn skep(machine: &Machine, words: &[OsString]) -> Result<Command> {
    let setup = machine.setup().map_err(|error| disk_failure(&error))?;
    let mut command = Command::new(parts::executable()?);
    command.arg(ENTER).arg(machine.directory()).args(["skep", "skep"]).args(words);
    command.env_clear().envs(environment(&setup));
    for name in PRINTING {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command.current_dir("/").stdin(Stdio::null());
    Ok(command)
}

/// Returns what `skep plan` and `skep converge` in a machine are told of a suite.
pub(super) fn target_in(machine: &Machine, planned: &Planned) -> Result<Vec<OsString>> {
    let mut words: Vec<OsString> = vec!["-C".into(), format!("/{SHARED}/repository").into()];
    match &planned.suite.runs {
        Runs::RunList(_) => words.extend(["--dna".into(), given("dna.json")]),
        Runs::Group(group) => {
            words.extend(["--group".into(), group.into()]);
            words.extend(["--node-attributes".into(), given("attributes.json")]);
        }
    }
    if let Some(stage) = &planned.suite.stage {
        words.extend(["--stage".into(), stage.into()]);
    }
    let setup = machine.setup().map_err(|error| disk_failure(&error))?;
    if setup.shared.iter().any(|(name, _)| name == "key") {
        words.extend(["--data-key".into(), format!("/{SHARED}/key").into()]);
    }
    Ok(words)
}

fn given(file: &str) -> OsString {
    format!("/{SHARED}/given/{file}").into()
}

/// Runs a `skep` of the machine to its end, what it prints being progress; returns its exit code.
pub(super) fn run(mut command: Command, output: &Output) -> Result<i32> {
    let failed = |error: &std::io::Error| {
        Failure::new(Kind::Failed, "failed to go into the machine").because(error)
    };
    if output.format == Format::Text && output.says_progress() {
        // Data of a step is progress of the whole.
        let stderr = std::io::stderr().as_fd().try_clone_to_owned();
        command.stdout(stderr.map_err(|error| failed(&error))?);
    } else {
        command.stdout(Stdio::null());
    }
    let status = command.status().map_err(|error| failed(&error))?;
    // The process that goes in ends as a shell would say it; only itself can be killed.
    Ok(status.code().unwrap_or(1))
}
