//! `command`: a command ends as it should.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use resource::{Declaration, Properties, Schema, Shape};
use rustix::process::{Pid, Signal, kill_process_group};

use super::{Miss, must, property, schema, short};

/// Most output that is looked at; more ends the command with SIGPIPE.
const MAX_OUTPUT_BYTES: u64 = 4 << 20;

/// Between two looks at whether it ended.
const PAUSE: Duration = Duration::from_millis(5);

pub(super) static SCHEMA: Schema = schema(
    "command",
    "A command ends as it should. It is run again until it does, so it must change nothing.",
    "command",
    &[
        property(
            "command",
            Shape::ListOf(&Shape::Text),
            "A list is a program with its arguments; one text is a line for the shell.",
        ),
        property("status", Shape::Count, "What it must end with; 0 if nothing is said."),
        property("contains", Shape::Text, "What it must write to its standard output or error."),
        property("cwd", Shape::Path, "Where it runs; `/` if nothing is said."),
    ],
);

pub(super) fn look(check: &Declaration, deadline: Instant) -> Result<(), Miss> {
    let properties = Properties(check);
    let words = match properties.get("command") {
        Some(resource::Value::List(_)) => properties.texts("command").unwrap_or_default(),
        _ => vec!["/bin/sh", "-c", properties.named(&SCHEMA)],
    };
    let Some((program, arguments)) = words.split_first() else {
        return Err(Miss::NotTested("there is no command".to_owned()));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(user) = &check.user {
        let account = crate::inside::account(user).map_err(Miss::NotYet)?;
        command.uid(account.user).gid(account.group).env("HOME", &account.home);
        command.env("USER", &account.name).env("LOGNAME", &account.name);
    }
    command.current_dir(properties.text("cwd").unwrap_or("/"));
    let (status, output) = run(command, deadline)?;
    let wanted = properties.count("status").unwrap_or(0);
    must(u64::try_from(status) == Ok(wanted), || {
        format!("it ended with status {status}: {}", short(&output))
    })?;
    match properties.text("contains") {
        Some(text) => must(output.contains(text), || format!("it wrote: {}", short(&output))),
        None => Ok(()),
    }
}

/// Runs a command until it ends or its deadline is over; whatever it started is ended then.
fn run(mut command: Command, deadline: Instant) -> Result<(i32, String), Miss> {
    let failed = |error: std::io::Error| Miss::NotYet(error.to_string());
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    let errors = writer.try_clone().map_err(failed)?;
    command.stdin(Stdio::null()).stdout(writer).stderr(errors).process_group(0);
    let mut child = command.spawn().map_err(failed)?;
    // Its ends of the pipe are the child's alone from now on.
    drop(command);
    let output = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = reader.take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break Some(status);
        }
        if Instant::now() >= deadline {
            break None;
        }
        std::thread::sleep(PAUSE);
    };
    // What it left behind would keep its output open.
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let ended = child.wait();
    let Some(status) = status else {
        return Err(Miss::NotYet("it did not end in time".to_owned()));
    };
    ended.map_err(failed)?;
    let output = output.join().unwrap_or_default();
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    Ok((status.code().or(signal.map(|signal| 128 + signal)).unwrap_or(-1), output))
}
