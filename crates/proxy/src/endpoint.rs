//! One endpoint across route tables: what is in flight on it, and whether a request may start.
//!
//! # How an acknowledged table is kept
//!
//! The first bytes of a request leave within [`EndpointState::dispatch`], which does not wait: it
//! raises `dispatching`, looks at `open`, sends, lowers `dispatching`. Who withdraws an endpoint
//! lowers `open` first and then waits until `dispatching` is 0. Both use sequentially consistent
//! operations, so one of them sees the other: after [`EndpointState::withdraw`] no request starts
//! there. (A request that was claimed before and not yet sent finds `open` lowered and chooses
//! again.)

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use control::proxy::{Endpoint, EndpointAddress, EndpointId};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits::MAX_POOLED;
use crate::service::ServiceState;
use crate::upstream::Upstream;

/// What is known of one endpoint for as long as anything is in flight there.
#[derive(Debug)]
pub(crate) struct EndpointState {
    pub(crate) id: EndpointId,
    pub(crate) address: EndpointAddress,
    pub(crate) service: Arc<ServiceState>,
    /// In the table and ready.
    open: AtomicBool,
    /// In the table.
    routed: AtomicBool,
    in_flight: AtomicU32,
    dispatching: AtomicU32,
    capacity: AtomicU32,
    idle_ms: AtomicU64,
    /// Idle connections, one list a worker: a connection stays on the reactor that made it.
    pools: Box<[Mutex<Vec<Idle>>]>,
    /// Told when something ends on an endpoint that is in no table.
    ended: Arc<Notify>,
}

#[derive(Debug)]
struct Idle {
    upstream: Upstream,
    since: Instant,
}

impl EndpointState {
    pub(crate) fn new(
        id: EndpointId,
        address: EndpointAddress,
        service: Arc<ServiceState>,
        workers: usize,
        ended: Arc<Notify>,
    ) -> Self {
        Self {
            id,
            address,
            service,
            open: AtomicBool::new(false),
            routed: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
            dispatching: AtomicU32::new(0),
            capacity: AtomicU32::new(0),
            idle_ms: AtomicU64::new(0),
            pools: (0..workers).map(|_| Mutex::default()).collect(),
            ended,
        }
    }

    /// Takes over what a table says; a readiness that is lost is only noted by [`Self::withdraw`].
    pub(crate) fn enter(&self, endpoint: &Endpoint) {
        self.capacity.store(endpoint.capacity, SeqCst);
        self.idle_ms.store(endpoint.idle_ms, SeqCst);
        self.routed.store(true, SeqCst);
        if endpoint.ready {
            self.open.store(true, SeqCst);
        }
    }

    /// Makes sure that no request starts here any more; `routed` says whether the endpoint is
    /// still in the table.
    pub(crate) async fn withdraw(&self, routed: bool) {
        self.routed.store(routed, SeqCst);
        self.open.store(false, SeqCst);
        while self.dispatching.load(SeqCst) != 0 {
            tokio::task::yield_now().await;
        }
        for pool in &self.pools {
            lock(pool).clear();
        }
        self.ended.notify_waiters();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(SeqCst)
    }

    pub(crate) fn is_routed(&self) -> bool {
        self.routed.load(SeqCst)
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(SeqCst)
    }

    pub(crate) fn has_room(&self) -> bool {
        self.in_flight() < self.capacity.load(SeqCst)
    }

    /// Returns whether connections to it are kept.
    pub(crate) fn keeps_connections(&self) -> bool {
        self.idle_ms.load(SeqCst) > 0
    }

    /// Takes one of its places, or returns `None` when all are taken.
    pub(crate) fn claim(self: &Arc<Self>) -> Option<Claim> {
        let capacity = self.capacity.load(SeqCst);
        let one_more = |in_flight| (in_flight < capacity).then_some(in_flight + 1);
        self.in_flight.fetch_update(SeqCst, SeqCst, one_more).ok()?;
        Some(Claim { endpoint: Arc::clone(self) })
    }

    /// Runs `send`, which must not wait, unless the endpoint was withdrawn.
    pub(crate) fn dispatch<T>(&self, send: impl FnOnce() -> T) -> Option<T> {
        self.dispatching.fetch_add(1, SeqCst);
        let sent = self.is_open().then(send);
        self.dispatching.fetch_sub(1, SeqCst);
        sent
    }

    /// Returns an idle connection that its peer has not closed.
    pub(crate) fn checkout(&self, worker: usize) -> Option<Upstream> {
        let idle_limit = Duration::from_millis(self.idle_ms.load(SeqCst));
        loop {
            let idle = lock(&self.pools[worker]).pop()?;
            if idle.since.elapsed() < idle_limit && idle.upstream.is_quiet() {
                return Some(idle.upstream);
            }
        }
    }

    /// Keeps a connection for the next request; closes it when there are enough or the endpoint
    /// was withdrawn.
    pub(crate) fn check_in(&self, worker: usize, upstream: Upstream) {
        let mut pool = lock(&self.pools[worker]);
        // Looked at under the lock that `withdraw` takes after it has lowered `open`.
        if pool.len() < MAX_POOLED && self.is_open() {
            pool.push(Idle { upstream, since: Instant::now() });
        }
    }

    /// Closes connections that idle too long.
    pub(crate) fn sweep(&self) {
        let idle_limit = Duration::from_millis(self.idle_ms.load(SeqCst));
        for pool in &self.pools {
            lock(pool).retain(|idle| idle.since.elapsed() < idle_limit);
        }
    }
}

fn lock(pool: &Mutex<Vec<Idle>>) -> MutexGuard<'_, Vec<Idle>> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One place of an endpoint; given back when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) endpoint: Arc<EndpointState>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, SeqCst);
        self.endpoint.service.place_freed();
        if !self.endpoint.is_routed() {
            self.endpoint.ended.notify_waiters();
        }
    }
}
