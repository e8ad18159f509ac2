//! `cargo xtask lint`: formatting, clippy, documentation; a warning fails.

use crate::place::Place;
use crate::step::{Stop, announce, run as run_step, succeeds};

pub(crate) fn run() -> Result<(), Stop> {
    let place = Place::find()?;
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if !succeeds(place.cargo().args([subcommand, "--version"])) {
            return Err(Stop::Missing(format!(
                "{component} is missing: rustup component add {component}"
            )));
        }
    }
    announce("formatting");
    run_step(place.cargo().args(["fmt", "--all", "--check"]))?;
    announce("clippy");
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    run_step(place.cargo().args(clippy))?;
    announce("documentation");
    run_step(
        place
            .cargo()
            .args(["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}
