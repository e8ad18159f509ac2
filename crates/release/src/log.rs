//! The log of one build: every line its programs wrote, kept after it failed.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use disk::{DiskError, PathContext};

/// Largest log; what comes after it is still shown live.
const MAX_LOG_BYTES: u64 = 16 * 1024 * 1024;
/// Logs of earlier builds that are kept.
const KEEP_LOGS: usize = 20;
/// Lines that an error repeats.
const LAST_LINES: usize = 20;

/// A log being written.
#[derive(Debug)]
pub(crate) struct BuildLog {
    path: PathBuf,
    file: File,
    written: u64,
    last: VecDeque<String>,
}

impl BuildLog {
    /// Opens a new log in `directory` and removes the oldest ones.
    pub(crate) fn create(directory: &Path, name: &str) -> Result<Self, DiskError> {
        disk::create_directories(directory, 0o711)?;
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        // Ten digits until 2286, so that names sort by time.
        let path = directory.join(format!("{seconds:010}-{name}.log"));
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .context("create", &path)?;
        forget_old(directory)?;
        Ok(Self { path, file, written: 0, last: VecDeque::new() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line. A full disk loses the log, not the build.
    pub(crate) fn line(&mut self, line: &str) {
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
        let size = line.len() as u64 + 1;
        if self.written + size <= MAX_LOG_BYTES && writeln!(self.file, "{line}").is_ok() {
            self.written += size;
        } else if self.written < MAX_LOG_BYTES {
            self.written = MAX_LOG_BYTES;
            let _ = writeln!(self.file, "… the rest was not kept");
        }
    }

    /// Begins a new step: its error repeats its own lines only.
    pub(crate) fn begin(&mut self, command: &str) {
        self.line(&format!("$ {command}"));
        self.last.clear();
    }

    pub(crate) fn last_lines(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }
}

fn forget_old(directory: &Path) -> Result<(), DiskError> {
    let mut logs: Vec<PathBuf> = fs::read_dir(directory)
        .context("list", directory)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    let surplus = logs.len().saturating_sub(KEEP_LOGS);
    logs.iter().take(surplus).try_for_each(|path| disk::remove_file(path))
}
