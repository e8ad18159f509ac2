use api::EnvChange;

use super::set::{apply, split_app, variable_name};
use crate::change::ChangeOptions;
use crate::context::Context;
use crate::error::{Outcome, Result, usage};
use crate::which::choose;

/// Unset variables of an app
///
/// Takes back what `skep env:set` set; a default of the app file is in force again. A release
/// through the same gate as any other; with --stage stored only.
///
/// A first word of lowercase letters, digits and hyphens is the app.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The app [default: the one of this directory], then variables
    #[arg(required = true, value_name = "APP | KEY")]
    words: Vec<String>,
    /// Store only
    #[arg(long)]
    stage: bool,
    #[command(flatten)]
    options: ChangeOptions,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Outcome> {
    let Arguments { words, stage, options } = arguments;
    let (app, words) = split_app(&words);
    if words.is_empty() {
        return Err(usage("which variable?").hint("skep env:unset [APP] KEY …").into());
    }
    let changes = words
        .iter()
        .map(|word| Ok(EnvChange { name: variable_name(word)?.to_owned(), value: None }))
        .collect::<Result<_>>()?;
    let client = context.existing_client().await?;
    let app = choose(context, &client, app.as_ref()).await?.app;
    apply(context, &client, &app, changes, stage, options).await
}
