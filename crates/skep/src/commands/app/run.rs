use api::{RunPlan, RunRequest, path};

use crate::client::target;
use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::execute;
use crate::place::Place;
use crate::which::choose;

/// Run a command in the current release, with the app's environment
///
/// In this terminal: input, output, signals and the exit code are the command's own. It runs as
/// the app's own user where the installation is root's, in the release's directory, with exactly
/// the variables the app has (`skep env:explain`); only TERM, COLUMNS and LINES are added, and only
/// if standard input is a terminal. The release is kept as long as the command runs.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n\
\x20 skep run -- python manage.py shell\n\
\x20 skep run shop/queue -- env")]
pub(crate) struct Arguments {
    /// An app, or a service of it to take the variables of [default: the app of this directory]
    #[arg(value_name = "APP | APP/SERVICE")]
    app: Option<Place>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Outcome> {
    let Arguments { app, command } = arguments;
    let client = context.existing_client().await?;
    let chosen = choose(context, &client, app.as_ref()).await?;
    let request = RunRequest { command, service: chosen.service };
    let plan: RunPlan =
        client.post(&target(path::RUN, &[("app", &chosen.app)], &[]), &request).await?;
    match execute::become_program(&plan)? {}
}
