//! Locks that end with their holder.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::error::{DiskError, PathContext};

/// A held `flock`. It belongs to the open file: a child that inherits the descriptor holds it too,
/// and it ends when the last of them closes it or dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock for this process alone, or returns `None` when somebody holds it.
    pub fn try_exclusive(path: &Path) -> Result<Option<Self>, DiskError> {
        Self::take(path, FlockOperation::NonBlockingLockExclusive)
    }

    /// Takes the lock for this process alone and waits for it as long as it takes; for locks that
    /// are held for moments only.
    pub fn exclusive(path: &Path) -> Result<Self, DiskError> {
        match Self::take(path, FlockOperation::LockExclusive)? {
            Some(lock) => Ok(lock),
            None => Err(DiskError::new("lock", path, Errno::WOULDBLOCK)),
        }
    }

    /// Takes the lock together with other sharers, or returns `None` when somebody holds it alone.
    pub fn try_shared(path: &Path) -> Result<Option<Self>, DiskError> {
        Self::take(path, FlockOperation::NonBlockingLockShared)
    }

    fn take(path: &Path, operation: FlockOperation) -> Result<Option<Self>, DiskError> {
        // A lock file may belong to somebody else and be readable only (an artifact's lease).
        let file = match File::open(path) {
            Ok(file) => file,
            Err(_) => OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)
                .context("open", path)?,
        };
        loop {
            match rustix::fs::flock(&file, operation) {
                Ok(()) => return Ok(Some(Self { file })),
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(DiskError::new("lock", path, errno)),
            }
        }
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl From<Lock> for OwnedFd {
    fn from(lock: Lock) -> Self {
        lock.file.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_exclusive_or_many_shared() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let alone = Lock::try_exclusive(&path).unwrap().unwrap();
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        assert!(Lock::try_shared(&path).unwrap().is_none());
        drop(alone);
        let first = Lock::try_shared(&path).unwrap().unwrap();
        let second = Lock::try_shared(&path).unwrap().unwrap();
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        drop((first, second));
        assert!(Lock::try_exclusive(&path).unwrap().is_some());
    }
}
