use api::{EnvExplain, path};

use super::list::{layer, value};
use crate::client::target;
use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::place::{Place, is_name};
use crate::render::paint::Style;
use crate::render::table::{Cell, Table};
use crate::which::choose;

/// Show every variable that processes get, and where each comes from
///
/// Where several layers set the same name, all are shown and the last one wins. Secrets are masked.
///
/// A word of lowercase letters, digits and hyphens is the app; the other is the variable.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n\
\x20 skep env:explain shop/web\n\
\x20 skep env:explain PORT")]
pub(crate) struct Arguments {
    /// An app or one service of it [default: the app of this directory], then one variable
    #[arg(num_args = 0..=2, value_name = "APP/SERVICE | NAME")]
    words: Vec<String>,
    /// Show secrets
    #[arg(long)]
    reveal: bool,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Outcome> {
    let Arguments { words, reveal } = arguments;
    let (place, variable) = split(&words);
    let client = context.existing_client().await?;
    let chosen = choose(context, &client, place.as_ref()).await?;
    let query = [
        ("service", chosen.service.as_deref()),
        ("variable", variable),
        ("reveal", reveal.then_some("true")),
    ];
    let names = [("app", chosen.app.as_str())];
    let explained: EnvExplain = client.get(&target(path::EXPLAIN, &names, &query)).await?;
    if explained.entries.is_empty() {
        let what = variable.unwrap_or("no variable at all");
        context.output.say(&format!("{} does not get {what}", explained.service));
    }
    context.output.list(&explained, || table(&explained))?;
    Ok(Outcome::Done)
}

fn split(words: &[String]) -> (Option<Place>, Option<&str>) {
    match words {
        [one] if is_name(one) || one.contains(['/', '.']) => {
            (Some(Place::from(one.as_str())), None)
        }
        [one] => (None, Some(one)),
        [place, variable, ..] => (Some(Place::from(place.as_str())), Some(variable)),
        [] => (None, None),
    }
}

fn table(explained: &EnvExplain) -> Table {
    let mut table = Table::new(&["NAME", "VALUE", "LAYER", "SOURCE"]);
    let entries = &explained.entries;
    for (number, entry) in entries.iter().enumerate() {
        let overridden = entries[number + 1..].iter().any(|later| later.name == entry.name);
        let source = explained.sources.get(number).cloned().unwrap_or_default();
        let source = if overridden { format!("{source} (overridden)") } else { source };
        let name = if overridden { Style::Dim } else { Style::Plain };
        table.row([
            Cell::styled(entry.name.clone(), name),
            value(entry),
            layer(entry.layer).into(),
            source.into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::paint::Paint;

    #[test]
    fn the_last_layer_wins_and_the_others_say_so() {
        let entry = |name: &str, value: &str, layer| api::EnvEntry {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            secret: false,
            layer,
            who: None,
            at: None,
            missing: false,
        };
        let explained = EnvExplain {
            service: "shop/web".to_owned(),
            entries: vec![
                entry("PORT", "8000", api::EnvLayer::Profile),
                entry("DEBUG", "1", api::EnvLayer::AppFile),
                entry("DEBUG", "0", api::EnvLayer::Operator),
            ],
            sources: vec![
                "gunicorn".to_owned(),
                "skep.toml:9".to_owned(),
                "env:set by anna".to_owned(),
            ],
        };
        insta::assert_snapshot!(table(&explained).lines(Paint::Plain).join("\n"), @r"
        NAME   VALUE  LAYER           SOURCE
        PORT   8000   server profile  gunicorn
        DEBUG  1      app file        skep.toml:9 (overridden)
        DEBUG  0      operator        env:set by anna
        ");
    }

    #[test]
    fn one_word_is_an_app_or_a_variable() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(split(&words(&["PORT"])), (None, Some("PORT")));
        assert_eq!(split(&words(&["shop"])).0, Some(Place::App("shop".to_owned())));
        assert_eq!(split(&words(&["shop/web", "PORT"])).1, Some("PORT"));
    }
}
