use std::process::ExitCode;

use crate::context::home;
use crate::error::Result;

/// Be the agent, in the foreground
///
/// Started by its shim, which `skep agent:start` and every command that needs the agent start. By
/// hand it shows what it says on the terminal.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(Arguments {}: Arguments) -> Result<ExitCode> {
    Ok(crate::parts::agent(&home()?))
}
