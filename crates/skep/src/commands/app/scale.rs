use std::collections::BTreeMap;

use api::{DeployKind, ScaleReply, path};

use crate::change::{ChangeOptions, on_app, submit};
use crate::client::target;
use crate::context::Context;
use crate::error::{Outcome, Result, usage};
use crate::output::Format;
use crate::place::{Place, is_name};
use crate::which::choose;

/// Change how many slots services have, or print today's scale
///
/// Without SERVICE=N prints the command that re-creates today's scale.
///
/// A change takes effect at once and outlives deploys and rollbacks. Slots are added when they answered and
/// removed when they are drained.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n\
\x20 skep scale shop web=4 queue=2\n\
\x20 skep scale > scale.sh")]
pub(crate) struct Arguments {
    /// The app [default: the one of this directory], then SERVICE=N as often as you like
    #[arg(value_name = "APP | SERVICE=N")]
    words: Vec<String>,
    #[command(flatten)]
    options: ChangeOptions,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Outcome> {
    let Arguments { words, options } = arguments;
    let (app, targets) = split(&words)?;
    let client = context.existing_client().await?;
    let app = choose(context, &client, app.as_ref()).await?.app;
    if !targets.is_empty() {
        let request = on_app(&app, DeployKind::Scale { targets });
        return submit(context, &client, &request, options).await;
    }
    let scale: ScaleReply = client.get(&target(path::SCALE, &[("app", &app)], &[])).await?;
    match context.output.format {
        Format::Json => context.output.json(&scale)?,
        Format::Text => context.output.line(&recreate(&scale))?,
    }
    Ok(Outcome::Done)
}

/// Returns the command that makes today's scale.
fn recreate(scale: &ScaleReply) -> String {
    let targets: Vec<String> =
        scale.entries.iter().map(|entry| format!("{}={}", entry.service, entry.slots)).collect();
    format!("skep scale {} {}", scale.app, targets.join(" ")).trim_end().to_owned()
}

/// Splits words into the app and the targets.
fn split(words: &[String]) -> Result<(Option<Place>, BTreeMap<String, u32>)> {
    let (app, words) = match words.split_first() {
        Some((first, rest)) if !first.contains('=') => (Some(Place::from(first.as_str())), rest),
        _ => (None, words),
    };
    let mut targets = BTreeMap::new();
    for word in words {
        let target = word.split_once('=').filter(|(service, _)| is_name(service));
        let Some((service, Ok(slots))) = target.map(|(service, slots)| (service, slots.parse()))
        else {
            return Err(usage(format!("`{word}` is not SERVICE=N"))
                .hint("for example: skep scale web=4 queue=2")
                .into());
        };
        if targets.insert(service.to_owned(), slots).is_some() {
            return Err(usage(format!("`{service}` is given twice")).into());
        }
    }
    Ok((app, targets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_printed_command_reads_back() {
        let entry = |service: &str, slots| api::ScaleEntry {
            service: service.to_owned(),
            slots,
            layer: "operator".to_owned(),
            who: None,
        };
        let scale = ScaleReply {
            app: "shop".to_owned(),
            entries: vec![entry("queue", 2), entry("web", 4)],
        };
        let command = recreate(&scale);
        assert_eq!(command, "skep scale shop queue=2 web=4");
        let (app, targets) = split(&words(&command)[2..]).unwrap();
        assert_eq!(app, Some(Place::App("shop".to_owned())));
        assert_eq!(targets, BTreeMap::from([("queue".to_owned(), 2), ("web".to_owned(), 4)]));
    }

    #[test]
    fn targets_are_a_service_and_a_number() {
        for bad in ["shop web", "web=", "web=-1", "web=two", "=3", "Web=1", "web=1 web=2"] {
            assert!(split(&words(bad)).is_err(), "{bad:?} was accepted");
        }
        assert!(split(&words("web=0")).unwrap().0.is_none());
    }
}
