//! `role:` – Chef roles made from groups. None of them needs an agent.

pub(crate) mod create;
pub(crate) mod show;
pub(crate) mod update;

use nodes::generated::{Adopt, Decision};
use nodes::repository::{self, apply, load_lock, read_found};
use nodes::roles::{Change, Scope, paths, plan, refusal};
use report::Failure;

use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::render::paint::Style;
use crate::render::table::{Cell, Table};

/// What `role:create` and `role:update` have in common.
#[derive(Debug, clap::Args)]
pub(crate) struct Writing {
    /// Write over files that Skep did not write, or that were edited since, and call them Skep's
    #[arg(long)]
    adopt: bool,
    /// Say what would be done and do nothing; exit code 2 if there is anything to do
    #[arg(long)]
    plan: bool,
}

/// Brings the files of roles up to date.
fn write(scope: Scope<'_>, writing: &Writing, context: &Context) -> Result<Outcome> {
    let directory = &context.directory;
    let nodes = repository::load(directory).map_err(Failure::from)?;
    let lock = load_lock(directory).map_err(Failure::from)?;
    let found = read_found(directory, &paths(&nodes, &lock)).map_err(Failure::from)?;
    let adopt = if writing.adopt { Adopt::Yes } else { Adopt::No };
    let changes = plan(&nodes, scope, &lock, &found, adopt).map_err(Failure::from)?;
    if let Some(failure) = refusal(&changes) {
        return Err(failure.into());
    }
    if !writing.plan {
        apply(directory, &lock, &changes).map_err(Failure::from)?;
    }
    context.output.list(&changes, || table(&changes))?;
    let anything = changes.iter().any(|change| change.decision != Decision::Unchanged);
    if changes.is_empty() {
        context.output.say("there is no role yet");
        context.output.hint("skep role:create");
    }
    Ok(if writing.plan && anything { Outcome::Changes } else { Outcome::Done })
}

fn table(changes: &[Change]) -> Table {
    let mut table = Table::new(&["ROLE", "STATE"]);
    for change in changes {
        let (style, state) = match change.decision {
            Decision::Unchanged => (Style::Dim, "unchanged"),
            Decision::Create => (Style::Good, "new"),
            Decision::Update => (Style::Warning, "changed"),
            Decision::Remove => (Style::Bad, "its group is gone"),
            Decision::Refuse(refusal) => (Style::Bad, refusal.text()),
        };
        table.row([change.path.clone().into(), Cell::styled(state, style)]);
    }
    table
}
