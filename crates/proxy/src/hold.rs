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
use crate::limits::{RETRY_PAUSE, RETRY_PAUSE_MAX};
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
        let most = shared.limits.held_bytes;
        let Some(_bytes) = HeldBytes::take(&shared.held_bytes, bytes, most) else {
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
            let mut place = pin!(entry.state.place(&self.avoid));
            // From here on nothing that happens is missed.
            place.as_mut().enable();
            if let Some(claim) = shared.claim(entry.state.index, &self.avoid) {
                return Ok(claim);
            }
            let deadline = if self.avoid.is_empty() { until } else { until.min(pause_ends) };
            let outcome = poll_fn(|context| {
                if place.as_mut().poll(context).is_ready() {
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
    fn take(total: &'a AtomicUsize, bytes: usize, most: usize) -> Option<Self> {
        let before = total.fetch_add(bytes, Relaxed);
        let held = Self { total, bytes };
        (before + bytes <= most).then_some(held)
    }
}

impl Drop for HeldBytes<'_> {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use control::proxy::{Endpoint, EndpointAddress, RouteTable, Service};
    use control::{Revision, SlotId};
    use tokio::sync::{Notify, Semaphore};

    use super::*;
    use crate::apply::Applier;
    use crate::lastgood::Saved;
    use crate::limits::Limits;
    use crate::log::Log;
    use crate::tracker::{Tracked, Tracker};

    /// A service whose slots have one place each.
    struct Scene {
        shared: Arc<Shared>,
        entry: Arc<ServiceEntry>,
        client: Tracked,
        _directory: tempfile::TempDir,
    }

    impl Scene {
        async fn new(slots: u32) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let shared = Arc::new(Shared {
                table: arc_swap::ArcSwap::default(),
                tracker: Arc::new(Tracker::default()),
                log: Log::start(Box::new(std::io::sink())).unwrap(),
                limits: Limits::default(),
                access_log: false,
                held_bytes: AtomicUsize::new(0),
                places: Arc::new(Semaphore::new(1)),
                ended: Arc::new(Notify::new()),
            });
            let endpoints = (0..slots).map(|number| Endpoint {
                slot: SlotId::new(1, number),
                address: EndpointAddress::Unix(format!("/slot/{number}")),
                ready: true,
                capacity: 1,
                idle_ms: 0,
            });
            let service = Service {
                name: "shop/web".parse().unwrap(),
                release: "v1".to_owned(),
                endpoints: endpoints.collect(),
                hold_ms: 3_600_000,
                hold_requests: 100,
                response_timeout_ms: 0,
                body_limit_bytes: 0,
            };
            let table = RouteTable { services: vec![service], routes: Vec::new() };
            let file = directory.path().join("routes");
            let words = ("boot".to_owned(), "installation".to_owned());
            let applier = Applier::new(Arc::clone(&shared), file, words.0, words.1, 1);
            applier.restore(Saved { revision: Revision(1), table }).await;
            let entry = shared.entry(0).unwrap();
            let client = shared.tracker.track();
            Self { shared, entry, client, _directory: directory }
        }

        /// Begins to choose; `avoid` is a slot that the request would not take.
        fn request(&self, avoid: Option<usize>) -> Choosing<'_> {
            let mut journey = Journey::new();
            journey.avoid.extend(avoid.map(|slot| Arc::clone(&self.entry.endpoints[slot])));
            Choosing(Box::pin(async move {
                let (mut timer, mut watch) = (Timer::new(), Watch::record(&self.client.record));
                journey.choose(&self.shared, &self.entry, 0, &mut timer, &mut watch).await
            }))
        }
    }

    /// A request that was polled by nobody but the test.
    struct Choosing<'s>(Pin<Box<dyn Future<Output = Result<Claim, NoEndpoint>> + 's>>);

    impl Choosing<'_> {
        /// Goes on if it was told to; returns the place that it got.
        fn go_on(&mut self) -> Option<Claim> {
            match self.0.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(outcome) => Some(outcome.unwrap()),
                Poll::Pending => None,
            }
        }
    }

    #[tokio::test]
    async fn a_place_is_not_kept_by_one_who_does_not_want_it() {
        let scene = Scene::new(1).await;
        let taken = scene.request(None).go_on().expect("the slot is free");
        let (mut choosy, mut other) = (scene.request(Some(0)), scene.request(None));
        assert!(choosy.go_on().is_none() && other.go_on().is_none());
        drop(taken);
        assert!(other.go_on().is_some(), "the news went to the one who avoids this slot");
    }

    #[tokio::test]
    async fn who_avoids_one_slot_is_told_of_another() {
        let scene = Scene::new(2).await;
        let taken = scene.request(Some(0)).go_on().expect("slot 1 is free");
        let (mut choosy, mut same) = (scene.request(Some(0)), scene.request(Some(1)));
        let first = same.go_on().expect("slot 0 is free");
        assert!(choosy.go_on().is_none());
        drop(taken);
        let claim = choosy.go_on().expect("told of slot 1");
        assert_eq!(claim.endpoint.id.slot, SlotId::new(1, 1));
        drop((first, claim));
    }

    #[tokio::test]
    async fn places_go_round_in_the_order_of_arrival() {
        let scene = Scene::new(1).await;
        let taken = scene.request(None).go_on();
        let mut waiting: Vec<_> = (0..4).map(|_| scene.request(None)).collect();
        assert!(waiting.iter_mut().all(|request| request.go_on().is_none()));
        drop(taken);
        // The first leaves although it was told: the news is for the next.
        drop(waiting.remove(0));
        while !waiting.is_empty() {
            let place = waiting[0].go_on();
            assert!(place.is_some(), "{} wait although the place is free", waiting.len());
            assert!(waiting[1..].iter_mut().all(|request| request.go_on().is_none()));
            drop(waiting.remove(0));
            drop(place);
        }
        assert_eq!(scene.entry.state.counters.held.load(Relaxed), 4);
    }
}
