use api::{AppDetail, path};

use crate::change::{OutputOptions, attach};
use crate::client::target;
use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::interrupt::Interrupts;
use crate::place::Place;
use crate::which::choose;

/// Follow a deploy that is going on
///
/// Shows it from its beginning and ends with it, for example after Ctrl-C left it alone.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The app [default: the one of this directory]
    app: Option<Place>,
    #[command(flatten)]
    options: OutputOptions,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Outcome> {
    let Arguments { app, options } = arguments;
    let client = context.existing_client().await?;
    let app = choose(context, &client, app.as_ref()).await?.app;
    let detail: AppDetail = client.get(&target(path::APP, &[("app", &app)], &[])).await?;
    let Some(id) = detail.summary.deploy else {
        context.output.say(&format!("{app}: no deploy is going on"));
        return Ok(Outcome::Done);
    };
    attach(context, &client, Interrupts::listen()?, &app, &id, options.verbosity()).await
}
