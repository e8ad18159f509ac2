//! Who is connected and what each is doing: for lists, cuts and the orderly end.
//!
//! Each connection has one [`Record`], written by its own task and read only when somebody asks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use control::proxy::{EndpointId, InFlight, MAX_LISTED};
use tokio::sync::Notify;

use crate::endpoint::EndpointState;

/// How far the proxy is on its way from start to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Has no table yet and accepts nothing: clients wait in the backlog of their listener instead
    /// of being told that there is no such route.
    Waiting = 0,
    /// Accepts.
    Serving = 1,
    /// Accepts nothing; idle clients are kept until their next request or their own timeout, so
    /// that none sends into a connection that is being closed.
    Leaving = 2,
    /// Idle connections are closed too.
    Closing = 3,
}

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    records: Mutex<HashMap<u64, Arc<Record>>>,
    next: AtomicU64,
    phase: AtomicU8,
    /// Told when a connection ends.
    pub(crate) ended: Notify,
    /// Told when the phase changes.
    pub(crate) phase_changed: Notify,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Record {
    current: Mutex<Current>,
    cut: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// What a connection is doing.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) started: Instant,
    pub(crate) upgraded: bool,
    /// Where the request is; the state, not a claim.
    pub(crate) endpoint: Option<Arc<EndpointState>>,
}

impl Record {
    pub(crate) fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the request was cut.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Relaxed)
    }

    /// Begins a request: an earlier cut was not meant for it.
    pub(crate) fn begin(&self) {
        self.cut.store(false, SeqCst);
    }

    /// Remembers the connection's task.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.lock().unwrap_or_else(PoisonError::into_inner) {
            waker.wake_by_ref();
        }
    }
}

/// A connection's place in the tracker; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) record: Arc<Record>,
    number: u64,
    tracker: Arc<Tracker>,
}

impl Tracker {
    fn records(&self) -> MutexGuard<'_, HashMap<u64, Arc<Record>>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection.
    pub(crate) fn track(self: &Arc<Self>) -> Tracked {
        let record = Arc::new(Record {
            current: Mutex::new(Current {
                id: String::new(),
                method: String::new(),
                path: String::new(),
                started: Instant::now(),
                upgraded: false,
                endpoint: None,
            }),
            cut: AtomicBool::new(false),
            waker: Mutex::new(None),
        });
        let number = self.next.fetch_add(1, Relaxed);
        self.records().insert(number, Arc::clone(&record));
        Tracked { record, number, tracker: Arc::clone(self) }
    }

    /// Returns how many connections there are.
    pub(crate) fn len(&self) -> usize {
        self.records().len()
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(SeqCst) {
            0 => Phase::Waiting,
            1 => Phase::Serving,
            2 => Phase::Leaving,
            _ => Phase::Closing,
        }
    }

    /// Goes on to a later phase and wakes everybody.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, SeqCst);
        self.phase_changed.notify_waiters();
        for record in self.records().values() {
            record.wake();
        }
    }

    /// Returns the requests in flight on these endpoints, oldest first, and how many in all.
    pub(crate) fn list(&self, endpoints: &[EndpointId]) -> (Vec<InFlight>, u64) {
        let mut found = self.select(endpoints, |_| {});
        let total = found.len() as u64;
        found.truncate(MAX_LISTED);
        (found, total)
    }

    /// Cuts the requests in flight on these endpoints; returns what [`Self::list`] would have.
    pub(crate) fn cut(&self, endpoints: &[EndpointId]) -> (Vec<InFlight>, u64) {
        let mut found = self.select(endpoints, |record| record.cut.store(true, SeqCst));
        let total = found.len() as u64;
        found.truncate(MAX_LISTED);
        (found, total)
    }

    fn select(&self, endpoints: &[EndpointId], each: impl Fn(&Record)) -> Vec<InFlight> {
        let records: Vec<Arc<Record>> = self.records().values().cloned().collect();
        let mut found = Vec::new();
        for record in records {
            let current = record.current();
            let Some(endpoint) = &current.endpoint else { continue };
            if !endpoints.contains(&endpoint.id) {
                continue;
            }
            // Under the lock, so that the cut meets this request and not the next one.
            each(&record);
            found.push(InFlight {
                id: current.id.clone(),
                method: current.method.clone(),
                path: current.path.clone(),
                age_ms: current.started.elapsed().as_millis() as u64,
                upgraded: current.upgraded,
            });
            drop(current);
            record.wake();
        }
        found.sort_by_key(|request| std::cmp::Reverse(request.age_ms));
        found
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.tracker.records().remove(&self.number);
        self.tracker.ended.notify_waiters();
    }
}
