//! Waiting for a level, with a deadline and with words.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How often a level is looked at: often enough not to slow a test down, seldom enough to leave the
/// processor to what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(3);

/// Returns what `look` finds; panics with `what` when it has found nothing for so long.
#[track_caller]
pub fn wait_until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    wait_for(limit, what, || look().ok_or("nothing"))
}

/// Returns what `look` finds; panics with `what` and what it saw last.
#[track_caller]
pub fn wait_for<T, S: Display>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T, S>,
) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if start.elapsed() > limit => {
                panic!("waited {:.1} s for {what}; last seen: {seen}", limit.as_secs_f64())
            }
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}
