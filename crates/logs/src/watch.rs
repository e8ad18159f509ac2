//! Knowing when a log has grown, without asking again and again.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::LogError;

/// A descriptor that becomes readable when something was written to a log directory.
///
/// An inotify instance: an ordinary user has 128 of them by default, so that where opening one
/// fails a reader has to look at intervals instead.
#[derive(Debug)]
pub struct Watch {
    fd: OwnedFd,
}

impl Watch {
    /// Watches a log directory from now on. Open it before the [`crate::Reader`] reads to the end,
    /// so that nothing is written unseen in between.
    pub fn open(directory: &Path) -> Result<Self, LogError> {
        let open = || -> Result<OwnedFd, Errno> {
            let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            inotify::add_watch(&fd, directory, WatchFlags::CREATE | WatchFlags::MODIFY)?;
            Ok(fd)
        };
        let fd = open()
            .map_err(|errno| LogError::Watch { path: directory.into(), source: errno.into() })?;
        Ok(Self { fd })
    }

    /// Forgets what has happened, so that the descriptor becomes readable with the next change.
    /// Clear first, then read the log to its end.
    pub fn clear(&self) {
        /// Events are 16 bytes and a name of at most 24.
        const EVENTS_BYTES: usize = 4096;
        let mut events = [MaybeUninit::uninit(); EVENTS_BYTES];
        loop {
            match rustix::io::read(&self.fd, &mut events) {
                Ok(([], _)) => return,
                Ok(_) | Err(Errno::INTR) => {}
                // Nothing left; or an overflow, after which the log is read anyway.
                Err(_) => return,
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
