use api::{ReleaseRow, ReleaseState, path};

use crate::client::target;
use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::place::Place;
use crate::render::paint::Style;
use crate::render::quantity::minute;
use crate::render::table::{Cell, Table};
use crate::which::choose;

/// List an app's releases: when, who, what changed, why they failed
///
/// Newest first; times are in UTC. `good` releases are those `skep rollback` can go to.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The app [default: the one of this directory]
    app: Option<Place>,
}

pub(crate) async fn run(Arguments { app }: Arguments, context: &Context) -> Result<Outcome> {
    let client = context.existing_client().await?;
    let app = choose(context, &client, app.as_ref()).await?.app;
    let releases: Vec<ReleaseRow> =
        client.get(&target(path::RELEASES, &[("app", &app)], &[])).await?;
    if releases.is_empty() {
        context.output.say(&format!("{app}: no release yet"));
    }
    context.output.list(&releases, || table(&releases))?;
    Ok(Outcome::Done)
}

fn table(releases: &[ReleaseRow]) -> Table {
    let mut table =
        Table::new(&["RELEASE", "STATE", "WHEN", "WHO", "BY", "SOURCE", "CHANGED", "FAILURE"]);
    for release in releases {
        let (state, style) = match release.state {
            ReleaseState::Pending => ("pending", Style::Warning),
            ReleaseState::Watching => ("watching", Style::Warning),
            ReleaseState::Current => ("current", Style::Good),
            ReleaseState::Good if release.kept => ("good", Style::Plain),
            ReleaseState::Good => ("good, not kept", Style::Dim),
            ReleaseState::Failed => ("failed", Style::Bad),
        };
        table.row([
            format!("v{}", release.number).into(),
            Cell::styled(state, style),
            minute(&release.at).into(),
            release.who.clone().into(),
            release.kind.clone().into(),
            release.source.clone().unwrap_or_default().into(),
            release.changed.join(", ").into(),
            release.failure.clone().unwrap_or_default().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::paint::Paint;

    #[test]
    fn releases_say_who_when_what_and_why() {
        let release = |number, state, failure: Option<&str>| ReleaseRow {
            number,
            state,
            at: "2026-03-05T11:59:19Z".to_owned(),
            who: "anna".to_owned(),
            kind: "deploy".to_owned(),
            source: Some("8c1f2e9".to_owned()),
            changed: vec!["code".to_owned(), "env".to_owned()],
            artifact: None,
            kept: number > 1,
            failure: failure.map(str::to_owned),
        };
        let releases = [
            release(3, ReleaseState::Failed, Some("web 0/2: KeyError")),
            release(2, ReleaseState::Current, None),
            release(1, ReleaseState::Good, None),
        ];
        insta::assert_snapshot!(table(&releases).lines(Paint::Plain).join("\n"), @r"
        RELEASE  STATE           WHEN              WHO   BY      SOURCE   CHANGED    FAILURE
        v3       failed          2026-03-05 11:59  anna  deploy  8c1f2e9  code, env  web 0/2: KeyError
        v2       current         2026-03-05 11:59  anna  deploy  8c1f2e9  code, env  -
        v1       good, not kept  2026-03-05 11:59  anna  deploy  8c1f2e9  code, env  -
        ");
    }
}
