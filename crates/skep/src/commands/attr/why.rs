use cookbook::{Effect, Said, Why};
use report::did_you_mean;

use crate::configure::{Target, attributes};
use crate::context::Context;
use crate::error::{Outcome, Result, usage};
use crate::render::paint::Style;
use crate::render::table::{Cell, Table};

/// Show what every level says of an attribute, and which one wins
///
/// The winner is first. Levels, lowest first: cookbook, role, stage, node; above them the overrides of role
/// and stage. Dicts are merged, anything else replaces what is below it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n\
\x20 skep attr:why nginx.port --group web --stage production")]
pub(crate) struct Arguments {
    /// The attribute, for example nginx.port
    path: String,
    #[command(flatten)]
    target: Target,
}

pub(crate) fn run(Arguments { path, target }: Arguments, context: &Context) -> Result<Outcome> {
    let attributes = attributes(&target, context)?;
    let why = attributes.why(&path);
    if why.said.is_empty() {
        let known = attributes.names_beside(&path);
        let failure = usage(format!("there is no attribute `{path}`"));
        return Err(match did_you_mean(&path, known.iter().map(String::as_str)) {
            Some(meant) => failure.hint(format!("did you mean `{meant}`?")).into(),
            None if known.is_empty() => failure.into(),
            None => failure.hint(format!("there is {}", known.join(", "))).into(),
        });
    }
    context.output.list(&why, || table(&why))?;
    Ok(Outcome::Done)
}

fn table(why: &Why) -> Table {
    let mut table = Table::new(&["LEVEL", "GIVEN BY", "VALUE", "FROM", "RESULT"]);
    for Said { level, giver, value, file, line, effect } in &why.said {
        let (style, effect) = match effect {
            Effect::Wins => (Style::Good, "wins"),
            Effect::Merged => (Style::Plain, "merged"),
            Effect::Hidden => (Style::Dim, "hidden"),
        };
        table.row([
            level.name().into(),
            giver.clone().into(),
            Cell::styled(crate::commands::group::short(value), style),
            format!("{file}:{line}").into(),
            Cell::styled(effect, style),
        ]);
    }
    table
}
