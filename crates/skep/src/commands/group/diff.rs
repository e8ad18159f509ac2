use nodes::{Difference, Side, diff, repository};
use report::Failure;

use super::{given_by, short};
use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::render::paint::Style;
use crate::render::table::{Cell, Table};

/// Compare two groups with all that they inherit
///
/// Where both have a value there is a line for each; of lists, a line for each item that only one has.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// One group
    first: String,
    /// The other
    second: String,
}

pub(crate) fn run(Arguments { first, second }: Arguments, context: &Context) -> Result<Outcome> {
    let nodes = repository::load(&context.directory).map_err(Failure::from)?;
    let found = diff(
        &nodes.group(&first).map_err(Failure::from)?,
        &nodes.group(&second).map_err(Failure::from)?,
    );
    if found.is_empty() {
        context.output.say(&format!("{first} and {second} are alike"));
    }
    context.output.list(&found, || table(&found, [&first, &second]))?;
    Ok(Outcome::Done)
}

fn table(found: &[Difference], [first, second]: [&str; 2]) -> Table {
    let mut table = Table::new(&["IN", "KEY", "VALUE", "FROM"]);
    for difference in found {
        let sides =
            [(first, Style::Bad, &difference.left), (second, Style::Good, &difference.right)];
        for (group, style, side) in sides {
            let Some(Side { value, origin }) = side else { continue };
            table.row([
                Cell::styled(group, style),
                difference.path.clone().into(),
                short(value).into(),
                given_by(origin).into(),
            ]);
        }
    }
    table
}
