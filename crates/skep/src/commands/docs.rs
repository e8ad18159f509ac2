use std::path::PathBuf;

use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::reference;

/// Write the reference of all commands
///
/// One Markdown page for each command and an index, or manual pages.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to; files of the same names are replaced
    #[arg(value_name = "DIR")]
    target: PathBuf,
    /// Manual pages instead of Markdown
    #[arg(long)]
    man: bool,
}

pub(crate) fn run(Arguments { target, man }: Arguments, context: &Context) -> Result<Outcome> {
    let target = context.resolve(&target);
    let pages = if man { reference::manual_pages() } else { reference::markdown() };
    reference::write(&target, &pages)?;
    context.output.say(&format!("wrote {} pages to `{}`", pages.len(), target.display()));
    Ok(Outcome::Done)
}
