use ::kitchen::instance::Action;

use super::steps::bring;
use crate::context::Context;
use crate::error::{Outcome, Result};

/// Run a suite's recipes in its machine
///
/// Makes the machine first if there is none. In it runs the code of `skep converge`, with the suite's run list or
/// group, its stage and its attributes; the repository is what lies here.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// An instance, a suite or a platform [default: every instance of kitchen.toml]
    instance: Option<String>,
}

pub(crate) fn run(Arguments { instance }: Arguments, context: &Context) -> Result<Outcome> {
    bring(context, instance.as_deref(), Action::Converge)
}
