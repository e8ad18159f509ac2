use api::{UpRequest, path};
use report::{Failure, Kind};

use super::deploy::{Listen, request_for};
use crate::change::{ChangeOptions, Ends, Follow, submit};
use crate::client::target;
use crate::context::Context;
use crate::error::{Error, Outcome, Result};
use crate::interrupt::Interrupts;
use crate::place::Source;
use crate::render::deploy::Session;

/// Build, deploy and serve the app in a directory
///
/// Runs in the foreground and shows what the app writes; Ctrl-C drains what it started. When this
/// command ends in any other way (a closed terminal, kill -9), the agent drains as well.
///
/// With --detach the app stays: the same as `skep deploy`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n\
\x20 skep up\n\
\x20 skep up examples/guestbook --listen :8080")]
pub(crate) struct Arguments {
    /// The app's directory (a path with a slash or a dot), or an app to be deployed again from
    /// where it came from [default: this directory]
    #[arg(value_name = "DIR")]
    source: Option<Source>,
    /// Leave the app running
    #[arg(short, long)]
    detach: bool,
    /// Where the app is served, ADDR:PORT, :PORT or PORT; belongs to the app and is kept [default:
    /// 0.0.0.0:80 as root, else the first free port from 8000]
    #[arg(long, value_name = "ADDR")]
    listen: Option<Listen>,
    #[command(flatten)]
    options: ChangeOptions,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Outcome> {
    let Arguments { source, detach, listen, options } = arguments;
    let (client, request) = request_for(context, source.as_ref(), listen, false).await?;
    if detach || options.plan {
        return submit(context, &client, &request, options).await;
    }
    let interrupts = Interrupts::listen()?;
    let app = request.app.clone().unwrap_or_default();
    let session = session_id()?;
    let request = UpRequest { deploy: request, session: session.clone() };
    let events = match client.post_stream(path::UP, &request).await {
        Err(Error::Failure(failure)) if failure.kind == Kind::Unavailable => {
            // An agent that was killed before it could answer may have taken it on all the same.
            let held = client.stream(&target(path::SESSION, &[("session", &session)], &[])).await;
            held.map_err(|_| Error::Failure(failure))?
        }
        answer => answer?,
    };
    Follow::new(
        &context.output,
        &client,
        interrupts,
        Session::Foreground,
        options.output.verbosity(),
    )
    .of(&app, None)
    .holding(session)
    .run(events, Ends::WithTheSession)
    .await
}

/// Returns an id that nobody else has.
fn session_id() -> Result<String> {
    /// The kernel's source of them, see random(4).
    const SOURCE: &str = "/proc/sys/kernel/random/uuid";
    let id = std::fs::read_to_string(SOURCE).map_err(|error| {
        Failure::new(Kind::Failed, format!("failed to read `{SOURCE}`")).because(&error)
    })?;
    Ok(id.trim().to_owned())
}
