//! Taking a route table: validate, write, swap, withdraw, and only then say so.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use control::proxy::{EndpointId, RouteTable, ServiceCounters};
use control::{Revision, ServiceName};

use crate::endpoint::EndpointState;
use crate::lastgood::{Saved, encode};
use crate::service::{ServiceEntry, ServiceState};
use crate::shared::Shared;
use crate::table::{Table, validate};
use crate::tracker::Phase;

/// The only writer of the table in force and of the last-known-good file.
pub(crate) struct Applier {
    shared: Arc<Shared>,
    file: PathBuf,
    boot_id: String,
    installation: String,
    workers: usize,
    /// What is in force; held while a table is being taken.
    current: tokio::sync::Mutex<Option<Saved>>,
    registry: Mutex<Registry>,
}

/// All services and endpoints that are routed to or still busy.
#[derive(Default)]
struct Registry {
    services: HashMap<ServiceName, Arc<ServiceState>>,
    /// More than one state for an id only if its address changed.
    endpoints: HashMap<EndpointId, Vec<Arc<EndpointState>>>,
}

/// A table that was not taken.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) current: Option<Revision>,
    pub(crate) reason: String,
}

impl Applier {
    pub(crate) fn new(
        shared: Arc<Shared>,
        file: PathBuf,
        boot_id: String,
        installation: String,
        workers: usize,
    ) -> Self {
        Self {
            shared,
            file,
            boot_id,
            installation,
            workers,
            current: tokio::sync::Mutex::new(None),
            registry: Mutex::default(),
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the revision in force.
    pub(crate) fn revision(&self) -> Option<Revision> {
        self.shared.table.load().revision
    }

    /// Puts a table in force that was read from the last-known-good file.
    pub(crate) async fn restore(&self, saved: Saved) {
        let mut current = self.current.lock().await;
        self.swap(saved.revision, &saved.table).await;
        *current = Some(saved);
    }

    /// Puts a table in force; when this returns no request starts on an endpoint outside it.
    pub(crate) async fn apply(&self, revision: Revision, table: RouteTable) -> Result<(), Refused> {
        let mut current = self.current.lock().await;
        let in_force = current.as_ref().map(|saved| saved.revision);
        let refuse = |reason: String| Err(Refused { current: in_force, reason });
        if let Some(saved) = &*current {
            // After a reboot the table in force has lost its readiness; then the same revision
            // with all of it is the same table all the same.
            let same = revision == saved.revision && same_routes(&saved.table, &table);
            if revision < saved.revision || (revision == saved.revision && !same) {
                return refuse(format!("revision {revision} is not above {}", saved.revision));
            }
        }
        if let Err(reason) = validate(&table) {
            return refuse(reason);
        }
        let saved = Saved { revision, table };
        // The file is read by whoever comes next, which has come when we leave: it writes it.
        let is_ours = self.shared.tracker.phase() <= Phase::Serving;
        if is_ours
            && current.as_ref() != Some(&saved)
            && let Err(error) = self.write(saved.clone()).await
        {
            return refuse(error);
        }
        self.swap(revision, &saved.table).await;
        *current = Some(saved);
        Ok(())
    }

    async fn write(&self, saved: Saved) -> Result<(), String> {
        let text = encode(&saved, &self.boot_id, &self.installation)
            .map_err(|error| format!("failed to encode the routes: {error}"))?;
        let file = self.file.clone();
        let write = move || disk::write_atomically(&file, text.as_bytes(), 0o600);
        match tokio::task::spawn_blocking(write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(report::chain(&error).join(": ")),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn swap(&self, revision: Revision, source: &RouteTable) {
        let (table, withdrawn) = self.registry().build(revision, source, self);
        self.shared.table.store(Arc::new(table));
        for (endpoint, routed) in withdrawn {
            endpoint.withdraw(routed).await;
        }
        // Endpoints of this table that are not ready any more count as withdrawn too.
        for service in self.registry().services.values() {
            service.table_changed();
        }
        if self.shared.tracker.phase() == Phase::Waiting {
            self.shared.tracker.enter(Phase::Serving);
        }
    }

    /// Returns whether nothing is in flight on these endpoints and nothing will be.
    pub(crate) fn is_drained(&self, endpoints: &[EndpointId]) -> bool {
        let registry = self.registry();
        endpoints
            .iter()
            .flat_map(|id| registry.endpoints.get(id).into_iter().flatten())
            .all(|endpoint| !endpoint.is_routed() && endpoint.in_flight() == 0)
    }

    /// Returns every service's counters, by name.
    pub(crate) fn counters(&self) -> Vec<ServiceCounters> {
        let mut counters: Vec<_> =
            self.registry().services.values().map(|service| service.report()).collect();
        counters.sort_by(|a, b| a.service.cmp(&b.service));
        counters
    }

    /// Closes connections to endpoints that idle too long.
    pub(crate) fn sweep(&self) {
        for endpoint in self.registry().endpoints.values().flatten() {
            endpoint.sweep();
        }
    }
}

impl Registry {
    /// Builds a table, entering its endpoints; returns also the endpoints to withdraw, each with
    /// whether it stays in the table.
    fn build(
        &mut self,
        revision: Revision,
        source: &RouteTable,
        applier: &Applier,
    ) -> (Table, Vec<(Arc<EndpointState>, bool)>) {
        self.endpoints.retain(|_, states| {
            states.retain(|state| state.is_routed() || state.in_flight() > 0);
            !states.is_empty()
        });
        let mut withdrawn = Vec::new();
        let mut kept: Vec<*const EndpointState> = Vec::new();
        let mut entries = Vec::new();
        for service in &source.services {
            let next_index = self.services.len();
            let state = self
                .services
                .entry(service.name.clone())
                .or_insert_with(|| Arc::new(ServiceState::new(service.name.clone(), next_index)));
            let state = Arc::clone(state);
            let mut endpoints = Vec::new();
            for endpoint in &service.endpoints {
                let id = EndpointId { service: service.name.clone(), slot: endpoint.slot };
                let states = self.endpoints.entry(id.clone()).or_default();
                let known = states.iter().find(|known| known.address == endpoint.address).cloned();
                let found = known.unwrap_or_else(|| {
                    let made = Arc::new(EndpointState::new(
                        id,
                        endpoint.address.clone(),
                        Arc::clone(&state),
                        applier.workers,
                        Arc::clone(&applier.shared.ended),
                    ));
                    states.push(Arc::clone(&made));
                    made
                });
                // Before the pointer is swapped, so that who reads the new table finds it open.
                found.enter(endpoint);
                kept.push(Arc::as_ptr(&found));
                if !endpoint.ready {
                    withdrawn.push((Arc::clone(&found), true));
                }
                endpoints.push(found);
            }
            entries.push(Arc::new(ServiceEntry {
                state,
                release: service.release.clone(),
                endpoints,
                hold: Duration::from_millis(service.hold_ms),
                hold_requests: service.hold_requests,
                response_timeout: Duration::from_millis(service.response_timeout_ms),
                body_limit_bytes: service.body_limit_bytes,
            }));
        }
        for state in self.endpoints.values().flatten() {
            if !kept.contains(&Arc::as_ptr(state)) {
                withdrawn.push((Arc::clone(state), false));
            }
        }
        let mut services = vec![None; self.services.len()];
        for entry in entries {
            let index = entry.state.index;
            services[index] = Some(entry);
        }
        let index_of = |name: &ServiceName| self.services.get(name).map(|state| state.index);
        (Table::new(revision, source, services, index_of), withdrawn)
    }
}

/// Returns whether two tables differ in readiness at most.
fn same_routes(a: &RouteTable, b: &RouteTable) -> bool {
    let forget = |table: &RouteTable| {
        let mut table = table.clone();
        for endpoint in table.services.iter_mut().flat_map(|service| &mut service.endpoints) {
            endpoint.ready = false;
        }
        table
    };
    a == b || (forget(a) == *a && forget(a) == forget(b))
}
