use nodes::roles::Scope;

use super::{Writing, write};
use crate::context::Context;
use crate::error::{Outcome, Result};

/// Write the Chef role of a group, or of every group
///
/// A role is `roles/GROUP.json`; `generated.lock` remembers what Skep wrote. A file that Skep did not
/// write, or that was edited since, is left alone, and then nothing is written at all. Nothing is
/// written either where nothing changed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n\
\x20 skep role:create web\n\
\x20 skep role:create --plan")]
pub(crate) struct Arguments {
    /// The group [default: every group]
    group: Option<String>,
    #[command(flatten)]
    writing: Writing,
}

pub(crate) fn run(Arguments { group, writing }: Arguments, context: &Context) -> Result<Outcome> {
    write(Scope::Create(group.as_deref()), &writing, context)
}
