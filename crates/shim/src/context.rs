//! What all slots of a shim share.

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use control::ServiceName;
use control::shim::{Containment, SharedListener};

use crate::journal::{Journal, Record};
use crate::output::Output;
use crate::own_process::MAX_LOG_BYTES;
use crate::poll::Poll;
use crate::refuse::Refusals;

/// What all slots share; handed to each of their operations.
#[derive(Debug)]
pub(crate) struct Context {
    /// The installation's id.
    pub(crate) installation: String,
    pub(crate) service: ServiceName,
    pub(crate) poll: Poll,
    pub(crate) journal: Journal,
    /// Why the journal's file lacks something, from when that was noted until it is whole again.
    pub(crate) journal_trouble: Option<String>,
    pub(crate) output: Output,
    pub(crate) refusals: Refusals,
    /// The service's cgroup; absent: sessions have to do.
    pub(crate) cgroup: Option<PathBuf>,
    /// The service's public addresses, in the order in which they were opened.
    pub(crate) shared: Vec<(SharedListener, OwnedFd)>,
    /// `/dev/null`, the standard input of every process.
    pub(crate) nothing: OwnedFd,
    /// `RLIMIT_NOFILE`, soft and hard, as the shim was started with.
    pub(crate) open_files: (u64, u64),
}

impl Context {
    /// Returns what holds a start's processes together.
    pub(crate) fn containment(&self) -> Containment {
        if self.cgroup.is_some() { Containment::Cgroup } else { Containment::Session }
    }

    /// Journals what happened. Where that fails the shim goes on: what is not in the file is
    /// remembered and written as soon as it can be.
    pub(crate) fn record(&mut self, record: Record) {
        let written = self.journal.append(record);
        self.judge_journal(written);
    }

    /// Takes note of a journal that could not be written, and of one that is whole again: once
    /// each, for it may fail many times a second for as long as a disk is full.
    pub(crate) fn judge_journal(&mut self, written: io::Result<()>) {
        match (written, &self.journal_trouble) {
            (Err(error), None) => {
                note(&format!("the journal failed: {error}"));
                self.journal_trouble = Some(error.to_string());
            }
            (Ok(()), Some(trouble)) if !self.journal.is_behind() => {
                // The first note may have met the same disk.
                note(&format!("the journal is whole again, after: {trouble}"));
                self.journal_trouble = None;
            }
            _ => {}
        }
    }
}

/// How much was written by [`note`].
static NOTED_BYTES: AtomicU64 = AtomicU64::new(0);

/// Writes a line about the shim's own troubles to its standard error, which is `shim.log`; begins
/// that anew each time a whole [`MAX_LOG_BYTES`] were written.
pub(crate) fn note(text: &str) {
    let line = format!("{} {text}\n", crate::clock::wall_ms());
    let before = NOTED_BYTES.fetch_add(line.len() as u64, Ordering::Relaxed);
    if before / MAX_LOG_BYTES != (before + line.len() as u64) / MAX_LOG_BYTES {
        // What is no file cannot be cut, and grows nowhere.
        let _ = rustix::fs::ftruncate(std::io::stderr(), 0);
    }
    // There is nobody left to tell.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
