use ::kitchen::instance::Action;
use ::kitchen::kitchen_file::Base;

use super::open::{Chosen, Kitchen, disk_failure, need_root};
use super::steps::{converge_again, lock, step};
use super::{Row, table};
use crate::context::Context;
use crate::error::{Error, Outcome, Result};
use crate::output::Format;

/// Try a suite from the beginning to the end
///
/// Makes a new machine, converges it, converges it again, which must find nothing to do, runs the checks, and
/// ends the machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// An instance, a suite or a platform [default: every instance of kitchen.toml]
    instance: Option<String>,
    /// Which machines are kept to look at
    #[arg(long, value_enum, default_value = "failed")]
    keep: Keep,
}

/// Which machines are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Keep {
    /// None
    Never,
    /// Those of a test that failed
    Failed,
    /// All
    Always,
}

pub(crate) fn run(Arguments { instance, keep }: Arguments, context: &Context) -> Result<Outcome> {
    need_root("kitchen:test")?;
    let kitchen = Kitchen::open(context)?;
    let mut rows = Vec::new();
    let mut outcome = Outcome::Done;
    for chosen in kitchen.chosen(instance.as_deref())? {
        let done = test(&kitchen, &chosen, context);
        rows.push(Row::new(&chosen, chosen.instance.record().map_err(|e| disk_failure(&e))?));
        let kept = keep == Keep::Always || keep == Keep::Failed && done.is_err();
        if !kept {
            lock(&chosen)?.destroy().map_err(|error| disk_failure(&error))?;
        }
        match done {
            Ok(()) => context.output.say(&format!("{} passed{}", chosen.name, pristine(&chosen))),
            Err(Error::Failure(failure)) if failure.kind != report::Kind::Usage => {
                outcome = Outcome::Problems;
                context.output.failure(&failure);
                context.output.say(&format!("{} failed", chosen.name));
                if kept {
                    context.output.hint(&format!("skep kitchen:login {}", chosen.name));
                }
            }
            // What is wrong with a file is wrong on every platform.
            Err(error) => return Err(error),
        }
    }
    if context.output.format == Format::Json {
        context.output.list(&rows, || table(&rows))?;
    }
    Ok(outcome)
}

/// Returns what a test on the host's own files does not say.
fn pristine(chosen: &Chosen<'_>) -> &'static str {
    match chosen.planned {
        Some(planned) if planned.base == Base::Host => {
            "; not pristine: what this machine has hides what a cookbook lacks"
        }
        _ => "",
    }
}

fn test(kitchen: &Kitchen, chosen: &Chosen<'_>, context: &Context) -> Result<()> {
    let output = &context.output;
    lock(chosen)?.destroy().map_err(|error| disk_failure(&error))?;
    let locked = lock(chosen)?;
    step(kitchen, chosen, &locked, Action::Create, output)?;
    step(kitchen, chosen, &locked, Action::Converge, output)?;
    if let Some(planned) = chosen.planned {
        output.say(&format!("converge {} again", chosen.name));
        let again =
            locked.act(Action::Converge, || match converge_again(chosen, planned, output) {
                Err(Error::Failure(failure)) => Err(*failure),
                _ => Ok(()),
            });
        again.map_err(|error| disk_failure(&error))??;
    }
    step(kitchen, chosen, &locked, Action::Verify, output)
}
