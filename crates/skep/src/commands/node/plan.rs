use std::path::PathBuf;
use std::time::Instant;

use converge::RenderOptions;
use report::{Failure, Kind};

use super::{plan_key, plan_of, print_plan, saved_failure};
use crate::configure::{Target, assemble};
use crate::context::{Context, home};
use crate::error::{Outcome, Result};
use crate::output::Format;

/// Show what the recipes of this machine's group would change
///
/// Changes nothing. Marks: + create, ~ update, - take back, ! run a command, ↻ notify, ? may change, · skipped
/// by its guard, x blocked. Exit code 0 if there is nothing to do, 2 if there are changes, 1 if something
/// cannot be done.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n\
\x20 skep plan --group web --diff\n\
\x20 skep plan --recipe nginx::default\n\
\x20 skep plan --group web --save web.plan && skep converge --group web --apply web.plan")]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Show how contents differ
    #[arg(long)]
    diff: bool,
    /// Show also what is as it should be
    #[arg(long)]
    all: bool,
    /// Write the plan to a file, for `skep converge --apply`
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<Outcome> {
    let Arguments { target, diff, all, save } = arguments;
    let home = home()?;
    let assembled = assemble(&target, context)?;
    let key = save.is_some().then(|| plan_key(&home)).transpose()?;
    let begun = Instant::now();
    let plan = plan_of(assembled, &home, key.as_ref())?;
    let read_in = begun.elapsed();
    if let Some(file) = &save {
        let bytes =
            plan.save().map_err(|error| saved_failure(&error, &file.display().to_string()))?;
        disk::write_atomically(&context.resolve(file), &bytes, 0o600)
            .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    }
    match context.output.format {
        Format::Json => context.output.json(&plan.shown())?,
        Format::Text => {
            let options = RenderOptions { diff, unchanged: all, read_in: Some(read_in) };
            print_plan(context, &plan.render(options))?;
        }
    }
    Ok(match (plan.is_blocked(), plan.is_empty()) {
        (true, _) => Outcome::Problems,
        (false, true) => Outcome::Done,
        (false, false) => Outcome::Changes,
    })
}
