use nodes::roles::Scope;

use super::{Writing, write};
use crate::context::Context;
use crate::error::{Outcome, Result};

/// Bring the roles that are there up to date with the nodes file
///
/// Without a group: all of them, and a role that Skep wrote for a group that is gone is removed.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The group [default: every group that has a role]
    group: Option<String>,
    #[command(flatten)]
    writing: Writing,
}

pub(crate) fn run(Arguments { group, writing }: Arguments, context: &Context) -> Result<Outcome> {
    write(Scope::Update(group.as_deref()), &writing, context)
}
