use ::kitchen::instance::Action;

use super::steps::bring;
use crate::context::Context;
use crate::error::{Outcome, Result};

/// Make the machine of an instance, or of all of them
///
/// A machine has files, processes, a network and a name of its own; what is made or broken in it stays in it.
/// One that is there already is left as it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// An instance, a suite or a platform [default: every instance of kitchen.toml]
    instance: Option<String>,
}

pub(crate) fn run(Arguments { instance }: Arguments, context: &Context) -> Result<Outcome> {
    bring(context, instance.as_deref(), Action::Create)
}
