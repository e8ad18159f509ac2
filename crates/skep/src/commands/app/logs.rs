use api::{LogLine, ReleaseRow, path};
use report::Kind;

use super::rollback::Release;
use crate::client::{self, Client, target};
use crate::context::Context;
use crate::error::{Error, Outcome, Result, usage};
use crate::output::{Format, Output};
use crate::place::Place;
use crate::render::log::{self, Origin};
use crate::which::{Chosen, app_here, check_service, choose};

/// Print what an app's processes write
///
/// Both streams of all slots in the order in which they were read, each line with its time (UTC)
/// and slot; lines of Skep's own (starts, exits) begin with `--`. In an app's directory that app,
/// elsewhere all of them.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n\
\x20 skep logs shop/web -f\n\
\x20 skep logs --release v13 -n 1000 --json")]
pub(crate) struct Arguments {
    /// An app, or one service of it [default: the app of this directory, else all]
    #[arg(value_name = "APP | APP/SERVICE")]
    app: Option<Place>,
    /// Go on with lines as they come
    #[arg(short, long)]
    follow: bool,
    /// The last N lines
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 100)]
    lines: usize,
    /// Only lines of this release
    #[arg(long, value_name = "RELEASE")]
    release: Option<Release>,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Outcome> {
    let Arguments { app, follow, lines, release } = arguments;
    let client = context.existing_client().await?;
    let chosen = match &app {
        // The agent and the proxy are services of the built-in app, which no list has.
        Some(Place::Service { app, service }) if app == BUILT_IN => {
            Some(Chosen { app: app.clone(), service: Some(service.clone()) })
        }
        Some(Place::App(app)) if app == BUILT_IN => {
            Some(Chosen { app: app.clone(), service: None })
        }
        None if app_here(context, &client).await?.is_none() => None,
        place => Some(choose(context, &client, place.as_ref()).await?),
    };
    print(&context.output, &client, chosen.as_ref(), release, lines, follow).await
}

/// The app whose services are Skep's own.
const BUILT_IN: &str = "skep";

async fn print(
    output: &Output,
    client: &Client,
    chosen: Option<&Chosen>,
    release: Option<Release>,
    lines: usize,
    follow: bool,
) -> Result<Outcome> {
    let wanted = release;
    let release = release.map(|Release(number)| number.to_string());
    let lines = lines.to_string();
    let query = [
        ("app", chosen.map(|chosen| chosen.app.as_str())),
        ("service", chosen.and_then(|chosen| chosen.service.as_deref())),
        ("release", release.as_deref()),
        ("lines", Some(lines.as_str())),
        ("follow", Some(if follow { "true" } else { "false" })),
    ];
    let origin = if chosen.is_some() { Origin::Slot } else { Origin::App };
    let stream = client.stream(&target(path::LOGS, &[], &query)).await;
    if let (Err(Error::Failure(failure)), Some(chosen)) = (&stream, chosen)
        && failure.kind == Kind::Usage
        && chosen.app != BUILT_IN
    {
        // Nothing was logged by it: does it exist?
        check_service(client, chosen).await?;
    }
    let mut stream = stream?;
    let mut printed = false;
    while let Some(raw) = stream.next().await? {
        printed = true;
        if output.format == Format::Json {
            output.line(&raw)?;
        } else if let Some(line) = client::parse::<LogLine>(&raw) {
            output.line(&log::line(&line, origin, output.data_paint))?;
        }
    }
    if let (false, Some(Release(number)), Some(chosen)) = (printed, wanted, chosen) {
        check_release(client, &chosen.app, number).await?;
    }
    Ok(Outcome::Done)
}

/// Fails if the app has never had such a release: silence would look like one that wrote nothing.
async fn check_release(client: &Client, app: &str, number: u32) -> Result<()> {
    if app == BUILT_IN {
        return Ok(());
    }
    let releases: Vec<ReleaseRow> =
        client.get(&target(path::RELEASES, &[("app", app)], &[])).await?;
    if releases.iter().any(|release| release.number == number) {
        return Ok(());
    }
    let failure = usage(format!("{app} has no release v{number}"));
    Err(failure.hint(format!("skep releases {app}")).into())
}
