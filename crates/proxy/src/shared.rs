//! What all parts of one proxy share.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore};

use crate::endpoint::{Claim, EndpointState};
use crate::limits::Limits;
use crate::log::Log;
use crate::service::ServiceEntry;
use crate::table::Table;
use crate::tracker::Tracker;

/// Shared by the control side and all workers.
pub(crate) struct Shared {
    /// The routes in force: one pointer.
    pub(crate) table: ArcSwap<Table>,
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) log: Log,
    pub(crate) limits: Limits,
    /// Whether every request is logged.
    pub(crate) access_log: bool,
    /// Memory of waiting requests.
    pub(crate) held_bytes: AtomicUsize,
    /// One permit a client connection.
    pub(crate) places: Arc<Semaphore>,
    /// Told when something ends on an endpoint that is in no table.
    pub(crate) ended: Arc<Notify>,
}

thread_local! {
    static TURN: Cell<usize> = const { Cell::new(0) };
}

impl Shared {
    /// Returns a service as the table in force has it.
    pub(crate) fn entry(&self, index: usize) -> Option<Arc<ServiceEntry>> {
        self.table.load().services.get(index).cloned().flatten()
    }

    /// Takes a place at an endpoint of a service, as the table in force has it.
    pub(crate) fn claim(&self, index: usize, avoid: &[Arc<EndpointState>]) -> Option<Claim> {
        let turn = TURN.get();
        TURN.set(turn.wrapping_add(1));
        self.table.load().services.get(index)?.as_ref()?.claim(avoid, turn)
    }
}
