//! Choosing an endpoint, and waiting for one.
//!
//! A request waits when nobody is ready, when all are busy, or when the only endpoint just failed
//! it; it looks again whenever a table comes, a place becomes free, or a pause after a failure is
//! over. The wait is bounded in number (per service), bytes (over all) and time, and ends when the
//! client leaves.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::endpoint::{Claim, EndpointState};
use crate::limits::{MAX_HELD_BYTES, RETRY_PAUSE, RETRY_PAUSE_MAX};
use crate::reason::Reason;
use crate::service::ServiceEntry;
use crate::shared::Shared;
use crate::wait::{Stop, Timer, Watch, poll_others};

/// What one request has been through.
#[derive(Debug)]
pub(crate) struct Journey {
    /// Sends so far.
    pub(crate) attempts: u32,
    /// After how many of them it may have been executed.
    pub(crate) risked: u8,
    /// How many of these ended in order.
    pub(crate) ended: u8,
    /// Endpoints that failed it since the last pause.
    pub(crate) avoid: Vec<Arc<EndpointState>>,
    /// Why the last attempt failed.
    pub(crate) last: Option<Reason>,
    /// Time spent waiting.
    pub(crate) held: Duration,
    pause: Duration,
}

/// Why there is no endpoint.
#[derive(Debug)]
pub(crate) enum NoEndpoint {
    /// To be answered.
    Reason(Reason),
    /// The client left, or the request was cut.
    Stop(Stop),
}

impl Journey {
    pub(crate) fn new() -> Self {
        Self {
            attempts: 0,
            risked: 0,
            ended: 0,
            avoid: Vec::new(),
            last: None,
            held: Duration::ZERO,
            pause: RETRY_PAUSE,
        }
    }

    /// Takes a place at an endpoint of the service, now or after a wait. `bytes` is the memory
    /// that the request keeps meanwhile.
    pub(crate) async fn choose(
        &mut self,
        shared: &Shared,
        entry: &Arc<ServiceEntry>,
        bytes: usize,
        timer: &mut Timer,
        watch: &mut Watch<'_>,
    ) -> Result<Claim, NoEndpoint> {
        let index = entry.state.index;
        match shared.claim(index, &self.avoid) {
            Some(claim) => Ok(claim),
            None => self.wait(shared, entry, bytes, timer, watch).await,
        }
    }

    async fn wait(
        &mut self,
        shared: &Shared,
        entry: &Arc<ServiceEntry>,
        bytes: usize,
        timer: &mut Timer,
        watch: &mut Watch<'_>,
    ) -> Result<Claim, NoEndpoint> {
        let left = entry.hold.saturating_sub(self.held);
        if left.is_zero() {
            return Err(NoEndpoint::Reason(self.reason(shared, entry)));
        }
        let Some(_waiting) = entry.state.join_waiting(entry.hold_requests) else {
            return Err(NoEndpoint::Reason(Reason::HoldFull));
        };
        let Some(_bytes) = HeldBytes::take(&shared.held_bytes, bytes) else {
            return Err(NoEndpoint::Reason(Reason::HoldFull));
        };
        if self.held.is_zero() {
            entry.state.counters.held.fetch_add(1, Relaxed);
        }
        let begun = Instant::now();
        let outcome = self.look_until(begun + left, shared, entry, timer, watch).await;
        self.held += begun.elapsed();
        let held_ms = self.held.as_millis() as u64;
        entry.state.counters.held_max_ms.fetch_max(held_ms, Relaxed);
        outcome
    }

    async fn look_until(
        &mut self,
        until: Instant,
        shared: &Shared,
        entry: &Arc<ServiceEntry>,
        timer: &mut Timer,
        watch: &mut Watch<'_>,
    ) -> Result<Claim, NoEndpoint> {
        let mut pause_ends = Instant::now() + self.pause;
        loop {
            let mut freed = pin!(entry.state.freed());
            // From here on nothing that happens is missed.
            freed.as_mut().enable();
            if let Some(claim) = shared.claim(entry.state.index, &self.avoid) {
                return Ok(claim);
            }
            let deadline = if self.avoid.is_empty() { until } else { until.min(pause_ends) };
            let outcome = poll_fn(|context| {
                if freed.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                poll_others(timer, context, deadline, watch)
            })
            .await;
            match outcome {
                Ok(()) => {}
                Err(Stop::Timeout) if Instant::now() >= until => {
                    return Err(NoEndpoint::Reason(self.reason(shared, entry)));
                }
                Err(Stop::Timeout) => {
                    self.avoid.clear();
                    self.pause = (self.pause * 2).min(RETRY_PAUSE_MAX);
                    pause_ends = Instant::now() + self.pause;
                }
                Err(stop) => return Err(NoEndpoint::Stop(stop)),
            }
        }
    }

    /// Returns why nobody could be chosen.
    fn reason(&self, shared: &Shared, entry: &ServiceEntry) -> Reason {
        if shared.entry(entry.state.index).is_some_and(|entry| entry.has_ready()) {
            return self.last.unwrap_or(Reason::AtCapacity);
        }
        if self.held.is_zero() && entry.hold.is_zero() {
            Reason::NoReadySlot
        } else {
            Reason::HeldTimeout
        }
    }
}

/// Memory of waiting requests; given back when dropped.
struct HeldBytes<'a> {
    total: &'a AtomicUsize,
    bytes: usize,
}

impl<'a> HeldBytes<'a> {
    fn take(total: &'a AtomicUsize, bytes: usize) -> Option<Self> {
        let before = total.fetch_add(bytes, Relaxed);
        let held = Self { total, bytes };
        (before + bytes <= MAX_HELD_BYTES).then_some(held)
    }
}

impl Drop for HeldBytes<'_> {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Relaxed);
    }
}
