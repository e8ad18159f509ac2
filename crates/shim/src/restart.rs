//! When a process that ended by itself is started again: a pure decision.
//!
//! The first restart is immediate. Each further one waits, from [`FIRST_DELAY`] doubling to
//! [`LONGEST_DELAY`], give or take [`JITTER`] drawn once a wait, so that services that died
//! together do not come back together. A life of [`STABLE_LIFE`] (or ten times what the process
//! took to say that it is ready) begins anew. [`LOOP_STARTS`] lives in a row that were all shorter
//! than [`SHORT_LIFE`] and all began within [`LOOP_WINDOW`] are a crash loop: it is said, and tried
//! on at the longest delay until one life is not short.

use std::collections::VecDeque;
use std::time::Duration;

use control::shim::{ExitStatus, RestartPolicy};

/// The wait before the second restart in a row.
pub(crate) const FIRST_DELAY: Duration = Duration::from_millis(100);

/// The longest wait.
pub(crate) const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// How much a wait may be longer or shorter, as a part of it.
pub(crate) const JITTER: f64 = 0.2;

/// A process that lived so long was fine; its end is a new story.
pub(crate) const STABLE_LIFE: Duration = Duration::from_secs(60);

/// A slow starter must live longer to count as fine: so many times its time to readiness.
const STABLE_STARTUPS: u32 = 10;

/// A process that lived shorter did nothing useful.
pub(crate) const SHORT_LIFE: Duration = Duration::from_secs(10);

/// So many short lives in a row are a crash loop.
pub(crate) const LOOP_STARTS: usize = 5;

/// … if they all began within this time.
pub(crate) const LOOP_WINDOW: Duration = Duration::from_secs(60);

/// One life, as the decision sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    /// When it began, since boot.
    pub(crate) began: Duration,
    /// How long it was.
    pub(crate) lived: Duration,
    /// How long it took to say that it is ready, if it did.
    pub(crate) startup: Option<Duration>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Start again at once.
    Now,
    /// Start again after this time.
    After(Duration),
    /// A crash loop; start again after this time.
    Loop(Duration),
}

/// What is remembered of a slot's earlier lives.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Restarts since the last stable life.
    restarts: u32,
    /// When the latest short lives in a row began; at most [`LOOP_STARTS`].
    short: VecDeque<Duration>,
    looping: bool,
}

impl History {
    /// Returns when to start again after `life`; `jitter` is drawn evenly from 0 to 1.
    pub(crate) fn ended(&mut self, life: Life, jitter: f64) -> Verdict {
        let startup = life.startup.unwrap_or_default();
        if life.lived >= STABLE_LIFE.max(startup * STABLE_STARTUPS) {
            self.restarts = 0;
        }
        if life.lived < SHORT_LIFE {
            if self.short.len() == LOOP_STARTS {
                self.short.pop_front();
            }
            self.short.push_back(life.began);
        } else {
            self.short.clear();
            self.looping = false;
        }
        if let (Some(first), Some(last)) = (self.short.front(), self.short.back())
            && self.short.len() == LOOP_STARTS
            && last.saturating_sub(*first) <= LOOP_WINDOW
        {
            self.looping = true;
        }
        let restart = self.restarts;
        self.restarts = self.restarts.saturating_add(1);
        if self.looping {
            return Verdict::Loop(spread(LONGEST_DELAY, jitter));
        }
        match restart.checked_sub(1) {
            None => Verdict::Now,
            Some(doublings) => Verdict::After(spread(delay(doublings), jitter)),
        }
    }

    /// Returns when to try again what failed before there was a process.
    pub(crate) fn not_started(&mut self, jitter: f64) -> Duration {
        self.restarts = self.restarts.saturating_add(1);
        spread(delay(self.restarts - 1), jitter)
    }
}

/// Returns whether a process that ended like this is started again.
pub(crate) fn restarts(policy: RestartPolicy, status: ExitStatus) -> bool {
    match policy {
        RestartPolicy::Always => true,
        // An unknown end is never taken for success.
        RestartPolicy::OnFailure => status != ExitStatus::Code(0),
        RestartPolicy::Never => false,
    }
}

fn delay(doublings: u32) -> Duration {
    1u32.checked_shl(doublings.min(31))
        .and_then(|factor| FIRST_DELAY.checked_mul(factor))
        .map_or(LONGEST_DELAY, |delay| delay.min(LONGEST_DELAY))
}

fn spread(delay: Duration, jitter: f64) -> Duration {
    delay.mul_f64(1.0 - JITTER + 2.0 * JITTER * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(began_ms: u64, lived_ms: u64) -> Life {
        Life {
            began: Duration::from_millis(began_ms),
            lived: Duration::from_millis(lived_ms),
            startup: None,
        }
    }

    /// Lives of `lived_ms`, each begun when the wait before it was over.
    fn verdicts(lived_ms: u64, count: usize) -> Vec<Verdict> {
        let mut history = History::default();
        let mut began = 0;
        let mut verdicts = Vec::new();
        for _ in 0..count {
            let verdict = history.ended(life(began, lived_ms), 0.5);
            began += lived_ms;
            if let Verdict::After(delay) | Verdict::Loop(delay) = verdict {
                began += delay.as_millis() as u64;
            }
            verdicts.push(verdict);
        }
        verdicts
    }

    #[test]
    fn the_first_restart_is_immediate_and_the_delays_double_to_the_longest() {
        let after = |ms| Verdict::After(Duration::from_millis(ms));
        assert_eq!(
            verdicts(11_000, 12),
            [
                Verdict::Now,
                after(100),
                after(200),
                after(400),
                after(800),
                after(1600),
                after(3200),
                after(6400),
                after(12_800),
                after(25_600),
                after(30_000),
                after(30_000),
            ]
        );
    }

    #[test]
    fn short_lives_are_a_crash_loop_until_one_is_not() {
        let all = verdicts(0, 8);
        assert!(all[..4].iter().all(|verdict| !matches!(verdict, Verdict::Loop(_))), "{all:?}");
        assert!(all[4..].iter().all(|verdict| *verdict == Verdict::Loop(LONGEST_DELAY)), "{all:?}");
        let mut history = History::default();
        for began in 0..5 {
            history.ended(life(began, 0), 0.5);
        }
        assert!(history.looping);
        assert!(matches!(history.ended(life(50_000, 11_000), 0.5), Verdict::After(_)));
    }

    #[test]
    fn a_stable_life_begins_anew_and_slow_starters_must_live_longer() {
        let mut history = History::default();
        history.ended(life(0, 11_000), 0.5);
        assert_eq!(history.ended(life(20_000, 60_000), 0.5), Verdict::Now);
        let slow = Life { startup: Some(Duration::from_secs(20)), ..life(0, 60_000) };
        assert!(matches!(history.ended(slow, 0.5), Verdict::After(_)));
    }

    #[test]
    fn jitter_stays_within_its_part() {
        assert_eq!(spread(FIRST_DELAY, 0.0), Duration::from_millis(80));
        assert_eq!(spread(FIRST_DELAY, 1.0), Duration::from_millis(120));
        assert_eq!(spread(FIRST_DELAY, 9.0), Duration::from_millis(120));
    }

    #[test]
    fn unknown_exits_are_failures() {
        assert!(restarts(RestartPolicy::OnFailure, ExitStatus::Unknown));
        assert!(!restarts(RestartPolicy::OnFailure, ExitStatus::Code(0)));
        assert!(!restarts(RestartPolicy::Never, ExitStatus::Signal(9)));
        assert!(restarts(RestartPolicy::Always, ExitStatus::Code(0)));
    }
}
