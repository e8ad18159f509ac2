//! A fresh directory in which one artifact is built.
//!
//! ```text
//! artifacts/<app>/.stage-<random>/     root's (or the user's own), locked by its builder
//!   source/   what the environment is made from        code/   a copy of the source set
//!   env/      the virtual environment                  home/ tmp/
//! ```
//!
//! Fresh, because uv and build backends cache local projects by path and modification time: a
//! directory that was built in before gives yesterday's code. The parts belong to the build's user;
//! the stage itself does not, and is entered by that user only while a program of the build runs
//! ([`Stage::open_up`], [`Stage::close_down`]). Whoever finds a stage that nobody holds locked
//! removes it and ends what is left of its processes.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use disk::{DiskError, PathContext};
use rustix::fs::{FlockOperation, Timespec, Timestamps};

use crate::cancel::Cancel;
use crate::digest::copy_hashed;
use crate::error::BuildError;
use crate::identity::Identity;
use crate::source::{SourceEntry, SourceKind};
use crate::strays;
use crate::tree::{Found, Tree};

/// How a stage's directory begins.
pub(crate) const STAGE_PREFIX: &str = ".stage-";

/// A stage; removed with everything in it when dropped, its processes ended first.
#[derive(Debug)]
pub(crate) struct Stage {
    id: String,
    directory: PathBuf,
    identity: Identity,
    /// Held until the end: says that somebody is at work here.
    _lock: OwnedFd,
}

impl Stage {
    /// Makes a stage in `artifacts/<app>`.
    pub(crate) fn create(artifacts: &Path, identity: &Identity) -> Result<Self, DiskError> {
        let id = random_name()?;
        let directory = artifacts.join(format!("{STAGE_PREFIX}{id}"));
        disk::create_directory(&directory, 0o700)?;
        let Some(lock) = lock(&directory)? else {
            return Err(DiskError::new("lock", &directory, rustix::io::Errno::WOULDBLOCK));
        };
        let stage = Self { id, directory, identity: identity.clone(), _lock: lock };
        for part in [stage.home(), stage.temporary()] {
            stage.make(&part)?;
        }
        Ok(stage)
    }

    /// Returns the id that marks its processes.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.directory.join("source")
    }

    pub(crate) fn environment(&self) -> PathBuf {
        self.directory.join("env")
    }

    pub(crate) fn code(&self) -> PathBuf {
        self.directory.join("code")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.directory.join("home")
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.directory.join("tmp")
    }

    /// Makes a directory that belongs to the build's user.
    pub(crate) fn make(&self, path: &Path) -> Result<(), DiskError> {
        disk::create_directory(path, 0o755)?;
        self.identity.own(path)
    }

    /// Lets the build's user in.
    pub(crate) fn open_up(&self) -> Result<(), DiskError> {
        fs::set_permissions(&self.directory, Permissions::from_mode(0o711))
            .context("set the mode of", &self.directory)
    }

    /// Ends what is left of the build's processes and lets nobody in again; returns how many
    /// there were.
    pub(crate) fn close_down(&self) -> Result<usize, DiskError> {
        let ended = strays::kill(&self.id);
        fs::set_permissions(&self.directory, Permissions::from_mode(0o700))
            .context("set the mode of", &self.directory)?;
        Ok(ended)
    }

    /// Copies entries of a source set into `into`, which is made. A file that is no longer what
    /// the set says ends the build: the key would lie.
    pub(crate) fn copy_source(
        &self,
        source: &Path,
        entries: &[SourceEntry],
        into: &Path,
        cancel: &Cancel,
    ) -> Result<(), BuildError> {
        let tree = Tree::open(source)?;
        self.make(into)?;
        let mut last_parent = String::new();
        for entry in entries {
            if cancel.is_requested() {
                return Err(BuildError::Cancelled);
            }
            let parent = crate::path::parent(&entry.path);
            if parent != last_parent {
                self.make_parents(into, parent)?;
                parent.clone_into(&mut last_parent);
            }
            let path = into.join(&entry.path);
            match &entry.kind {
                SourceKind::File { executable, digest, .. } => {
                    let mode = if *executable { 0o755 } else { 0o644 };
                    let (file, found) = tree.open_file(&entry.path)?;
                    let copy = copy_file(file, &found, &path, mode)?;
                    if copy.digest != *digest {
                        return Err(BuildError::SourceChanged(entry.path.clone()));
                    }
                    self.identity.own_file(&copy.file, &path)?;
                }
                SourceKind::Link { target } => {
                    symlink(target, &path).context("create link", &path)?;
                    self.identity.own(&path)?;
                }
            }
        }
        Ok(())
    }

    fn make_parents(&self, root: &Path, parent: &str) -> Result<(), DiskError> {
        let mut directory = root.to_owned();
        for component in parent.split('/').filter(|component| !component.is_empty()) {
            directory.push(component);
            self.make(&directory)?;
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What cannot be removed now is found by the next collection.
        let _ = self.close_down();
        let _ = disk::remove_tree(&self.directory);
    }
}

/// A copied file.
pub(crate) struct Copy {
    pub(crate) file: File,
    pub(crate) digest: crate::digest::Digest,
    pub(crate) size_bytes: u64,
}

/// Copies an open file to a path where nothing is, with this mode and the time it had: servers
/// derive `ETag` and `Last-Modified` from it, so equal times for different contents would let a
/// browser keep an old stylesheet.
pub(crate) fn copy_file(
    from: File,
    found: &Found,
    to: &Path,
    mode: u32,
) -> Result<Copy, DiskError> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .context("create", to)?;
    let (digest, size_bytes) =
        copy_hashed(from, |bytes| file.write_all(bytes)).context("copy into", to)?;
    finish_file(&file, found, to, mode)?;
    Ok(Copy { file, digest, size_bytes })
}

/// Gives a new file its mode and the time of the one it was made from.
pub(crate) fn finish_file(
    file: &File,
    found: &Found,
    path: &Path,
    mode: u32,
) -> Result<(), DiskError> {
    file.set_permissions(Permissions::from_mode(mode)).context("set the mode of", path)?;
    let seconds = found.modified_ns.div_euclid(1_000_000_000);
    let time = Timespec { tv_sec: i64::try_from(seconds).unwrap_or(0), tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::futimens(file, &times).context("set the times of", path)
}

/// Locks a directory for its builder; `None` when somebody holds it.
pub(crate) fn lock(directory: &Path) -> Result<Option<OwnedFd>, DiskError> {
    let open: OwnedFd = File::open(directory).context("open", directory)?.into();
    match rustix::fs::flock(&open, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(open)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(DiskError::new("lock", directory, errno)),
    }
}

/// Returns 16 random hexadecimal digits.
pub(crate) fn random_name() -> Result<String, DiskError> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .context("draw a name for", Path::new("a stage"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
