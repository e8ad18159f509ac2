//! Everything that changes what runs goes through here: one request, one stream of events, one way
//! to plan it, to follow it and to leave it.

mod follow;
mod screen;
mod submit;

pub(crate) use follow::{Ends, Follow};
pub(crate) use submit::{attach, on_app, started, submit};

use crate::render::deploy::Verbosity;

/// Options of every command that changes what runs.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct ChangeOptions {
    /// Say what would be done and do nothing; exit code 2 if there is anything to do
    #[arg(long)]
    pub(crate) plan: bool,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// Options of every command that follows a deploy.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct OutputOptions {
    /// Show every line that build steps and the release command write
    #[arg(short, long)]
    verbose: bool,
}

impl OutputOptions {
    /// Returns which lines are shown.
    pub(crate) fn verbosity(self) -> Verbosity {
        if self.verbose { Verbosity::Output } else { Verbosity::Steps }
    }
}
