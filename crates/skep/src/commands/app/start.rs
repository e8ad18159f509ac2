use api::DeployKind;

use crate::change::{ChangeOptions, on_app, submit};
use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::place::Place;
use crate::which::choose;

/// Start what was stopped
///
/// The current release at the scale it had.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// An app, or one service of it [default: the app of this directory]
    #[arg(value_name = "APP | APP/SERVICE")]
    app: Option<Place>,
    #[command(flatten)]
    options: ChangeOptions,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Outcome> {
    let Arguments { app, options } = arguments;
    let client = context.existing_client().await?;
    let chosen = choose(context, &client, app.as_ref()).await?;
    let request = on_app(&chosen.app, DeployKind::Start { service: chosen.service });
    submit(context, &client, &request, options).await
}
