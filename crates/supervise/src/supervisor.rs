//! All services of one agent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use control::ServiceName;
use disk::{DiskError, PathContext};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::config::Config;
use crate::handle::ServiceHandle;
use crate::keeper::{Found, Keeper};
use crate::limits::MAX_QUEUED_CALLS;
use crate::link::told;
use crate::view::ServiceView;

/// The agent's side of all shims. Cheap to clone; must be used inside a runtime.
///
/// Dropping the last clone ends its tasks and connections. Shims and their processes live on: the
/// next supervisor finds them with [`Self::discover`].
#[derive(Debug, Clone)]
pub struct Supervisor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Arc<Config>,
    services: Mutex<BTreeMap<ServiceName, (ServiceHandle, AbortHandle)>>,
}

/// What was found of one service at the agent's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// Which service.
    pub service: ServiceName,
    /// How it stands with its shim.
    pub shim: Discovery,
}

/// How it stands with a shim at the agent's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discovery {
    /// In contact; its slots are in the service's view, its descriptors are kept.
    Connected,
    /// None runs. Processes may have outlived it: only a new shim can tell.
    NotRunning,
    /// One runs and does not answer; tried again in the background.
    Unresponsive(String),
}

impl Supervisor {
    /// Returns a supervisor that knows no service yet.
    pub fn new(config: Config) -> Self {
        let services = Mutex::new(BTreeMap::new());
        Self { inner: Arc::new(Inner { config: Arc::new(config), services }) }
    }

    /// Returns what it works with.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Returns the handle of a service; the first call starts the task that keeps it.
    pub fn service(&self, service: &ServiceName) -> ServiceHandle {
        let mut services = self.inner.lock();
        if let Some((handle, _)) = services.get(service) {
            return handle.clone();
        }
        let (call_sender, calls) = mpsc::channel(MAX_QUEUED_CALLS);
        let (view_sender, view) = watch::channel(ServiceView::default());
        let keeper = Keeper::new(self.inner.config.clone(), service.clone(), calls, view_sender);
        let task = tokio::spawn(keeper.run()).abort_handle();
        let handle = ServiceHandle::new(service.clone(), call_sender, view);
        services.insert(service.clone(), (handle.clone(), task));
        handle
    }

    /// Returns the services that [`Self::service`] was called for.
    pub fn services(&self) -> Vec<ServiceHandle> {
        self.inner.lock().values().map(|(handle, _)| handle.clone()).collect()
    }

    /// Ends the task of a service that no longer exists. Its shim, if any, is left alone.
    pub fn forget(&self, service: &ServiceName) {
        if let Some((_, task)) = self.inner.lock().remove(service) {
            task.abort();
        }
    }

    /// Finds every service that ever had a shim here and connects to those that run, all at once.
    ///
    /// Starts and ends nothing. Afterwards the agent says for each service what it
    /// [expects](ServiceHandle::expect).
    pub async fn discover(&self) -> Result<Vec<Discovered>, DiskError> {
        let mut probes = JoinSet::new();
        for service in self.inner.known_to_disk()? {
            let handle = self.service(&service);
            probes.spawn(async move {
                let shim = match handle.probe().await {
                    Ok(Found::Connected) => Discovery::Connected,
                    Ok(Found::NotRunning) => Discovery::NotRunning,
                    Ok(Found::Unresponsive(reason)) => Discovery::Unresponsive(reason),
                    Err(error) => Discovery::Unresponsive(told(&error)),
                };
                Discovered { service, shim }
            });
        }
        let mut found = probes.join_all().await;
        found.sort_by(|a, b| a.service.cmp(&b.service));
        Ok(found)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ServiceName, (ServiceHandle, AbortHandle)>> {
        // A panic in between leaves the map whole: every change to it is one call.
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the services with a shim's directory.
    fn known_to_disk(&self) -> Result<BTreeSet<ServiceName>, DiskError> {
        let names = names_in(&self.config.home.shims())?.into_iter();
        // What is not the name of a service is not ours to judge.
        Ok(names.filter_map(|name| ServiceName::from_file_name(&name).ok()).collect())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for (_, task) in self.lock().values() {
            task.abort();
        }
    }
}

fn names_in(directory: &Path) -> Result<Vec<String>, DiskError> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.context("list", directory)?,
    };
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()
        .context("list", directory)
}
