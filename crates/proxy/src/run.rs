//! A proxy from start to end.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use arc_swap::ArcSwap;
use control::{Hello, PROTOCOL, Role};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use crate::agent::{self, Control};
use crate::apply::Applier;
use crate::lastgood;
use crate::limits::{Limits, SWEEP};
use crate::log::Log;
use crate::shared::Shared;
use crate::table::Table;
use crate::tracker::{Phase, Tracker};
use crate::worker::{Listeners, Workers};

/// Everything a proxy is started with.
pub struct Config {
    /// The last-known-good file.
    pub routes_file: PathBuf,
    /// The installation it belongs to.
    pub installation: String,
    /// This boot.
    pub boot_id: String,
    /// The listening control socket.
    pub control: UnixListener,
    /// Public listeners by name.
    pub listeners: Vec<(String, OwnedFd)>,
    /// Threads that serve requests.
    pub workers: usize,
    /// Client connections at once; who finds no place waits in the backlog.
    pub max_connections: usize,
    /// Whether every request is logged, or only those that the proxy answered itself.
    pub access_log: bool,
    /// What clients and slots may take.
    pub limits: Limits,
    /// Where log lines go.
    pub log: Box<dyn Write + Send>,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("routes_file", &self.routes_file)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

/// A proxy that could not start.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// Its threads.
    #[error("failed to start the proxy's threads")]
    Threads(#[source] io::Error),
    /// Its control socket.
    #[error("failed to listen on the control socket")]
    Control(#[source] io::Error),
    /// A public listener.
    #[error("failed to listen on `{name}`")]
    Listener {
        /// Its name.
        name: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// A running proxy. Dropping it cuts everything; [`Self::leave`] does not.
pub struct Proxy {
    shared: Arc<Shared>,
    listeners: Arc<Listeners>,
    _workers: Arc<Workers>,
    _tasks: JoinSet<()>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").finish_non_exhaustive()
    }
}

impl Proxy {
    /// Starts a proxy: first the last-known-good routes, then the listeners, on which it accepts as
    /// soon as it has routes, then the control socket. Must be called inside a runtime, which serves the control side only.
    pub async fn start(config: Config) -> Result<Self, ProxyError> {
        let workers = config.workers.max(1);
        let log = Log::start(config.log).map_err(ProxyError::Threads)?;
        let shared = Arc::new(Shared {
            table: ArcSwap::from_pointee(Table::default()),
            tracker: Arc::new(Tracker::default()),
            log,
            access_log: config.access_log,
            limits: config.limits,
            held_bytes: AtomicUsize::new(0),
            places: Arc::new(Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS))),
            ended: Arc::new(Notify::new()),
        });
        let applier = Arc::new(Applier::new(
            Arc::clone(&shared),
            config.routes_file.clone(),
            config.boot_id.clone(),
            config.installation.clone(),
            workers,
        ));
        match lastgood::load(&config.routes_file, &config.boot_id, &config.installation) {
            Ok(Some(saved)) => applier.restore(saved).await,
            Ok(None) => {}
            // It accepts once it is given some.
            Err(error) => {
                let text = report::chain(&error).join(": ");
                shared.log.event("started without the last routes", &text);
            }
        }
        let threads = Arc::new(Workers::start(workers).map_err(ProxyError::Threads)?);
        let listeners = Arc::new(Listeners::new(Arc::clone(&shared), Arc::clone(&threads)));
        for (name, socket) in config.listeners {
            listeners
                .add(&name, &socket)
                .map_err(|source| ProxyError::Listener { name, source })?;
        }
        config.control.set_nonblocking(true).map_err(ProxyError::Control)?;
        let control_listener =
            tokio::net::UnixListener::from_std(config.control).map_err(ProxyError::Control)?;
        let control = Arc::new(Control {
            shared: Arc::clone(&shared),
            applier: Arc::clone(&applier),
            listeners: Arc::clone(&listeners),
            hello: Hello {
                protocol: PROTOCOL,
                role: Role::Proxy,
                build: env!("CARGO_PKG_VERSION").to_owned(),
                boot_id: config.boot_id,
                installation: config.installation,
            },
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(agent::serve(control_listener, control));
        tasks.spawn(async move {
            let mut tick = tokio::time::interval(SWEEP);
            loop {
                tick.tick().await;
                applier.sweep();
            }
        });
        Ok(Self { shared, listeners, _workers: threads, _tasks: tasks })
    }

    /// Stops accepting; what runs ends by itself, idle clients get one more answer.
    pub fn leave(&self) {
        self.shared.tracker.enter(Phase::Leaving);
    }

    /// Stops accepting and closes idle connections at once; requests that run still end.
    pub fn close(&self) {
        self.shared.tracker.enter(Phase::Closing);
    }

    /// Returns when the proxy was told to leave and nothing is left.
    pub async fn left(&self) {
        let tracker = &self.shared.tracker;
        loop {
            let mut ended = std::pin::pin!(tracker.ended.notified());
            let mut changed = std::pin::pin!(tracker.phase_changed.notified());
            ended.as_mut().enable();
            changed.as_mut().enable();
            let leaving = tracker.phase() > Phase::Serving;
            if leaving && self.listeners.is_quiet() && tracker.len() == 0 {
                return;
            }
            tokio::select! {
                () = ended => {}
                () = changed => {}
            }
        }
    }
}

/// Runs a proxy until it was told to leave and nothing is left.
pub async fn run(config: Config) -> Result<(), ProxyError> {
    Proxy::start(config).await?.left().await;
    Ok(())
}
