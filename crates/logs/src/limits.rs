//! How much disk the log of one service may take.

use std::time::Duration;

/// The bounds of one service's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A segment ends before it grows beyond this.
    pub segment_bytes: u64,
    /// A segment ends when its first record is this old.
    pub segment_age: Duration,
    /// The oldest segments are deleted so that all together stay below this. At least one segment
    /// is always kept: the one being written.
    pub total_bytes: u64,
}

impl Default for Limits {
    /// 8 MiB or a day for each segment, 64 MiB in all.
    fn default() -> Self {
        Self {
            segment_bytes: 8 << 20,
            segment_age: Duration::from_secs(24 * 60 * 60),
            total_bytes: 64 << 20,
        }
    }
}
