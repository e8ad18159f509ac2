//! The files of an infrastructure repository: the only part of this crate that touches a disk.
//!
//! Files are opened without following a symbolic link (an error message shows lines of them), only
//! regular ones, and only up to a bound.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use disk::DiskError;
use report::{Failure, Kind};
use rustix::fs::OFlags;

use crate::document::MAX_FILE_BYTES;
use crate::generated::{Decision, LOCK, Lock, LockError, MAX_LOCK_BYTES};
use crate::nodes_file::{self, NodesFile};
use crate::problem::ParseErrors;
use crate::role::ROLES;
use crate::roles::{Change, recorded_after};

/// The nodes file, in JSON.
pub const NODES_JSON: &str = "nodes.json";
/// The nodes file, in TOML.
pub const NODES_TOML: &str = "nodes.toml";

/// Generated files are committed: for everybody to read, as git checks them out.
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// Why a repository cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Neither file.
    #[error("no `{NODES_TOML}` and no `{NODES_JSON}` in `{}`", directory.display())]
    Missing {
        /// Where.
        directory: PathBuf,
    },
    /// Both files.
    #[error("both `{NODES_TOML}` and `{NODES_JSON}` are in `{}`", directory.display())]
    Both {
        /// Where.
        directory: PathBuf,
    },
    /// A file could not be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not UTF-8.
    #[error("`{}` is not UTF-8 text: line {line} is not", path.display())]
    NotText {
        /// Which.
        path: PathBuf,
        /// The first bad line.
        line: usize,
    },
    /// The nodes file is wrong.
    #[error(transparent)]
    Invalid(#[from] ParseErrors),
    /// The lock is wrong.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Invalid(errors) => errors.into(),
            LoadError::Lock(error) => error.into(),
            LoadError::Missing { .. } => Self::from_error(Kind::Usage, &error)
                .hint("-C DIR    names the directory that has it"),
            LoadError::Both { .. } => {
                Self::from_error(Kind::Usage, &error).hint("keep one of them")
            }
            _ => Self::from_error(Kind::Usage, &error),
        }
    }
}

/// Why changes were not made, or not all of them.
#[derive(Debug, thiserror::Error)]
#[error("failed to write generated files, {done} of them done before")]
pub struct ApplyError {
    /// Files that were written or removed.
    pub done: usize,
    /// What went wrong then.
    pub source: DiskError,
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        let kind = if error.done == 0 { Kind::Failed } else { Kind::Partial };
        Self::from_error(kind, &error).hint("run it again: what is written stays")
    }
}

/// Reads the nodes file of a directory.
pub fn load(directory: &Path) -> Result<NodesFile, LoadError> {
    let toml = read_text(&directory.join(NODES_TOML), MAX_FILE_BYTES)?;
    let json = read_text(&directory.join(NODES_JSON), MAX_FILE_BYTES)?;
    let (file, text) = match (toml, json) {
        (Some(text), None) => (NODES_TOML, text),
        (None, Some(text)) => (NODES_JSON, text),
        (None, None) => return Err(LoadError::Missing { directory: directory.to_owned() }),
        (Some(_), Some(_)) => return Err(LoadError::Both { directory: directory.to_owned() }),
    };
    Ok(nodes_file::parse(file, &text)?)
}

/// Reads the lock of a directory; one that is not there is empty.
pub fn load_lock(directory: &Path) -> Result<Lock, LoadError> {
    match read_text(&directory.join(LOCK), MAX_LOCK_BYTES)? {
        Some(text) => Ok(Lock::parse(&text)?),
        None => Ok(Lock::default()),
    }
}

/// Reads those of `paths` that are there.
pub fn read_found(
    directory: &Path,
    paths: &BTreeSet<String>,
) -> Result<BTreeMap<String, Vec<u8>>, LoadError> {
    let mut found = BTreeMap::new();
    for path in paths {
        let full = directory.join(path);
        match read_regular(&full, MAX_FILE_BYTES) {
            Ok(bytes) => {
                found.insert(path.clone(), bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(LoadError::Read { path: full, source }),
        }
    }
    Ok(found)
}

/// Returns the names of the roles that have a file, sorted.
pub fn role_files(directory: &Path) -> Result<BTreeSet<String>, LoadError> {
    let path = directory.join(ROLES);
    let failed = |source| LoadError::Read { path: path.clone(), source };
    let entries = match std::fs::read_dir(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        names.extend(name.to_str().and_then(|name| name.strip_suffix(".json")).map(str::to_owned));
    }
    Ok(names)
}

/// Makes the changes, then writes the lock: in this order a run that ends between them leaves files
/// with exactly the wanted bytes, which the next run takes for written.
pub fn apply(directory: &Path, lock: &Lock, changes: &[Change]) -> Result<(), ApplyError> {
    let mut done = 0;
    for change in changes {
        done += usize::from(make(directory, change).map_err(|source| ApplyError { done, source })?);
    }
    let after = recorded_after(lock, changes);
    if after == *lock {
        return Ok(());
    }
    disk::write_atomically(&directory.join(LOCK), after.to_text().as_bytes(), FILE_MODE)
        .map_err(|source| ApplyError { done, source })
}

/// Makes one change; returns whether there was anything to do.
fn make(directory: &Path, change: &Change) -> Result<bool, DiskError> {
    let path = directory.join(&change.path);
    match (change.decision, &change.text) {
        (Decision::Create | Decision::Update, Some(text)) => {
            if let Some(parent) = path.parent() {
                disk::create_directories(parent, DIRECTORY_MODE)?;
            }
            disk::write_atomically(&path, text.as_bytes(), FILE_MODE)?;
            Ok(true)
        }
        (Decision::Remove, _) => disk::remove_file(&path).map(|()| true),
        _ => Ok(false),
    }
}

/// Returns the text of a file, or `None` if there is none.
pub fn read_text(path: &Path, max_bytes: u64) -> Result<Option<String>, LoadError> {
    let bytes = match read_regular(path, max_bytes) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LoadError::Read { path: path.to_owned(), source }),
    };
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.split(|b| *b == b'\n').count();
        LoadError::NotText { path: path.to_owned(), line }
    })
}

/// Reads a regular file of at most `max_bytes`; a symbolic link, a device or a pipe is refused.
fn read_regular(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    // NONBLOCK: opening a named pipe would wait for its writer.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: File =
        OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path).map_err(
            |error| match rustix::io::Errno::from_io_error(&error) {
                Some(rustix::io::Errno::LOOP) => {
                    io::Error::other("it is a symbolic link; a regular file is needed")
                }
                _ => error,
            },
        )?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::Error::other(format!("it is larger than {} KiB", max_bytes / 1024)));
    }
    Ok(bytes)
}
