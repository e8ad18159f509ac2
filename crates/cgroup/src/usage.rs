//! What a group of processes uses, without a controller.

use std::collections::BTreeSet;
use std::fs;

/// What a group of processes uses at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many live processes.
    pub processes: usize,
    /// Their resident memory in bytes; pages that several of them share count for each.
    pub resident_bytes: u64,
}

impl Usage {
    /// Adds up `/proc/PID/statm`; a process that ends meanwhile counts nothing.
    pub fn of(processes: &BTreeSet<u32>) -> Self {
        let page = rustix::param::page_size() as u64;
        let mut usage = Self::default();
        for pid in processes {
            let Ok(text) = fs::read_to_string(format!("/proc/{pid}/statm")) else { continue };
            let pages = text.split(' ').nth(1).and_then(|field| field.parse::<u64>().ok());
            usage.processes += 1;
            usage.resident_bytes += pages.unwrap_or(0) * page;
        }
        usage
    }
}
