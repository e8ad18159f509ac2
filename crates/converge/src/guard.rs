//! Whether a resource is to be looked at at all.
//!
//! Typed guards are answered from the view: in a plan, from what will be there by then. A command is
//! run, also by a plan, unless something it may depend on is still to be changed (what its resource
//! needs, its own user or directory, or anything that a command or a package may bring): then its
//! answer is "perhaps". A command that does not end in time, is ended by a signal or cannot be started has
//! given no answer, and that is an error.

use std::path::{Path, PathBuf};
use std::time::Duration;

use resource::{Condition, Declaration, Guard};

use crate::command::Program;
use crate::problem::Problem;
use crate::shadow::{Known, View};

/// What all guards of a resource come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is looked at.
    Go,
    /// It is not; the guard that says so, for people.
    Skip(String),
    /// Nobody can know yet.
    Perhaps(String),
}

/// Asks all guards. `pending`: something that the resource depends on is still to be changed.
pub(crate) fn ask(
    declaration: &Declaration,
    view: View<'_>,
    pending: bool,
) -> Result<Verdict, Problem> {
    let mut verdict = Verdict::Go;
    let is_command = |guard: &&Guard| matches!(guard.condition, Condition::Command { .. });
    // Commands last: a typed guard that says no saves them.
    let typed = declaration.guards.iter().filter(|guard| !is_command(guard));
    for guard in typed.chain(declaration.guards.iter().filter(is_command)) {
        match holds(&guard.condition, view, pending)? {
            Some(holds) if holds == guard.wanted => {}
            Some(_) => return Ok(Verdict::Skip(text(guard))),
            None => verdict = Verdict::Perhaps(text(guard)),
        }
    }
    Ok(verdict)
}

/// Returns whether a condition holds, or `None` if nobody can know yet.
fn holds(condition: &Condition, view: View<'_>, pending: bool) -> Result<Option<bool>, Problem> {
    fn known<T>(known: &Known<T>) -> Option<bool> {
        match known {
            Known::Here(_) | Known::Planned => Some(true),
            Known::No => Some(false),
            Known::Perhaps => None,
        }
    }
    Ok(match condition {
        Condition::Exists(path) => known(&view.path(Path::new(path))?),
        Condition::Installed(name) => known(&view.package(name)?),
        Condition::User(name) => known(&view.user(name)?),
        Condition::Command { user, directory, .. }
            if pending
                || view.is_vague()
                || !is_ready(view, user.as_deref(), directory.as_deref())? =>
        {
            None
        }
        Condition::Command { arguments, user, directory, timeout_ms } => {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let mut program = Program::declared(&arguments);
            program.user.clone_from(user);
            program.directory = directory.as_ref().map(PathBuf::from);
            let limit = Duration::from_millis(*timeout_ms);
            let ended = program.run(view.host(), limit, &mut |_| {})?;
            let Some(code) = ended.code() else {
                let (command, ending) = (program.text(), ended.ending.to_string());
                return Err(Problem::Guard { command, ending });
            };
            Some(code == 0)
        }
    })
}

/// Returns whether a command's user and directory are there, and not only planned.
fn is_ready(view: View<'_>, user: Option<&str>, directory: Option<&str>) -> Result<bool, Problem> {
    let planned_user = match user {
        Some(user) => matches!(view.user(user)?, Known::Planned | Known::Perhaps),
        None => false,
    };
    let planned_directory = match directory {
        Some(path) => matches!(view.path(Path::new(path))?, Known::Planned | Known::Perhaps),
        None => false,
    };
    Ok(!planned_user && !planned_directory)
}

/// Returns a guard as its user wrote it, more or less.
fn text(guard: &Guard) -> String {
    let word = if guard.wanted { "only_if" } else { "not_if" };
    let condition = match &guard.condition {
        Condition::Exists(path) => format!("`{path}` exists"),
        Condition::Installed(name) => format!("package {name} is installed"),
        Condition::User(name) => format!("user {name} exists"),
        Condition::Command { arguments, .. } => format!("`{}`", arguments.join(" ")),
    };
    format!("{word} {condition}")
}
