use ::kitchen::changes::{self, Change};

use super::inside::machine_of;
use super::open::{Kitchen, disk_failure, need_root};
use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::render::paint::Style;
use crate::render::table::{Cell, Table};

/// List the files that were changed in a machine since it was made
///
/// Added, changed or removed, with modes and owners. What is mounted in the machine (/run, /tmp, /dev) and what Skep
/// put there are left out, and so is what was only touched.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The instance, or what tells it from others [default: the only one that has a machine]
    instance: Option<String>,
}

pub(crate) fn run(Arguments { instance }: Arguments, context: &Context) -> Result<Outcome> {
    need_root("kitchen:diff")?;
    let kitchen = Kitchen::open(context)?;
    let chosen = kitchen.one(instance.as_deref())?;
    let machine = machine_of(&chosen)?;
    let setup = machine.setup().map_err(|error| disk_failure(&error))?;
    let found = changes::list(&machine.upper(), &setup);
    let found = found.map_err(|error| disk_failure(&error))?;
    context.output.list(&found, || table(&found))?;
    match (found.paths.len(), found.omitted) {
        (0, _) => context.output.say("nothing was changed"),
        (_, 0) => {}
        (_, omitted) => context.output.warn(&format!("{omitted} more are not listed")),
    }
    Ok(Outcome::Done)
}

fn table(found: &changes::Changes) -> Table {
    let mut table = Table::new(&["CHANGE", "MODE", "OWNER", "KIND", "PATH"]);
    for path in &found.paths {
        let (style, word) = match path.change {
            Change::Added => (Style::Good, "added"),
            Change::Changed => (Style::Warning, "changed"),
            Change::Removed => (Style::Bad, "removed"),
        };
        table.row([
            Cell::styled(word, style),
            format!("{:04o}", path.mode).into(),
            path.owner.clone().into(),
            path.kind.into(),
            path.path.display().to_string().into(),
        ]);
    }
    table
}
