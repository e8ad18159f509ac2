//! The proxy as a service: its slot, its listeners, who of it lives.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use control::SlotId;
use control::shim::{Phase, RestartPolicy, SharedListener, SlotSocket, SlotSpec};
use deploy::executor::proxy_service;
use deploy::users::User;
use disk::PathContext;
use home::Home;
use report::{Failure, Kind};
use routing::ProxyInstance;
use supervise::{ServiceHandle, ServiceView, Supervisor};
use tokio::sync::watch;

/// The proxy's one slot. A second one appears only while it is being upgraded.
pub(crate) const SLOT: SlotId =
    SlotId { generation: control::Generation(1), number: control::SlotNumber(0) };

/// How long the proxy may take to end: its requests are drained before it is stopped.
const GRACE_MS: u64 = 60_000;

/// Connections, two a request at the worst.
const OPEN_FILES: u64 = 65_536;

/// Returns how the proxy is started.
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
        id: SLOT,
        release: "proxy".to_owned(),
        program: text(program),
        arguments: arguments.map(str::to_owned).into(),
        directory: "/".to_owned(),
        environment: vec![
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("SKEP_HOME".to_owned(), text(home.root())),
        ],
        credentials: user.map(User::credentials),
        socket: SlotSocket::Unix {
            path: text(&home.slot_socket("skep.proxy", SLOT.generation.0, SLOT.number.0)),
            mode: 0o600,
            group: None,
        },
        notify: false,
        restart: RestartPolicy::Always,
        stop_signal: rustix::process::Signal::TERM.as_raw(),
        signal_all: false,
        stop_grace_ms: GRACE_MS,
        lease: None,
        umask: 0o022,
        open_files: Some(hard.map_or(OPEN_FILES, |hard| hard.min(OPEN_FILES))),
    })
}

/// Returns whether any user may execute this program: the proxy's user must.
pub(crate) fn is_executable_by_all(program: &Path) -> bool {
    program.ancestors().all(|part| {
        let mode = std::fs::metadata(part).map_or(0, |found| found.permissions().mode());
        part.as_os_str().is_empty() || mode & 0o001 != 0
    })
}

/// Starts the proxy and opens the public listeners; returns their names with descriptors.
pub(crate) async fn start(
    supervisor: &Supervisor,
    recipe: SlotSpec,
    listeners: &[String],
) -> Result<Vec<(String, std::os::fd::OwnedFd)>, Failure> {
    let handle = supervisor.service(&proxy_service());
    let failed = |error: supervise::SuperviseError| Failure::from_error(Kind::Failed, &error);
    handle.ensure_shim().await.map_err(failed)?;
    let mut opened = Vec::new();
    for name in listeners {
        let Ok(address) = name.parse() else { continue };
        match handle.open(SharedListener { name: name.clone(), address }).await {
            Ok(socket) => opened.push((name.clone(), socket)),
            // The others serve; this one is a problem that is shown.
            Err(error) => tracing::error!(name, %error, "failed to open a listener"),
        }
    }
    handle.start(recipe).await.map_err(failed)?;
    Ok(opened)
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

fn live(home: &Home, view: &ServiceView) -> Vec<ProxyInstance> {
    view.slots
        .values()
        .filter(|state| matches!(state.phase, Phase::Running | Phase::Stopping))
        .map(|state| ProxyInstance {
            slot: state.id,
            start: state.starts,
            socket: home.slot_socket("skep.proxy", state.id.generation.0, state.id.number.0),
        })
        .collect()
}
