//! One service across route tables: its counters and who waits for it.
//!
//! # How no place stays free while somebody waits for it
//!
//! Whoever waits first enters a queue, then looks once more, then sleeps ([`crate::hold`]); a place
//! is given back first and then told of. So one of the two sees the other. There are two queues:
//!
//! - Who would take any place: of each place one is told, in the order of arrival. Who is told
//!   finds the place, or it is taken already; who is told and leaves instead passes it on
//!   ([`Notify::notify_one`]).
//! - Who avoids an endpoint that has just failed it: all of them are told of each place, because
//!   one who does not want it would keep the news from those who do. They are few: nobody avoids
//!   anything for longer than a pause ([`crate::limits::RETRY_PAUSE_MAX`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

use control::ServiceName;
use control::proxy::ServiceCounters;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::endpoint::{Claim, EndpointState};

/// What is known of one service since the proxy started.
#[derive(Debug)]
pub(crate) struct ServiceState {
    pub(crate) name: ServiceName,
    /// Its place in every table; never given to another service.
    pub(crate) index: usize,
    pub(crate) counters: Counters,
    waiting: AtomicU32,
    /// Where those wait who would take any place.
    any_place: Notify,
    /// Where those wait who avoid some.
    other_place: Notify,
}

/// Counters of one service.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) app_errors: AtomicU64,
    pub(crate) proxy_errors: AtomicU64,
    pub(crate) broken: AtomicU64,
    pub(crate) held: AtomicU64,
    pub(crate) held_max_ms: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) in_flight: AtomicU64,
}

impl ServiceState {
    pub(crate) fn new(name: ServiceName, index: usize) -> Self {
        Self {
            name,
            index,
            counters: Counters::default(),
            waiting: AtomicU32::new(0),
            any_place: Notify::new(),
            other_place: Notify::new(),
        }
    }

    /// Tells of a place that was given back.
    pub(crate) fn place_freed(&self) {
        if self.waiting.load(SeqCst) > 0 {
            self.any_place.notify_one();
            self.other_place.notify_waiters();
        }
    }

    /// Lets all waiting requests look again.
    pub(crate) fn table_changed(&self) {
        self.any_place.notify_waiters();
        self.other_place.notify_waiters();
    }

    /// Returns what a waiting request waits for; must be enabled before it looks. `avoid` are the
    /// endpoints that it would not take.
    pub(crate) fn place(&self, avoid: &[Arc<EndpointState>]) -> Notified<'_> {
        if avoid.is_empty() { self.any_place.notified() } else { self.other_place.notified() }
    }

    /// Joins those who wait, unless there are `most` already.
    pub(crate) fn join_waiting(self: &Arc<Self>, most: u32) -> Option<Waiting> {
        let before = self.waiting.fetch_add(1, SeqCst);
        let waiting = Waiting { service: Arc::clone(self) };
        (before < most).then_some(waiting)
    }

    /// Returns the counters; the longest wait starts anew.
    pub(crate) fn report(&self) -> ServiceCounters {
        let counters = &self.counters;
        ServiceCounters {
            service: self.name.clone(),
            requests: counters.requests.load(Relaxed),
            app_errors: counters.app_errors.load(Relaxed),
            proxy_errors: counters.proxy_errors.load(Relaxed),
            broken: counters.broken.load(Relaxed),
            held: counters.held.load(Relaxed),
            held_max_ms: counters.held_max_ms.swap(0, Relaxed),
            retried: counters.retried.load(Relaxed),
            in_flight: counters.in_flight.load(Relaxed),
        }
    }
}

/// A request that waits for its service.
#[derive(Debug)]
pub(crate) struct Waiting {
    service: Arc<ServiceState>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.service.waiting.fetch_sub(1, SeqCst);
    }
}

/// A service as one table has it.
#[derive(Debug)]
pub(crate) struct ServiceEntry {
    pub(crate) state: Arc<ServiceState>,
    pub(crate) release: String,
    pub(crate) endpoints: Vec<Arc<EndpointState>>,
    pub(crate) hold: Duration,
    pub(crate) hold_requests: u32,
    pub(crate) response_timeout: Duration,
    pub(crate) body_limit_bytes: u64,
}

impl ServiceEntry {
    /// Takes a place at the ready endpoint with the least in flight that is not in `avoid`.
    ///
    /// `offset` decides between equals, so that they share the load.
    pub(crate) fn claim(&self, avoid: &[Arc<EndpointState>], offset: usize) -> Option<Claim> {
        let count = self.endpoints.len();
        // Another request may take the place between the look and the claim; each round that
        // loses means that somebody else won, and no more can win than there are places.
        for _ in 0..=count {
            let rotated = (0..count).map(|i| &self.endpoints[(i + offset) % count]);
            let best = rotated
                .filter(|endpoint| endpoint.is_open() && endpoint.has_room())
                .filter(|endpoint| !avoid.iter().any(|other| Arc::ptr_eq(other, endpoint)))
                .min_by_key(|endpoint| endpoint.in_flight())?;
            if let Some(claim) = best.claim() {
                return Some(claim);
            }
        }
        None
    }

    pub(crate) fn has_ready(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.is_open())
    }
}
