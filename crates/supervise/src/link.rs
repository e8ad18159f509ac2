//! Coming into contact with a shim: the one that runs, or a new one.

use std::error::Error;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use control::shim::{Containment, Message};
use control::{Role, ServiceName};
use control_tokio::{Channel, DialError, HandshakeError, Watched};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::timeout;

use crate::config::Config;
use crate::launch::{self, Launched, PID_BYTES, pid_in};
use crate::limits::{HELLO_PATIENCE, LAUNCH_PATIENCE, MAX_ATTEMPTS, MAX_GREETING};
use crate::process::{Silence, open_pidfd};

/// A greeted shim.
pub(crate) struct Link {
    pub(crate) channel: Channel,
    pub(crate) pid: u32,
    pub(crate) containment: Containment,
    /// Tells when its process has ended; absent where the kernel has no pidfds.
    pub(crate) exit: Option<Watched>,
    /// Whether we started it just now, so that it knows of nothing but its journal.
    pub(crate) fresh: bool,
    /// What it said before `ready`.
    pub(crate) greeting: Vec<(Message, Vec<OwnedFd>)>,
}

/// Why there is no contact.
pub(crate) enum Trouble {
    /// Nobody listens.
    Absent,
    /// Somebody listens whom we cannot or must not talk to. `waiting` is the connection that it
    /// has not answered: an event on it means that it woke up or died.
    Unresponsive { reason: String, waiting: Option<Channel> },
    /// It hung up while it was greeted: it is ending, or is dead already and a process that it was
    /// about to start holds its socket until it executes its own program.
    HungUp(String),
    /// It started and ended at once.
    Ended(String),
    /// It could not be started or reached at all.
    Failed(String),
}

/// Returns an error and its causes in one line.
pub(crate) fn told(error: &(dyn Error + 'static)) -> String {
    report::chain(error).join(": ")
}

/// Connects to the shim of `service` and hears it out until `ready`.
async fn connect(config: &Config, service: &ServiceName) -> Result<Link, Trouble> {
    let mut channel = match Channel::connect(&config.socket(service), HELLO_PATIENCE).await {
        Ok(channel) => channel,
        Err(error) if error.is_absent() => return Err(Trouble::Absent),
        Err(error @ DialError::Backlog { .. }) => {
            return Err(Trouble::Unresponsive { reason: told(&error), waiting: None });
        }
        Err(error) => return Err(Trouble::Failed(told(&error))),
    };
    // Opened before the hello: a shim that answers afterwards is alive and thus still the process
    // with this pid.
    let peer = channel.peer_pid();
    let exit = peer.and_then(|pid| Watched::new(open_pidfd(pid).ok()?).ok());
    match channel.handshake(&config.hello(Role::Agent), Role::Shim, HELLO_PATIENCE).await {
        Ok(_) => {}
        Err(HandshakeError::Silent { .. }) => {
            let reason = Silence { pid: peer }.to_string();
            return Err(Trouble::Unresponsive { reason, waiting: Some(channel) });
        }
        Err(HandshakeError::Disagreed(error)) => {
            return Err(Trouble::Unresponsive { reason: told(&error), waiting: None });
        }
        Err(error @ (HandshakeError::Closed | HandshakeError::Channel(_))) => {
            return Err(Trouble::HungUp(told(&error)));
        }
    }
    let mut greeting = Vec::new();
    loop {
        match timeout(HELLO_PATIENCE, channel.receive::<Message>()).await {
            Ok(Ok(Some((Message::Ready { pid, containment }, _)))) => {
                return Ok(Link { channel, pid, containment, exit, fresh: false, greeting });
            }
            Ok(Ok(Some((Message::TurnedAway { reason }, _)))) => {
                return Err(Trouble::HungUp(format!("its shim turned us away: {reason}")));
            }
            Ok(Ok(Some(_))) if greeting.len() >= MAX_GREETING => {
                let reason = format!("its shim sent {MAX_GREETING} messages and was not `ready`");
                return Err(Trouble::Unresponsive { reason, waiting: None });
            }
            Ok(Ok(Some(message))) => greeting.push(message),
            Ok(Ok(None)) => {
                let reason = "its shim closed the connection before it was `ready`";
                return Err(Trouble::HungUp(reason.to_owned()));
            }
            Ok(Err(error)) => return Err(Trouble::HungUp(told(&error))),
            Err(_) => {
                let reason = Silence { pid: peer }.to_string();
                return Err(Trouble::Unresponsive { reason, waiting: Some(channel) });
            }
        }
    }
}

/// Comes into contact with the shim of `service`; starts one only where `may_start` says so and
/// nobody listens.
pub(crate) async fn establish(
    config: &Arc<Config>,
    service: &ServiceName,
    may_start: MayStart,
) -> Result<Link, Trouble> {
    let mut attempts = 1;
    loop {
        let outcome = match connect(config, service).await {
            Err(Trouble::Absent) if may_start == MayStart::Yes => {
                tracing::info!(%service, "starting its shim");
                launch(config, service).await
            }
            outcome => outcome,
        };
        match outcome {
            // What a killed shim leaves behind is gone in a moment.
            Err(Trouble::HungUp(_) | Trouble::Ended(_)) if attempts < MAX_ATTEMPTS => attempts += 1,
            outcome => return outcome,
        }
    }
}

/// Whether a shim may be started where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MayStart {
    Yes,
    No,
}

/// Starts a shim for `service` and connects to it, or to another that was faster to the lock.
async fn launch(config: &Arc<Config>, service: &ServiceName) -> Result<Link, Trouble> {
    let failed = |error: &(dyn Error + 'static)| {
        let program = config.shim_program.path.display();
        Trouble::Failed(format!("failed to start `{program}`: {}", told(error)))
    };
    let start = {
        let (config, service) = (config.clone(), service.clone());
        move || launch::start(&config, &service)
    };
    let launched = match tokio::task::spawn_blocking(start).await {
        Ok(outcome) => outcome.map_err(|error| failed(&error))?,
        Err(error) => return Err(failed(&error)),
    };
    let Ok(at_work) = timeout(LAUNCH_PATIENCE, until_at_work(&launched)).await else {
        let patience = LAUNCH_PATIENCE.as_secs();
        return Err(Trouble::Failed(format!("its shim did not listen within {patience} s")));
    };
    let pid = at_work.map_err(|error| failed(&error))?;
    match connect(config, service).await {
        Ok(link) => Ok(Link { fresh: pid == Some(link.pid), ..link }),
        Err(Trouble::Absent) => {
            let reason = launched.epitaph();
            let wait = {
                let (config, service) = (config.clone(), service.clone());
                move || launch::wait_while_mute(&config, &service)
            };
            match tokio::task::spawn_blocking(wait).await {
                // Somebody keeps the service who does not listen.
                Ok(false) => Err(Trouble::Unresponsive { reason, waiting: None }),
                Ok(true) | Err(_) => Err(Trouble::Ended(reason)),
            }
        }
        Err(trouble) => Err(trouble),
    }
}

/// Waits until the shim listens or has ended; returns its process id.
async fn until_at_work(launched: &Launched) -> io::Result<Option<u32>> {
    let output = OwnedFd::from(launched.output.try_clone()?);
    let mut output = pipe::Receiver::from_owned_fd(output)?;
    let mut pid = Vec::new();
    (&mut output).take(PID_BYTES as u64).read_to_end(&mut pid).await?;
    tokio::io::copy(&mut output, &mut tokio::io::sink()).await?;
    Ok(pid_in(&pid))
}
