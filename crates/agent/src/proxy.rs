//! The proxy as a service: its slots, its listeners, who of it lives.
//!
//! There is one proxy; a second one only while it is being upgraded ([`upgrade`]). Which there may
//! be is in the store ([`places`]). A proxy is known by its *build*: that of the program that was at
//! its path when the agent had it started. So one that was restarted by its shim after the program
//! was replaced counts as old; its upgrade is one too many and costs nothing. One whose control
//! socket lost its file is replaced as well: its shim holds the socket, and nobody can connect to it,
//! however often it is restarted.

mod places;
mod retry;
mod upgrade;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use control::shim::{Phase, RestartPolicy, SharedListener, SlotSocket, SlotSpec};
use deploy::executor::proxy_service;
use deploy::users::User;
use disk::PathContext;
use home::Home;
use report::{Failure, Kind};
use routing::ProxyInstance;
use store::Store;
use supervise::{ServiceHandle, ServiceView, Supervisor};
use tokio::sync::watch;

use places::Places;
pub(crate) use retry::Retry;
use upgrade::{is_over, slot};

/// How long the proxy may take to end when it is stopped: its requests end first.
const GRACE: Duration = Duration::from_secs(60);

/// Connections, two a request at the worst.
const OPEN_FILES: u64 = 65_536;

/// The proxies of this installation, and how one of this build is started.
pub(crate) struct Proxies {
    store: Arc<Store>,
    handle: ServiceHandle,
    home: Home,
    recipe: SlotSpec,
    places: Places,
}

impl Proxies {
    /// Reads which there may be; `recipe` is how the first one would be started.
    pub(crate) fn read(
        store: &Arc<Store>,
        supervisor: &Supervisor,
        home: &Home,
        recipe: SlotSpec,
    ) -> Result<Self, Failure> {
        let places =
            Places::read(store).map_err(|error| Failure::from_error(Kind::Failed, &error))?;
        let (store, handle) = (Arc::clone(store), supervisor.service(&proxy_service()));
        Ok(Self { store, handle, home: home.clone(), recipe, places })
    }

    /// Returns how each that there may be is started.
    pub(crate) fn expected(&self) -> Vec<SlotSpec> {
        self.places.all().map(|generation| self.recipe_of(generation)).collect()
    }

    /// Returns whether the current proxy is the one that should be, and no other is left.
    pub(crate) fn is_settled(&self) -> bool {
        let current = self.places.current();
        self.places.build(current) == self.build()
            && !self.is_lost(current)
            && self.places.others().is_empty()
    }

    /// Returns whether nobody can connect to a proxy: it has a slot, and its control socket no file.
    fn is_lost(&self, generation: u64) -> bool {
        let path = self.socket_of(generation);
        let has_slot = self.handle.view().slots.contains_key(&slot(generation));
        has_slot && path.try_exists().is_ok_and(|exists| !exists)
    }

    fn socket_of(&self, generation: u64) -> std::path::PathBuf {
        self.home.slot_socket(SOCKET_NAME, generation, slot(generation).number.0)
    }

    /// Returns this build, as recipes name it.
    fn build(&self) -> &str {
        &self.recipe.release
    }

    fn recipe_of(&self, generation: u64) -> SlotSpec {
        SlotSpec {
            id: slot(generation),
            release: self.places.build(generation).to_owned(),
            socket: socket(&self.socket_of(generation)),
            ..self.recipe.clone()
        }
    }

    /// Makes sure that the current proxy runs and opens the public listeners; returns their names
    /// with descriptors.
    pub(crate) async fn start(
        &mut self,
        listeners: &[String],
    ) -> Result<Vec<(String, std::os::fd::OwnedFd)>, Failure> {
        let failed = |error: supervise::SuperviseError| Failure::from_error(Kind::Failed, &error);
        self.handle.ensure_shim().await.map_err(failed)?;
        let mut opened = Vec::new();
        for name in listeners {
            let Ok(address) = name.parse() else { continue };
            match self.handle.open(SharedListener { name: name.clone(), address }).await {
                Ok(socket) => opened.push((name.clone(), socket)),
                // The others serve; this one is a problem that is shown.
                Err(error) => tracing::error!(name, %error, "failed to open a listener"),
            }
        }
        let current = self.places.current();
        let state = self.handle.view().slots.get(&slot(current)).map(|state| state.phase);
        if state.is_none_or(is_over) {
            let build = self.build().to_owned();
            self.places.start_afresh(&build);
            self.places
                .write(&self.store)
                .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
        }
        self.handle.start(self.recipe_of(current)).await.map_err(failed)?;
        Ok(opened)
    }
}

/// The proxy's name in the paths of its sockets.
const SOCKET_NAME: &str = "skep.proxy";

/// Returns a control socket.
fn socket(path: &Path) -> SlotSocket {
    SlotSocket::Unix { path: path.to_string_lossy().into_owned(), mode: 0o600, group: None }
}

/// Returns what tells a program from any other that was or will be at its path.
fn build_of(program: &Path) -> Result<String, Failure> {
    let found = std::fs::metadata(program)
        .context("look at", program)
        .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    let (file, changed) = ((found.dev(), found.ino()), (found.mtime(), found.mtime_nsec()));
    let version = crate::start::build();
    Ok(format!("{version}-{:x}.{:x}.{:x}.{:x}", file.0, file.1, changed.0, changed.1))
}

/// Returns how the first proxy is started.
pub(crate) fn recipe(
    home: &Home,
    installation: &str,
    program: &Path,
    user: Option<&User>,
) -> Result<SlotSpec, Failure> {
    let directory = home.proxy();
    if let Some(user) = user {
        std::os::unix::fs::chown(&directory, Some(user.uid), Some(user.gid))
            .context("change the owner of", &directory)
            .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    }
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let arguments = ["skep", "proxy", "--home", &text(home.root()), "--installation", installation];
    let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    Ok(SlotSpec {
        id: slot(1),
        release: build_of(program)?,
        program: text(program),
        arguments: arguments.map(str::to_owned).into(),
        directory: "/".to_owned(),
        environment: vec![
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("SKEP_HOME".to_owned(), text(home.root())),
        ],
        credentials: user.map(User::credentials),
        socket: socket(&home.slot_socket(SOCKET_NAME, 1, 0)),
        notify: false,
        // It ends with 0 only when it was told to leave.
        restart: RestartPolicy::OnFailure,
        stop_signal: rustix::process::Signal::TERM.as_raw(),
        signal_all: false,
        stop_grace_ms: GRACE.as_millis() as u64,
        lease: None,
        umask: 0o022,
        open_files: Some(hard.map_or(OPEN_FILES, |hard| hard.min(OPEN_FILES))),
        process_socket: None,
    })
}

/// Returns whether any user may execute this program: the proxy's user must.
pub(crate) fn is_executable_by_all(program: &Path) -> bool {
    program.ancestors().all(|part| {
        let mode = std::fs::metadata(part).map_or(0, |found| found.permissions().mode());
        part.as_os_str().is_empty() || mode & 0o001 != 0
    })
}

/// Returns the live proxies, kept up to date.
pub(crate) fn instances(
    home: &Home,
    handle: &ServiceHandle,
) -> watch::Receiver<Vec<ProxyInstance>> {
    let mut views = handle.watch();
    let (sender, receiver) = watch::channel(Vec::new());
    let home = home.clone();
    tokio::spawn(async move {
        loop {
            let found = live(&home, &views.borrow_and_update());
            sender.send_if_modified(|known| {
                let changed = *known != found;
                *known = found;
                changed
            });
            if views.changed().await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// Returns whether a proxy lives that can be connected to.
pub(crate) fn can_be_told(home: &Home, view: &ServiceView) -> bool {
    live(home, view).iter().any(|proxy| proxy.socket.exists())
}

fn live(home: &Home, view: &ServiceView) -> Vec<ProxyInstance> {
    view.slots
        .values()
        .filter(|state| matches!(state.phase, Phase::Running | Phase::Stopping))
        .map(|state| ProxyInstance {
            slot: state.id,
            start: state.starts,
            socket: home.slot_socket(SOCKET_NAME, state.id.generation.0, state.id.number.0),
        })
        .collect()
}
