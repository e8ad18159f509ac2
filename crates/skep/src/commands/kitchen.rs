//! `kitchen:` – throw-away machines to try cookbooks in. None of them needs an agent; all but `list` need root.

pub(crate) mod check;
pub(crate) mod converge;
pub(crate) mod create;
pub(crate) mod destroy;
pub(crate) mod diff;
pub(crate) mod exec;
pub(crate) mod list;
pub(crate) mod login;
pub(crate) mod test;
pub(crate) mod verify;

mod inside;
mod open;
mod steps;
mod testinfra;

use serde::Serialize;

use ::kitchen::instance::{Action, Record, State};

use crate::render::paint::Style;
use crate::render::table::{Cell, Table};

/// An instance, as `list` and `--json` show it.
#[derive(Debug, Serialize)]
struct Row {
    instance: String,
    /// Absent: the kitchen file does not name it any more.
    suite: Option<String>,
    platform: Option<String>,
    state: State,
    last_action: Option<Action>,
    last_error: Option<String>,
    /// Whether it starts from less than a bare system: the host's packages hide what a cookbook lacks.
    pristine: bool,
}

impl Row {
    fn new(instance: &open::Chosen<'_>, record: Record) -> Self {
        let planned = instance.planned;
        Self {
            instance: instance.name.clone(),
            suite: planned.map(|planned| planned.suite_name.clone()),
            platform: planned.map(|planned| planned.platform.clone()),
            state: record.state,
            last_action: record.last_action,
            last_error: record.last_error,
            pristine: planned
                .is_none_or(|planned| planned.base != ::kitchen::kitchen_file::Base::Host),
        }
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&["INSTANCE", "SUITE", "PLATFORM", "STATE", "LAST", "ERROR"]);
    for row in rows {
        let (style, state) = match row.state {
            State::Absent => (Style::Dim, "absent"),
            State::Created => (Style::Plain, "created"),
            State::Converged => (Style::Plain, "converged"),
            State::Verified => (Style::Good, "verified"),
        };
        let error = row.last_error.as_deref().unwrap_or_default();
        table.row([
            row.instance.clone().into(),
            row.suite.clone().unwrap_or_default().into(),
            row.platform.clone().unwrap_or_default().into(),
            Cell::styled(state, style),
            row.last_action.map(Action::name).unwrap_or_default().into(),
            Cell::styled(error.lines().next().unwrap_or_default(), Style::Bad),
        ]);
    }
    table
}
