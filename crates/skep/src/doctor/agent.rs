//! The agent and whether it comes back after a boot.

use std::time::Duration;

use api::{Overview, path};
use home::Home;

use super::Check;
use crate::client::start;
use crate::error::{Error, Result};
use crate::output::{Format, Loudness, Output};
use crate::unit::Unit;

/// How long a running agent may take to answer here; one that is busy longer is worth a line.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Returns the findings, and whether an agent runs.
pub(super) async fn checks(home: &Home) -> (Vec<Check>, bool) {
    let mut checks = Vec::new();
    let runs = match overview(home).await {
        Ok(None) => {
            checks.push(Check::ok("agent", "does not run; a command that needs it starts it"));
            false
        }
        Ok(Some(overview)) => {
            checks
                .push(Check::ok("agent", format!("{}, process {}", overview.build, overview.pid)));
            let problems = overview.problems.into_iter();
            checks.extend(problems.map(|text| Check::problem("agent", text)));
            let limits = overview.not_enforced.into_iter();
            checks.extend(
                limits.map(|text| Check::warning("agent", format!("not enforced: {text}"))),
            );
            true
        }
        Err(Error::Failure(failure)) => {
            let causes = failure.causes.join(": ");
            let text = if causes.is_empty() {
                failure.message
            } else {
                format!("{}: {causes}", failure.message)
            };
            checks.push(Check::problem("agent", text));
            true
        }
        Err(Error::ReaderGone) => false,
    };
    checks.push(boot(home));
    (checks, runs)
}

async fn overview(home: &Home) -> Result<Option<Overview>> {
    let output = Output::new(Format::Text, Loudness::Quiet);
    if !start::is_there(home)? {
        return Ok(None);
    }
    start::connect(home, &output)?.get_within(path::OVERVIEW, ANSWER_MAX).await.map(Some)
}

fn boot(home: &Home) -> Check {
    match Unit::of(home) {
        Ok(unit) if unit.path().is_file() => {
            Check::ok("boot", format!("{} starts the agent", unit.name()))
        }
        _ => Check::warning("boot", "nothing starts the agent, and with it the apps, at boot")
            .hint("skep agent:install"),
    }
}
