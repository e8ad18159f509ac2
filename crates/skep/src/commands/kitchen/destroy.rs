use super::open::{Kitchen, disk_failure, need_root};
use super::steps::lock;
use super::{Row, table};
use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::output::Format;

/// End the machine of an instance, or of all of them, with everything in it
///
/// Also of instances that kitchen.toml does not name any more, and of what was left by a command that was killed.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// An instance, a suite or a platform [default: every instance]
    instance: Option<String>,
}

pub(crate) fn run(Arguments { instance }: Arguments, context: &Context) -> Result<Outcome> {
    need_root("kitchen:destroy")?;
    let kitchen = Kitchen::open(context)?;
    let mut rows = Vec::new();
    for chosen in kitchen.chosen_or_left(instance.as_deref())? {
        let is_there = chosen.instance.exists();
        if is_there {
            lock(&chosen)?.destroy().map_err(|error| disk_failure(&error))?;
            context.output.say(&format!("destroyed {}", chosen.name));
        }
        rows.push(Row::new(&chosen, ::kitchen::instance::Record::default()));
    }
    if context.output.format == Format::Json {
        context.output.list(&rows, || table(&rows))?;
    }
    Ok(Outcome::Done)
}
