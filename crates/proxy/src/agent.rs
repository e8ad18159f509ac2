//! The control socket: what the agent asks and is told.
//!
//! Any number of agents may come and go, one after the other or for a moment together; the routes
//! stay. What one connection asked for (its drains) ends with it.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use control::proxy::{EndpointId, Message, Request};
use control::{Hello, Role};
use control_tokio::{Channel, ChannelError, HandshakeError};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::apply::Applier;
use crate::limits::{
    ACCEPT_PAUSE, DRAINING_EVERY, HELLO_PATIENCE, MAX_CONTROL_CONNECTIONS, MAX_DRAINS,
};
use crate::shared::Shared;
use crate::tracker::Phase;
use crate::worker::Listeners;

/// What every control connection works with.
pub(crate) struct Control {
    pub(crate) shared: Arc<Shared>,
    pub(crate) applier: Arc<Applier>,
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) hello: Hello,
}

/// Why a control connection ended, apart from its peer closing it.
#[derive(Debug, thiserror::Error)]
enum ControlError {
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error("more than {MAX_DRAINS} drains at once")]
    TooManyDrains,
}

/// A drain that was asked for and is not over.
struct Drain {
    id: u64,
    endpoints: Vec<EndpointId>,
    /// The last total that was told, and when.
    told: Option<(u64, Instant)>,
}

/// Accepts control connections for ever.
pub(crate) async fn serve(listener: UnixListener, control: Arc<Control>) {
    let places = Arc::new(Semaphore::new(MAX_CONTROL_CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let control = Arc::clone(&control);
                connections.spawn(async move {
                    let outcome = match stream.into_std() {
                        Ok(stream) => connection(stream.into(), &control).await,
                        Err(_) => Ok(()),
                    };
                    if let Err(error) = outcome {
                        let text = report::chain(&error).join(": ");
                        control.shared.log.event("control connection failed", &text);
                    }
                    drop(place);
                });
            }
            Err(error) => {
                control.shared.log.event("control accept failed", &error.to_string());
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(socket: OwnedFd, control: &Control) -> Result<(), ControlError> {
    let mut channel = Channel::from_socket(socket)?;
    channel.handshake(&control.hello, Role::Agent, HELLO_PATIENCE).await?;
    let state = Message::State {
        revision: control.applier.revision(),
        listeners: control.listeners.names(),
        pid: std::process::id(),
    };
    channel.send(&state, Vec::new()).await?;
    let mut drains: Vec<Drain> = Vec::new();
    loop {
        let mut ended = std::pin::pin!(control.shared.ended.notified());
        ended.as_mut().enable();
        report_drains(&mut drains, control, &mut channel)?;
        let look_again = async {
            if drains.is_empty() {
                return std::future::pending().await;
            }
            // Also without an end: the list shows ages, and a table may have come.
            let _ = tokio::time::timeout(DRAINING_EVERY, ended).await;
        };
        let received = tokio::select! {
            received = channel.receive::<Request>() => received?,
            () = look_again => continue,
        };
        let Some((request, fds)) = received else { return Ok(()) };
        match request {
            Request::Drain { id, endpoints } => {
                if drains.len() == MAX_DRAINS {
                    return Err(ControlError::TooManyDrains);
                }
                drains.push(Drain { id, endpoints, told: None });
            }
            request => {
                let answer = control.answer(request, fds).await;
                if let Some(answer) = answer {
                    channel.queue(&answer, Vec::new())?;
                }
            }
        }
    }
}

/// Tells what changed about each drain.
fn report_drains(
    drains: &mut Vec<Drain>,
    control: &Control,
    channel: &mut Channel,
) -> Result<(), ChannelError> {
    let now = Instant::now();
    let mut outcome = Ok(());
    drains.retain_mut(|drain| {
        let id = drain.id;
        if control.applier.is_drained(&drain.endpoints) {
            outcome = channel.queue(&Message::Drained { id }, Vec::new());
            return outcome.is_err();
        }
        if drain.told.is_some_and(|(_, at)| now.duration_since(at) < DRAINING_EVERY) {
            return true;
        }
        let (in_flight, total) = control.shared.tracker.list(&drain.endpoints);
        if drain.told.is_none_or(|(told, _)| told != total) {
            drain.told = Some((total, now));
            outcome = channel.queue(&Message::Draining { id, in_flight, total }, Vec::new());
        }
        true
    });
    outcome
}

impl Control {
    /// Does what is asked; `None` where no answer is due.
    async fn answer(&self, request: Request, fds: Vec<OwnedFd>) -> Option<Message> {
        match request {
            Request::Routes { revision, table } => {
                Some(match self.applier.apply(revision, table).await {
                    Ok(()) => Message::Applied { revision },
                    Err(refused) => Message::Refused {
                        revision,
                        current: refused.current,
                        reason: refused.reason,
                    },
                })
            }
            Request::Listeners { names } => {
                for (name, fd) in names.into_iter().zip(fds) {
                    if let Err(error) = self.listeners.add(&name, &fd) {
                        let text = format!("{name}: {error}");
                        self.shared.log.event("failed to listen", &text);
                    }
                }
                Some(Message::Listening { names: self.listeners.names() })
            }
            Request::Unlisten { names } => {
                self.listeners.remove(&names).await;
                Some(Message::Listening { names: self.listeners.names() })
            }
            Request::Cut { id, endpoints } => {
                let (requests, total) = self.shared.tracker.cut(&endpoints);
                Some(Message::WasCut { id, requests, total })
            }
            Request::Counters { id } => {
                Some(Message::Counters { id, services: self.applier.counters() })
            }
            Request::Leave {} => {
                self.shared.tracker.enter(Phase::Leaving);
                None
            }
            Request::Drain { .. } | Request::Unknown => Some(Message::Unsupported {}),
        }
    }
}
