use api::{AppState, DeployKind};

use crate::change::{ChangeOptions, on_app, submit};
use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::place::Place;
use crate::which::choose;

/// Take an app down, or all of them
///
/// Drains, then stops. Releases, data and variables are kept; `skep start` undoes it, `skep
/// app:remove` removes the rest.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The app [default: the one of this directory]
    app: Option<Place>,
    /// All apps, one after the other
    #[arg(long, conflicts_with = "app")]
    all: bool,
    #[command(flatten)]
    options: ChangeOptions,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Outcome> {
    let Arguments { app, all, options } = arguments;
    let client = context.existing_client().await?;
    let apps = if all {
        let running = |state| matches!(state, AppState::Running | AppState::Degraded);
        let apps = client.apps().await?.into_iter();
        apps.filter(|app| running(app.state)).map(|app| app.name).collect()
    } else {
        vec![choose(context, &client, app.as_ref()).await?.app]
    };
    if apps.is_empty() {
        context.output.say("nothing runs");
    }
    let mut outcome = Outcome::Done;
    for app in apps {
        let request = on_app(&app, DeployKind::Stop { service: None });
        match submit(context, &client, &request, options).await? {
            Outcome::Done => {}
            Outcome::Interrupted => return Ok(Outcome::Interrupted),
            other => outcome = other,
        }
    }
    Ok(outcome)
}
