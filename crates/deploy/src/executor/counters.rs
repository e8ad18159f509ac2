//! Requests of an app, before and after.

use control::proxy::ServiceCounters;
use routing::Router;

/// What the proxies counted for one app.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) failed: u64,
    pub(super) held: u64,
    pub(super) held_max_ms: u64,
}

pub(super) async fn read(router: &Router, app: &str) -> Counters {
    let all = router.counters().await;
    let of_app = |counters: &&ServiceCounters| counters.service.app() == app;
    all.iter().filter(of_app).fold(Counters::default(), |sum, counters| Counters {
        failed: sum.failed + counters.proxy_errors + counters.broken,
        held: sum.held + counters.held,
        held_max_ms: sum.held_max_ms.max(counters.held_max_ms),
    })
}

impl Counters {
    /// Returns what happened since `before`. A proxy that was restarted meanwhile counts from 0.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            failed: self.failed.saturating_sub(before.failed),
            held: self.held.saturating_sub(before.held),
            held_max_ms: self.held_max_ms,
        }
    }
}
