//! Reaching the agent, and starting it where nobody runs.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use home::Home;
use report::{Failure, Kind};

use super::request::Client;
use crate::error::Result;
use crate::output::Output;

/// How long a fresh agent may take to answer: it opens its store and greets every shim first.
const START_MAX: Duration = Duration::from_secs(60);

/// Dials the agent's socket.
pub(super) fn dial(socket: &Path) -> io::Result<UnixStream> {
    disk::socket::connect_stream(socket).map(UnixStream::from).map_err(|error| error.source)
}

/// Returns a client of the agent that runs here; starts nothing.
pub(crate) fn connect(home: &Home, output: &Output) -> Result<Client> {
    match probe(home)? {
        Presence::Listening => Ok(Client::new(home.clone(), output.says_progress())),
        Presence::Absent => Err(Failure::new(
            Kind::Unavailable,
            format!("no agent runs for `{}`", home.root().display()),
        )
        .hint("any `skep` command that needs it starts it, for example `skep ps`")
        .into()),
    }
}

/// Returns a client of the agent; makes the installation and starts the agent if need be.
pub(crate) async fn connect_or_start(home: &Home, output: &Output) -> Result<Client> {
    if let Presence::Listening = probe(home)? {
        return connect(home, output);
    }
    output.say("starting the agent");
    crate::parts::start_agent(home)?;
    if let Presence::Absent = probe(home)? {
        return Err(without_socket(home).into());
    }
    // Its shim holds the socket now; the request waits until the agent reads it.
    let client = connect(home, output)?;
    client.get_within::<api::Overview>(api::path::OVERVIEW, START_MAX).await?;
    Ok(client)
}

/// Says that the agent's shim runs and nobody can reach it: somebody removed the socket's file.
fn without_socket(home: &Home) -> Failure {
    let socket = home.api_socket();
    let text = format!("the agent runs, but nobody listens at `{}`", socket.display());
    Failure::new(Kind::Unavailable, text)
        .hint("skep agent:stop    then the next command makes the socket anew; services go on")
}

/// Returns whether somebody holds the agent's socket.
pub(crate) fn is_there(home: &Home) -> Result<bool> {
    Ok(matches!(probe(home)?, Presence::Listening))
}

/// Whether somebody holds the agent's socket.
enum Presence {
    Listening,
    Absent,
}

fn probe(home: &Home) -> Result<Presence> {
    let socket = home.api_socket();
    match dial(&socket) {
        Ok(_) => Ok(Presence::Listening),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(Presence::Absent),
            io::ErrorKind::PermissionDenied => Err(Failure::new(
                Kind::Permission,
                format!("the agent at `{}` does not let you in", home.root().display()),
            )
            .because(&error)
            .hint("it answers root, its own user and group `skep`")
            .into()),
            _ => Err(Failure::new(
                Kind::Unavailable,
                format!("failed to reach the agent at `{}`", socket.display()),
            )
            .because(&error)
            .hint("skep doctor")
            .into()),
        },
    }
}
