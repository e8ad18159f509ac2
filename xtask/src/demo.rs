//! `cargo xtask demo`: the guestbook in the foreground, in an installation of its own.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::needs;
use crate::place::Place;
use crate::step::{Stop, announce, run as run_step, typed};

pub(crate) fn run() -> Result<(), Stop> {
    needs::for_apps()?;
    let place = Place::find()?;
    let skep = build(&place)?;
    let home = place.target.join("demo");
    let mut up = skep_command(&skep, &home);
    up.args(["up", "examples/guestbook"]).current_dir(&place.source);
    announce(format_args!("SKEP_HOME={} {}", home.display(), typed(&up)));
    announce(format_args!(
        "Ctrl-C ends it; then `SKEP_HOME={} {} agent:stop` ends the daemon too",
        home.display(),
        skep.display()
    ));
    // From here on the terminal is Skep's: Ctrl-C must reach it and nobody in between.
    let error = up.exec();
    Err(Stop::Failed(format!("failed to run `{}`: {error}", typed(&up))))
}

/// Builds what a user runs and returns the `skep` program.
pub(crate) fn build(place: &Place) -> Result<PathBuf, Stop> {
    announce("building skep");
    run_step(place.cargo().args(["build", "--release"]))?;
    Ok(place.target.join("release/skep"))
}

/// Returns a command of one installation.
pub(crate) fn skep_command(skep: &Path, home: &Path) -> Command {
    let mut command = Command::new(skep);
    command.env("SKEP_HOME", home);
    command
}
