use api::{EnvEntry, EnvLayer, EnvList, path};

use crate::client::target;
use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::place::Place;
use crate::render::paint::Style;
use crate::render::quantity::minute;
use crate::render::table::{Cell, Table};
use crate::which::choose;

/// List an app's variables
///
/// Those of the app file and those set with `skep env:set`; secrets are masked. `skep env:explain`
/// shows everything a process gets.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The app [default: the one of this directory]
    app: Option<Place>,
    /// Show secrets
    #[arg(long)]
    reveal: bool,
}

pub(crate) async fn run(
    Arguments { app, reveal }: Arguments,
    context: &Context,
) -> Result<Outcome> {
    let client = context.existing_client().await?;
    let app = choose(context, &client, app.as_ref()).await?.app;
    let query = [("reveal", reveal.then_some("true"))];
    let list: EnvList = client.get(&target(path::ENVIRONMENT, &[("app", &app)], &query)).await?;
    if list.entries.is_empty() {
        context.output.say(&format!("{app}: no variable is declared or set"));
    }
    context.output.list(&list, || table(&list.entries))?;
    Ok(Outcome::Done)
}

fn table(entries: &[EnvEntry]) -> Table {
    let mut table = Table::new(&["NAME", "VALUE", "FROM", "WHO", "WHEN"]);
    for entry in entries {
        table.row([
            entry.name.clone().into(),
            value(entry),
            layer(entry.layer).into(),
            entry.who.clone().unwrap_or_default().into(),
            entry.at.as_deref().map(minute).unwrap_or_default().into(),
        ]);
    }
    table
}

/// Returns a value's cell; what a secret is stays unsaid.
pub(super) fn value(entry: &EnvEntry) -> Cell {
    match &entry.value {
        _ if entry.missing => Cell::styled("missing, but required", Style::Bad),
        Some(value) if value.is_empty() => Cell::styled("\"\"", Style::Dim),
        Some(value) => value.clone().into(),
        None if entry.secret => Cell::styled("••••••", Style::Dim),
        None => "".into(),
    }
}

/// Returns a layer's name.
pub(super) fn layer(layer: EnvLayer) -> &'static str {
    match layer {
        EnvLayer::Base => "skep",
        EnvLayer::Profile => "server profile",
        EnvLayer::AppFile => "app file",
        EnvLayer::Service => "service",
        EnvLayer::Generated => "generated",
        EnvLayer::Operator => "operator",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::paint::Paint;

    #[test]
    fn secrets_are_masked_and_gaps_are_named() {
        let entry = |name: &str, value: Option<&str>, secret, missing| EnvEntry {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            secret,
            layer: if missing { EnvLayer::AppFile } else { EnvLayer::Operator },
            who: (!missing).then(|| "anna".to_owned()),
            at: (!missing).then(|| "2026-03-05T11:59:19Z".to_owned()),
            missing,
        };
        let entries = [
            entry("DATABASE_URL", None, true, false),
            entry("DEBUG", Some("0"), false, false),
            entry("EMPTY", Some(""), false, false),
            entry("STRIPE_KEY", None, true, true),
        ];
        insta::assert_snapshot!(table(&entries).lines(Paint::Plain).join("\n"), @r#"
        NAME          VALUE                  FROM      WHO   WHEN
        DATABASE_URL  ••••••                 operator  anna  2026-03-05 11:59
        DEBUG         0                      operator  anna  2026-03-05 11:59
        EMPTY         ""                     operator  anna  2026-03-05 11:59
        STRIPE_KEY    missing, but required  app file  -     -
        "#);
    }
}
