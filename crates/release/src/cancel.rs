//! A request to stop that also wakes whoever waits in `poll`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::EventfdFlags;

/// Cancels one build; clones belong together. Cancelling is final.
#[derive(Debug, Clone)]
pub struct Cancel {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    requested: AtomicBool,
    /// Readable for ever once requested: nobody reads it.
    wake: OwnedFd,
}

impl Cancel {
    /// Returns one that nobody has asked for. Fails only when no descriptor is left.
    pub fn new() -> io::Result<Self> {
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { shared: Arc::new(Shared { requested: AtomicBool::new(false), wake }) })
    }

    /// Asks the build to stop. Returns at once; the build ends with `BuildError::Cancelled` after
    /// everything it started is gone.
    pub fn cancel(&self) {
        if !self.shared.requested.swap(true, Ordering::SeqCst) {
            // It can fail only when the counter is full, and then the descriptor is readable.
            let _ = rustix::io::write(&self.shared.wake, &1_u64.to_ne_bytes());
        }
    }

    /// Returns whether somebody asked.
    pub fn is_requested(&self) -> bool {
        self.shared.requested.load(Ordering::SeqCst)
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.shared.wake.as_fd()
    }
}
