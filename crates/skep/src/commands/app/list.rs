use api::{AppState, AppSummary};

use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::render::paint::Style;
use crate::render::table::{Cell, Table};

/// List apps
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

pub(crate) async fn run(Arguments {}: Arguments, context: &Context) -> Result<Outcome> {
    let apps = match context.client_for_list().await? {
        Some(client) => {
            let apps = client.apps().await?;
            if apps.is_empty() {
                context.output.say("no app yet");
                context.output.hint("skep up    in an app's directory");
            }
            apps
        }
        None => Vec::new(),
    };
    context.output.list(&apps, || table(&apps))?;
    Ok(Outcome::Done)
}

fn table(apps: &[AppSummary]) -> Table {
    let mut table = Table::new(&["APP", "RELEASE", "STATE", "ADDRESS", "FROM"]);
    for app in apps {
        let (state, style) = match app.state {
            AppState::Running => ("running", Style::Good),
            AppState::Degraded => ("degraded", Style::Warning),
            AppState::Stopped => ("stopped", Style::Dim),
            AppState::New => ("no good release", Style::Warning),
        };
        let deploying = if app.deploy.is_some() { ", deploying" } else { "" };
        table.row([
            app.name.clone().into(),
            app.release.map(|number| format!("v{number}")).unwrap_or_default().into(),
            Cell::styled(format!("{state}{deploying}"), style),
            app.addresses.join(" ").into(),
            app.directory.clone().unwrap_or_default().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::paint::Paint;

    #[test]
    fn apps_say_where_they_stand() {
        let app = |name: &str, state, release, deploy: Option<&str>| AppSummary {
            name: name.to_owned(),
            state,
            release,
            addresses: vec![format!("http://{name}.localhost:8000")],
            directory: Some(format!("/srv/{name}")),
            deploy: deploy.map(|id| api::DeployId(id.to_owned())),
        };
        let apps = [
            app("blog", AppState::New, None, Some("d3")),
            app("shop", AppState::Running, Some(14), None),
        ];
        insta::assert_snapshot!(table(&apps).lines(Paint::Plain).join("\n"), @r"
        APP   RELEASE  STATE                       ADDRESS                     FROM
        blog  -        no good release, deploying  http://blog.localhost:8000  /srv/blog
        shop  v14      running                     http://shop.localhost:8000  /srv/shop
        ");
    }
}
