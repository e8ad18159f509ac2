//! The directory that converge owns: `converge.lock`, `journal`, `ledger.json`, `kept/`.
//!
//! Whoever plans may read it at any time; only the holder of the lock writes, and only in a run that
//! changes something; but for its process id in the lock, which tells others whom to wait for.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use disk::{DiskError, Lock, PathContext};

use crate::journal::{Durable, Entry, Journal};
use crate::keep::Keep;
use crate::ledger::{Ledger, LedgerError};

/// Where converge keeps what it has to know.
#[derive(Debug, Clone)]
pub struct StateDirectory {
    path: PathBuf,
}

/// Why the state cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another run is at it.
    #[error("another run holds `{path}`{}", .holder.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Locked {
        /// The lock.
        path: String,
        /// Who holds it, if that can be told.
        holder: Option<u32>,
    },
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl StateDirectory {
    /// Returns the state at an absolute path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads the ledger as the next run will find it: with what an unfinished run has left.
    pub fn read(&self) -> Result<Ledger, LedgerError> {
        // The journal first: a run that ends meanwhile has written the ledger before it empties it.
        let (_, entries) = Journal::open(self.file("journal"))?;
        let mut ledger = Ledger::read(&self.file("ledger.json"))?;
        for (sequence, entry) in entries {
            ledger.take(sequence, entry);
        }
        Ok(ledger)
    }

    /// Takes the state for a run.
    pub(crate) fn take(&self) -> Result<State, StateError> {
        disk::create_directories(&self.path, 0o700)?;
        let path = self.file("converge.lock");
        let Some(lock) = Lock::try_exclusive(&path)? else {
            let holder = fs::read_to_string(&path).ok().and_then(|pid| pid.trim().parse().ok());
            return Err(StateError::Locked { path: path.display().to_string(), holder });
        };
        // For messages only; what holds is the lock.
        let pid = std::process::id().to_string();
        if fs::read_to_string(&path).is_ok_and(|text| text != pid) {
            write_in_place(&path, pid.as_bytes()).context("write", &path)?;
        }
        let (journal, entries) = Journal::open(self.file("journal"))?;
        let mut ledger = Ledger::read(&self.file("ledger.json"))?;
        let written = ledger.clone();
        if !entries.is_empty() {
            self.sweep()?;
        }
        for (sequence, entry) in entries {
            ledger.take(sequence, entry);
        }
        let keep = Keep::at(self.file("kept"));
        let ledger_path = self.file("ledger.json");
        Ok(State { _lock: lock, journal, ledger, written, keep, ledger_path })
    }
}

impl StateDirectory {
    /// Removes the unfinished ledger of a killed run.
    fn sweep(&self) -> Result<(), DiskError> {
        for entry in fs::read_dir(&self.path).context("list", &self.path)? {
            let entry = entry.context("list", &self.path)?;
            if entry.file_name().to_string_lossy().starts_with(".ledger.json.") {
                disk::remove_file(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// Writes into the file itself: its inode is what is locked.
fn write_in_place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    fs::OpenOptions::new().write(true).truncate(true).mode(0o600).open(path)?.write_all(bytes)
}

/// The state during a run.
#[derive(Debug)]
pub(crate) struct State {
    _lock: Lock,
    journal: Journal,
    pub(crate) ledger: Ledger,
    /// What the ledger's file says.
    written: Ledger,
    pub(crate) keep: Keep,
    ledger_path: PathBuf,
}

impl State {
    /// Writes an entry to the journal and takes it into the ledger; returns its number.
    pub(crate) fn record(&mut self, entry: Entry, durable: Durable) -> Result<u64, DiskError> {
        let sequence = self.ledger.sequence + 1;
        self.journal.append(sequence, &entry, durable)?;
        self.ledger.take(sequence, entry);
        Ok(sequence)
    }

    /// Writes the ledger and empties the journal, if anything is different.
    pub(crate) fn settle(&mut self) -> Result<(), DiskError> {
        if self.ledger != self.written {
            self.ledger.write(&self.ledger_path)?;
            self.written = self.ledger.clone();
            self.keep.sweep(&self.ledger.texts())?;
        }
        // Every entry of it has a number that the ledger has passed by now.
        if self.journal.is_empty() { Ok(()) } else { self.journal.empty() }
    }
}
