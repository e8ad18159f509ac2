//! What the rest of the agent holds of the one owner of the node's routes.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use control::proxy::{EndpointId, InFlight, ServiceCounters};
use control::{Hello, Revision, SlotId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::owner::{Command, Owner};
use crate::section::Section;

/// How long the proxies may take to put a table in force before the change counts as failed; a
/// table is applied in milliseconds, a proxy restarted in some hundred.
pub(crate) const ACK_PATIENCE: Duration = Duration::from_secs(10);

/// Commands that may wait for the router.
pub(crate) const MAX_COMMANDS: usize = 256;

/// A proxy that lives, as its shim reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyInstance {
    /// Its slot of `skep/proxy`.
    pub slot: SlotId,
    /// Which start of the slot; another start is another instance.
    pub start: u64,
    /// Its control socket.
    pub socket: PathBuf,
}

/// A table that is not in force everywhere.
#[derive(Debug, thiserror::Error)]
pub enum RoutingError {
    /// Some live proxy did not answer, or none lives.
    #[error("{missing} has not acknowledged routes {revision} within {} s", ACK_PATIENCE.as_secs())]
    NotAcknowledged {
        /// The revision.
        revision: Revision,
        /// Who is missing.
        missing: String,
    },
    /// A proxy refused the table.
    #[error("the proxy refused routes {revision}: {reason}")]
    Refused {
        /// The revision.
        revision: Revision,
        /// What it said.
        reason: String,
    },
    /// The router is gone: the agent is ending.
    #[error("the agent is ending")]
    Ending,
}

/// A drain that got no answer.
#[derive(Debug, thiserror::Error)]
#[error("the agent is ending")]
pub struct DrainError;

/// What had to be ended at a drain's limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cut {
    /// The requests, oldest first; bounded, see [`control::proxy::MAX_LISTED`].
    pub requests: Vec<InFlight>,
    /// How many in all.
    pub total: u64,
}

/// Handle of the one owner of the node's routes; clones share it.
#[derive(Debug, Clone)]
pub struct Router {
    commands: mpsc::Sender<Command>,
}

impl Router {
    /// Starts the owner. `epoch` must be higher than at every start before; `instances` are the
    /// live proxies, kept up to date by the caller.
    pub fn spawn(epoch: u32, hello: Hello, instances: watch::Receiver<Vec<ProxyInstance>>) -> Self {
        let (commands, receiver) = mpsc::channel(MAX_COMMANDS);
        let owner = Owner::new(epoch, hello, &instances);
        tokio::spawn(owner.run(receiver, instances));
        Self { commands }
    }

    /// Sets the routes of all apps at once and waits until every live proxy has them in force.
    ///
    /// Before this no proxy is sent a table: one that is incomplete would take routes away from
    /// the apps that are missing in it, and proxies have those of the agent before.
    pub async fn begin(&self, sections: Vec<(String, Section)>) -> Result<Revision, RoutingError> {
        let (done, answer) = oneshot::channel();
        self.commands
            .send(Command::Begin { sections, done })
            .await
            .map_err(|_| RoutingError::Ending)?;
        answer.await.map_err(|_| RoutingError::Ending)?
    }

    /// Replaces the routes of an app and waits until every live proxy has them in force.
    pub async fn set_app(&self, app: &str, section: Section) -> Result<Revision, RoutingError> {
        let (done, answer) = oneshot::channel();
        let command = Command::SetApp { app: app.to_owned(), section, done };
        self.commands.send(command).await.map_err(|_| RoutingError::Ending)?;
        answer.await.map_err(|_| RoutingError::Ending)?
    }

    /// Marks a slot ready or not; sent at once, not waited for.
    pub async fn set_ready(&self, app: &str, endpoint: EndpointId, ready: bool) {
        let command = Command::SetReady { app: app.to_owned(), endpoint, ready };
        let _ = self.commands.send(command).await;
    }

    /// Lets every proxy accept on this listener.
    pub async fn listen(&self, name: &str, socket: OwnedFd) {
        let command = Command::Listen { name: name.to_owned(), socket: Arc::new(socket) };
        let _ = self.commands.send(command).await;
    }

    /// Lets every proxy close this listener; connections that it accepted go on.
    pub async fn unlisten(&self, name: &str) {
        let _ = self.commands.send(Command::Unlisten { name: name.to_owned() }).await;
    }

    /// Waits until nothing is in flight on endpoints that the table in force does not hold any
    /// more; at the limit what is left is cut. `progress` sees what is waited for.
    pub async fn drain(
        &self,
        endpoints: Vec<EndpointId>,
        limit: Duration,
        progress: watch::Sender<Vec<InFlight>>,
    ) -> Result<Cut, DrainError> {
        if endpoints.is_empty() {
            return Ok(Cut::default());
        }
        let (done, answer) = oneshot::channel();
        let command = Command::Drain { endpoints: endpoints.clone(), progress, done };
        self.commands.send(command).await.map_err(|_| DrainError)?;
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(())) => Ok(Cut::default()),
            Ok(Err(_)) => Err(DrainError),
            Err(_) => {
                let (done, answer) = oneshot::channel();
                let command = Command::Cut { endpoints, done };
                self.commands.send(command).await.map_err(|_| DrainError)?;
                answer.await.map_err(|_| DrainError)
            }
        }
    }

    /// Returns once this proxy has the table in force and accepts on every listener: from then on
    /// another one may leave. Waits for ever otherwise; cancel-safe.
    pub async fn serves(&self, slot: SlotId) -> Result<(), RoutingError> {
        let (done, answer) = oneshot::channel();
        let command = Command::AwaitProxy { slot, done };
        self.commands.send(command).await.map_err(|_| RoutingError::Ending)?;
        answer.await.map_err(|_| RoutingError::Ending)
    }

    /// Tells a proxy to accept no more and to end when nothing is left: now, and whenever it is
    /// connected again, because one that was restarted does not know of it. Until its end it takes
    /// part in acknowledgements and drains like any other.
    pub async fn leave(&self, slot: SlotId) {
        let _ = self.commands.send(Command::Leave { slot }).await;
    }

    /// Returns every service's counters, summed over the live proxies that answer in time.
    pub async fn counters(&self) -> Vec<ServiceCounters> {
        let (done, answer) = oneshot::channel();
        if self.commands.send(Command::Counters { done }).await.is_err() {
            return Vec::new();
        }
        answer.await.unwrap_or_default()
    }
}
