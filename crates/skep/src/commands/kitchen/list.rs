use super::open::{Kitchen, disk_failure};
use super::{Row, table};
use crate::context::Context;
use crate::error::{Outcome, Result};

/// List the instances of kitchen.toml, and how far each is
///
/// Every suite on every platform is one: SUITE-PLATFORM.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: Arguments, context: &Context) -> Result<Outcome> {
    let kitchen = Kitchen::open(context)?;
    let mut rows = Vec::new();
    for chosen in kitchen.chosen_or_left(None)? {
        let record = chosen.instance.record().map_err(|error| disk_failure(&error))?;
        rows.push(Row::new(&chosen, record));
    }
    context.output.list(&rows, || table(&rows))?;
    Ok(Outcome::Done)
}
