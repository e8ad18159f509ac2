use nodes::{Fact, Group, NodesFile, explain, repository};
use report::Failure;
use serde::Serialize;

use super::{given_by, short};
use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::render::paint::Style;
use crate::render::table::{Cell, Table};

/// Show a group with all that it inherits
///
/// With --why each value, item of a list and key of a dict has a line that says which group gave it,
/// where, and what it is there instead of.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n\
\x20 skep group:show web\n\
\x20 skep group:show web --why")]
pub(crate) struct Arguments {
    /// The group
    group: String,
    /// Show who gave each value, and what it hides
    #[arg(long)]
    why: bool,
}

#[derive(Debug, Serialize)]
struct Shown<'g> {
    group: &'g str,
    role: Option<String>,
    run_list: Vec<nodes::Item>,
    values: Vec<Fact>,
}

pub(crate) fn run(Arguments { group, why }: Arguments, context: &Context) -> Result<Outcome> {
    let nodes = repository::load(&context.directory).map_err(Failure::from)?;
    let group = nodes.group(&group).map_err(Failure::from)?;
    let shown = shown(&nodes, &group);
    context.output.list(&shown, || if why { explained(&shown.values) } else { plain(&group) })?;
    Ok(Outcome::Done)
}

fn shown<'g>(nodes: &NodesFile, group: &'g Group) -> Shown<'g> {
    Shown {
        group: &group.name,
        role: nodes::Role::of(group, &nodes.settings).ok().map(|role| role.name),
        run_list: group.run_list().into_iter().map(|step| step.item).collect(),
        values: explain(group),
    }
}

fn plain(group: &Group) -> Table {
    let mut table = Table::new(&["KEY", "VALUE"]);
    for fact in explain(group) {
        table.row([fact.path.into(), short(&fact.value).into()]);
    }
    table
}

fn explained(facts: &[Fact]) -> Table {
    let mut table = Table::new(&["KEY", "VALUE", "FROM"]);
    for fact in facts {
        table.row([
            fact.path.clone().into(),
            short(&fact.value).into(),
            given_by(&fact.origin).into(),
        ]);
        for hidden in &fact.hides {
            table.row([
                Cell::styled(format!("  instead of, in {}", hidden.origin.group), Style::Dim),
                Cell::styled(short(&hidden.value), Style::Dim),
                Cell::styled(given_by(&hidden.origin), Style::Dim),
            ]);
        }
    }
    table
}
