//! `cargo xtask demo`: the guestbook in the foreground, in an installation of its own.
//!
//! However it ends, everything that ran is stopped. What the guestbook stored stays in the target
//! directory, so that the next demo goes on with it.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::interrupt;
use crate::needs;
use crate::place::Place;
use crate::step::{Stop, Tried, announce, both, output, run as run_step, typed};

/// The exit code of a `skep` command that found a change of the app going on.
const LOCKED: i32 = 6;

/// How long such a change is waited for when everything shall end: its drain limit, the stop grace
/// of the guestbook's services and the watch, twice.
const CHANGES_END_LIMIT: Duration = Duration::from_secs(120);

/// Between two such questions.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Options are those of `skep up`.
pub(crate) fn run(options: &[&str]) -> Result<(), Stop> {
    needs::for_apps()?;
    let place = Place::find()?;
    let uv = needs::uv(&place.tools())?;
    let skep = build(&place)?;
    let home = place.target.join("demo");
    let mut up = skep_command(&skep, &home, uv.as_deref());
    up.args(["up", "examples/guestbook"]).args(options).current_dir(&place.source);
    announce(format_args!("SKEP_HOME={} {}", home.display(), typed(&up)));
    announce("Ctrl-C ends it; `cargo xtask demo --listen ADDR:PORT` serves it elsewhere");
    interrupt::listen();
    let result = foreground(&mut up);
    announce(format_args!("stopping; what the app stored is kept in {}", home.display()));
    both(result, stop(&skep, &home).map(drop))
}

/// Runs it to its end. It is in a process group of its own, so that Ctrl-C reaches it through us and
/// a signal that only we get reaches it too.
fn foreground(up: &mut Command) -> Result<(), Stop> {
    let text = typed(up);
    let mut child =
        up.stdin(Stdio::null()).process_group(0).spawn().tried(format_args!("run `{text}`"))?;
    let status = interrupt::wait_passing_on(&mut child).tried(format_args!("wait for `{text}`"))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(Stop::Said(u8::try_from(code).unwrap_or(1))),
        // Before it listens itself a signal ends it.
        None => interrupt::check()
            .and_then(|()| Err(Stop::Failed(format!("`{text}` ended with {status}")))),
    }
}

/// Stops whatever of an installation runs, with the command that a user would type; returns what it
/// printed. A second Ctrl-C does not reach it.
pub(crate) fn stop(skep: &Path, home: &Path) -> Result<Vec<u8>, Stop> {
    let deadline = Instant::now() + CHANGES_END_LIMIT;
    loop {
        let mut stop = skep_command(skep, home, None);
        stop.args(["agent:stop", "--all"]).process_group(0);
        let said = output(&mut stop)?;
        let going_on = said.status.code() == Some(LOCKED) && Instant::now() < deadline;
        if said.status.success() {
            return Ok([said.stdout, said.stderr].concat());
        } else if !going_on {
            return Err(Stop::Failed(format!(
                "`SKEP_HOME={} {}` ended with {}\n{}",
                home.display(),
                typed(&stop),
                said.status,
                String::from_utf8_lossy(&said.stderr)
            )));
        }
        std::thread::sleep(ASK_AGAIN);
    }
}

/// Builds what a user runs and returns the `skep` program.
pub(crate) fn build(place: &Place) -> Result<PathBuf, Stop> {
    announce("building skep");
    run_step(place.cargo().args(["build", "--release"]))?;
    Ok(place.target.join("release/skep"))
}

/// Returns a command of one installation, which finds uv in this directory first.
pub(crate) fn skep_command(skep: &Path, home: &Path, uv: Option<&Path>) -> Command {
    let mut command = Command::new(skep);
    command.env("SKEP_HOME", home).env("PATH", needs::path_with(uv));
    command
}
