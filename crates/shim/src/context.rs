//! What all slots of a shim share.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use control::ServiceName;
use control::shim::{Containment, SharedListener};

use crate::journal::{Journal, Record};
use crate::output::Output;
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
        if let Err(error) = self.journal.append(record) {
            note(&format!("failed to write the journal: {error}"));
        }
    }
}

/// Writes a line about the shim's own troubles to its standard error, which is `shim.log`.
pub(crate) fn note(text: &str) {
    // There is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{} {text}", crate::clock::wall_ms());
}
