//! What this machine has, lacks and cannot enforce.
//!
//! Every check looks at the thing itself and says what it found; none changes anything, none needs
//! the agent. A *problem* keeps Skep from working, a *warning* says what works less well. What
//! could not be found out is a warning that says so.

mod agent;
mod home;
mod kernel;
mod ports;
mod tools;

use ::home::Home;
use serde::Serialize;

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// Works, but less well.
    Warning,
    /// Does not work.
    Problem,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What was looked at: one word.
    pub(crate) name: &'static str,
    /// How it stands.
    pub(crate) state: State,
    /// What was found.
    pub(crate) text: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

impl Check {
    fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, state: State::Ok, text: text.into(), hint: None }
    }

    fn warning(name: &'static str, text: impl Into<String>) -> Self {
        Self { state: State::Warning, ..Self::ok(name, text) }
    }

    fn problem(name: &'static str, text: impl Into<String>) -> Self {
        Self { state: State::Problem, ..Self::ok(name, text) }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// All findings.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Whether none of them is a problem.
    pub(crate) ok: bool,
    /// In a fixed order.
    pub(crate) checks: Vec<Check>,
}

/// Looks at everything.
pub(crate) async fn examine(home: &Home) -> Report {
    let mut checks = home::checks(home);
    checks.push(kernel::user());
    checks.push(kernel::kernel());
    let cgroups = kernel::cgroups();
    let without_cgroups = cgroups.state != State::Ok;
    checks.push(cgroups);
    let (agent, runs) = agent::checks(home, without_cgroups).await;
    checks.push(ports::check(runs));
    checks.extend(tools::checks(home).await);
    checks.extend(agent);
    Report { ok: checks.iter().all(|check| check.state != State::Problem), checks }
}
