//! How long to wait before a shim is tried again.

use std::time::Duration;

use crate::limits::{FIRST_PAUSE, FREE_RESTARTS, LONGEST_PAUSE, STABLE_AFTER};

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a connection that was lost after this long.
    pub(crate) fn lost_after(&mut self, connected: Duration) {
        if connected >= STABLE_AFTER {
            self.failures = 0;
        }
        self.failed();
    }

    /// Counts an attempt that failed.
    pub(crate) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns the pause before the next attempt: none, then doubled up to the longest.
    pub(crate) fn pause(&self) -> Duration {
        match self.failures.checked_sub(FREE_RESTARTS + 1) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
                FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_none_to_the_longest_and_health_resets_them() {
        let mut backoff = Backoff::default();
        let mut last = Duration::ZERO;
        for failure in 1..200 {
            backoff.failed();
            let pause = backoff.pause();
            assert_eq!(pause.is_zero(), failure <= FREE_RESTARTS);
            assert!(pause >= last && pause <= LONGEST_PAUSE);
            last = pause;
        }
        assert_eq!(last, LONGEST_PAUSE);
        backoff.lost_after(STABLE_AFTER / 2);
        assert_eq!(backoff.pause(), LONGEST_PAUSE);
        backoff.lost_after(STABLE_AFTER);
        assert_eq!(backoff.pause(), Duration::ZERO);
    }
}
