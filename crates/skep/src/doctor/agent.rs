//! The agent and whether it comes back after a boot.

use std::fmt::Write;
use std::time::Duration;

use api::{Overview, path};
use home::Home;
use report::Failure;

use super::Check;
use crate::client::start;
use crate::error::{Error, Result};
use crate::output::{Format, Loudness, Output};
use crate::parts;
use crate::unit::Unit;

/// How long a running agent may take to answer here; one that is busy longer is worth a line.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Returns the findings, and whether an agent runs. That there are no cgroups (`without_cgroups`) is
/// said by a finding of its own already.
pub(super) async fn checks(home: &Home, without_cgroups: bool) -> (Vec<Check>, bool) {
    let mut checks = Vec::new();
    let runs = match overview(home).await {
        Ok(None) if parts::is_without_socket(home) => {
            let text = format!("runs, but `{}` is gone", home.api_socket().display());
            checks.push(Check::problem("agent", text).hint("skep agent:start"));
            false
        }
        Ok(None) => {
            checks.push(Check::ok("agent", "does not run; a command that needs it starts it"));
            false
        }
        Ok(Some(overview)) => {
            checks
                .push(Check::ok("agent", format!("{}, process {}", overview.build, overview.pid)));
            let problems = overview.problems.into_iter();
            checks.extend(problems.map(|text| Check::problem("agent", text)));
            let is_told = |text: &String| without_cgroups && text.starts_with(api::LIMIT_SESSIONS);
            let limits = overview.not_enforced.into_iter().filter(|text| !is_told(text));
            checks.extend(
                limits.map(|text| Check::warning("agent", format!("not enforced: {text}"))),
            );
            true
        }
        Err(Error::Failure(failure)) => {
            checks.push(unreachable(*failure));
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
    let client = start::connect(home, &output)?.that_only_looks();
    client.get_within(path::OVERVIEW, ANSWER_MAX).await.map(Some)
}

/// Returns why the agent does not answer, with all that a command would say of it.
fn unreachable(failure: Failure) -> Check {
    let mut text = failure.message;
    for cause in failure.causes {
        text.push_str(": ");
        text.push_str(&cause);
    }
    for (label, said) in failure.details {
        let said: Vec<&str> = said.lines().map(str::trim).collect();
        // Writing to a String cannot fail.
        let _ = write!(text, "; {label}: {}", said.join("; "));
    }
    let check = Check::problem("agent", text);
    match failure.hints.into_iter().find(|hint| hint != "skep doctor") {
        Some(hint) => check.hint(hint),
        None => check,
    }
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
