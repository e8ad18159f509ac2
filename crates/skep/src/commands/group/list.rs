use nodes::{Group, repository};
use report::Failure;
use serde::Serialize;

use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::render::table::Table;

/// List the groups of the nodes file
///
/// Reads `nodes.toml` or `nodes.json` in this directory.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

#[derive(Debug, Serialize)]
struct Row {
    group: String,
    description: String,
    #[serde(rename = "type")]
    kind: String,
    region: String,
    instance_type: String,
    autoscale: Option<nodes::Autoscale>,
    run_list: Vec<nodes::Item>,
}

pub(crate) fn run(_: Arguments, context: &Context) -> Result<Outcome> {
    let nodes = repository::load(&context.directory).map_err(Failure::from)?;
    let rows: Vec<Row> = nodes.groups().map(|group| row(&group)).collect();
    if rows.is_empty() {
        context.output.say(&format!("{} has no group yet", nodes.file));
    }
    context.output.list(&rows, || table(&rows))?;
    Ok(Outcome::Done)
}

fn row(group: &Group) -> Row {
    Row {
        group: group.name.clone(),
        description: group.description().to_owned(),
        kind: group.text("type").to_owned(),
        region: group.text("region").to_owned(),
        instance_type: group.text("instance_type").to_owned(),
        autoscale: group.autoscale(),
        run_list: group.run_list().into_iter().map(|step| step.item).collect(),
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table =
        Table::new(&["GROUP", "TYPE", "REGION", "INSTANCE", "NODES", "RUNS", "DESCRIPTION"]);
    for row in rows {
        let limits = row.autoscale.map(|limits| format!("{}–{}", limits.node_min, limits.node_max));
        table.row([
            row.group.clone().into(),
            row.kind.clone().into(),
            row.region.clone().into(),
            row.instance_type.clone().into(),
            limits.unwrap_or_default().into(),
            row.run_list.len().to_string().into(),
            row.description.clone().into(),
        ]);
    }
    table
}
