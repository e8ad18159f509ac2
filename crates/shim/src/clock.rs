//! The two clocks: one for waiting, one for people.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Returns the time since boot, suspended time included: never set back, so every timer uses it.
pub(crate) fn now() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Returns the wall clock, microseconds since the epoch; for records only.
pub(crate) fn wall_us() -> u64 {
    // A clock before 1970 is a machine without one.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Returns the wall clock, milliseconds since the epoch.
pub(crate) fn wall_ms() -> u64 {
    wall_us() / 1000
}
