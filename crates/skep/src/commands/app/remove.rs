use api::{Removal, path};

use crate::client::target;
use crate::context::Context;
use crate::error::{Outcome, Result, usage};
use crate::output::Format;
use crate::place::Place;
use crate::terminal;
use crate::which::choose;

/// Remove an app with its releases, data and variables
///
/// Prints first what goes and asks. Data, the last release and the variables are archived, and the
/// command that brings them back is printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The app; it must be named
    app: Place,
    /// Say what would be removed and do nothing
    #[arg(long)]
    plan: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Outcome> {
    let Arguments { app, plan, yes } = arguments;
    if let Place::Service { app, service } = &app {
        return Err(usage("only whole apps can be removed")
            .hint(format!("skep scale {app} {service}=0    stops the service for good"))
            .into());
    }
    let output = &context.output;
    let client = context.existing_client().await?;
    let app = choose(context, &client, Some(&app)).await?.app;
    let names = [("app", app.as_str())];
    let planned: Removal =
        client.delete(&target(path::APP, &names, &[("plan", Some("true"))])).await?;
    if plan {
        match output.format {
            Format::Json => output.json(&planned)?,
            Format::Text => output.lines(&planned.lines)?,
        }
        return Ok(Outcome::Changes);
    }
    if !yes {
        for line in &planned.lines {
            output.progress(&format!("  {line}\n"));
        }
        if !terminal::can_ask() {
            return Err(usage(format!(
                "removing `{app}` needs a yes, and nobody can be asked here"
            ))
            .hint(format!("skep app:remove {app} --yes"))
            .into());
        }
        if !terminal::confirm(&format!("remove `{app}`?"))? {
            output.say("nothing is removed");
            return Ok(Outcome::Interrupted);
        }
    }
    let removed: Removal = client.delete(&target(path::APP, &names, &[])).await?;
    match output.format {
        Format::Json => output.json(&removed)?,
        Format::Text => {
            output.say(&format!("{app} is removed"));
            if let Some(archive) = &removed.archive {
                output.say(&format!("archive: {archive}"));
            }
            if let Some(undo) = &removed.undo {
                output.say(&format!("undo: {undo}"));
            }
        }
    }
    Ok(Outcome::Done)
}
