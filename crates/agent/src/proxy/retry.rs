//! When an upgrade that failed is tried again.
//!
//! Nobody tells when its reason has gone. Each try may cost deploys the time that a successor is given
//! to serve, because an acknowledgement needs both; so the pauses grow.

use std::time::Duration;

use tokio::time::Instant;

/// Before the second try: longer than a successor is waited for, so that deploys come between.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// Between any two: whoever has mended the reason waits no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10 * 60);

/// The time of the next try.
#[derive(Debug)]
pub(crate) struct Retry {
    next: Instant,
    pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { next: Instant::now(), pause: FIRST_PAUSE }
    }
}

impl Retry {
    /// Returns whether something may be tried now.
    pub(crate) fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Takes note of what a try came to.
    pub(crate) fn after(&mut self, succeeded: bool) {
        if succeeded {
            *self = Self::default();
            return;
        }
        self.next = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew_after_a_success() {
        let mut retry = Retry::default();
        assert!(retry.is_due());
        for _ in 0..10 {
            retry.after(false);
            assert!(!retry.is_due() && retry.pause <= LONGEST_PAUSE);
        }
        assert_eq!(retry.pause, LONGEST_PAUSE);
        retry.after(true);
        assert!(retry.is_due());
    }
}
