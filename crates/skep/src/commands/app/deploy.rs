use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use api::{DeployKind, DeployRequest};

use crate::change::{ChangeOptions, submit};
use crate::client::Client;
use crate::context::Context;
use crate::error::{Outcome, Result, usage};
use crate::place::Source;

/// Deploy a new release of an app
///
/// Builds the directory, starts the new release beside the old one and switches when it has
/// answered. Whatever fails before leaves the old one as it is. Says "no change" before anything
/// is built if there is none.
///
/// The first Ctrl-C cancels until the switch; after it the deploy goes on without this command.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n\
\x20 skep deploy\n\
\x20 skep deploy ../shop --plan")]
pub(crate) struct Arguments {
    /// The app's directory (a path with a slash or a dot), or an app to be deployed again from
    /// where it came from [default: this directory]
    #[arg(value_name = "DIR")]
    source: Option<Source>,
    /// Where the app is served, ADDR:PORT, :PORT or PORT; belongs to the app and is kept
    #[arg(long, value_name = "ADDR")]
    listen: Option<Listen>,
    /// Build and roll out even if nothing changed
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    options: ChangeOptions,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Outcome> {
    let Arguments { source, listen, force, options } = arguments;
    let (client, request) = request_for(context, source.as_ref(), listen, force).await?;
    submit(context, &client, &request, options).await
}

/// Returns a request to deploy `source`, and whom to ask. The app file is read first: a mistake in
/// it is told before an agent is started.
pub(super) async fn request_for(
    context: &Context,
    source: Option<&Source>,
    listen: Option<Listen>,
    force: bool,
) -> Result<(Client, DeployRequest)> {
    let (directory, client) = match source {
        Some(Source::App(app)) => {
            if let Some(nothing_here) = context.nothing_here().await? {
                let unknown = crate::which::unknown_app(context, app, &[]);
                let is_directory = context.resolve(app.as_ref()).is_dir();
                return Err(if is_directory { unknown } else { nothing_here }.into());
            }
            let client = context.client().await?;
            (directory_of(context, &client, app).await?, Some(client))
        }
        Some(Source::Directory(directory)) => (context.resolve(directory), None),
        None => (context.directory.clone(), None),
    };
    let directory = directory.canonicalize().map_err(|error| {
        usage(format!("failed to open the directory `{}`", directory.display())).because(&error)
    })?;
    let app = crate::source::load(&directory)?;
    let client = match client {
        Some(client) => client,
        None => context.client().await?,
    };
    let request = DeployRequest {
        app: Some(app.name),
        kind: DeployKind::Deploy { directory: directory.to_string_lossy().into_owned(), force },
        who: crate::who::who(),
        listen: listen.map(|listen| listen.to_string()),
        build_environment: crate::parts::build_environment(),
        shell: crate::parts::shell_names(),
    };
    Ok((client, request))
}

/// Returns where an app was deployed from.
async fn directory_of(context: &Context, client: &Client, app: &str) -> Result<PathBuf> {
    let apps = client.apps().await?;
    let known: Vec<String> = apps.iter().map(|known| known.name.clone()).collect();
    match apps.into_iter().find(|known| known.name == app).map(|known| known.directory) {
        Some(Some(directory)) => Ok(directory.into()),
        Some(None) => {
            Err(usage(format!("`{app}` was never deployed from a directory of this machine"))
                .hint(format!("skep deploy DIR    where the code of `{app}` is"))
                .into())
        }
        None => Err(crate::which::unknown_app(context, app, &known).into()),
    }
}

/// An address to serve an app at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listen {
    /// `:8000` or `8000`: all addresses.
    Port(u16),
    /// `127.0.0.1:8000`, `[::1]:8000`
    Address(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = text.strip_prefix(':').unwrap_or(text);
        match port.parse() {
            Ok(0) => Err("port 0 would be another one each time".to_owned()),
            Ok(port) => Ok(Self::Port(port)),
            Err(_) => text
                .parse()
                .map(Self::Address)
                .map_err(|_| "not ADDR:PORT, :PORT or PORT, for example 127.0.0.1:8000".to_owned()),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, ":{port}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ports_or_both() {
        for (text, shown) in [
            (":8000", ":8000"),
            ("8000", ":8000"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), shown);
        }
        for text in ["", ":", "0", "localhost:80", "80:80", "127.0.0.1", ":65536"] {
            assert!(text.parse::<Listen>().is_err(), "{text:?} was accepted");
        }
    }
}
