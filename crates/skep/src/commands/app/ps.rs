use api::{Overview, ProcessRow, path};
use jiff::Timestamp;

use crate::client::target;
use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::place::Place;
use crate::render::processes;
use crate::which::{app_here, check_service, choose};

/// Show what runs
///
/// One row for each service and release: slots with a process (and what those forked), memory of
/// all of them, restarts. In an app's directory that app, elsewhere all of them.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// An app, or one service of it [default: the app of this directory, else all]
    #[arg(value_name = "APP | APP/SERVICE")]
    app: Option<Place>,
    /// All apps, also in an app's directory
    #[arg(short, long, conflicts_with = "app")]
    all: bool,
    /// One row for each slot, with its process id
    #[arg(short, long)]
    slots: bool,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Outcome> {
    let Arguments { app, all, slots } = arguments;
    let Some(client) = context.client_for_list().await? else {
        context
            .output
            .list(&Vec::<ProcessRow>::new(), || processes::by_slot(&[], Timestamp::now()))?;
        return Ok(Outcome::Done);
    };
    let here = !all && app.is_none() && app_here(context, &client).await?.is_some();
    let chosen = match &app {
        None if !here => None,
        place => Some(choose(context, &client, place.as_ref()).await?),
    };
    let query = [("app", chosen.as_ref().map(|chosen| chosen.app.as_str()))];
    let mut rows: Vec<ProcessRow> = client.get(&target(path::PROCESSES, &[], &query)).await?;
    if let Some(service) = chosen.filter(|chosen| chosen.service.is_some()) {
        rows.retain(|row| row.service == service.display());
        if rows.is_empty() {
            check_service(&client, &service).await?;
        }
    }
    let overview: Overview = client.get(path::OVERVIEW).await?;
    for problem in &overview.problems {
        context.output.warn(problem);
    }
    if let Some(text) = limits(&overview.not_enforced) {
        context.output.warn(&text);
    }
    if rows.is_empty() {
        context.output.say("nothing runs");
    }
    let now = Timestamp::now();
    context.output.list(&rows, || {
        if slots { processes::by_slot(&rows, now) } else { processes::by_service(&rows, now) }
    })?;
    Ok(Outcome::Done)
}

/// Returns one short line of what is not enforced here: the first of it without its reason, and how
/// much more there is.
fn limits(not_enforced: &[String]) -> Option<String> {
    let first = not_enforced.first()?;
    let first = first.split(": ").next().unwrap_or(first);
    let more = match not_enforced.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Some(format!("not enforced: {first}{more}   skep doctor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_enforced_is_one_short_line() {
        let limits =
            |texts: &[&str]| limits(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        assert_eq!(limits(&[]), None);
        let one = "not enforced: own user   skep doctor";
        assert_eq!(limits(&["own user: each could read"]).as_deref(), Some(one));
        let two = "not enforced: own user, and 1 more   skep doctor";
        assert_eq!(limits(&["own user: each could read", "b: c"]).as_deref(), Some(two));
    }
}
