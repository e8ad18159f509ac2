//! Registering descriptors with the runtime's reactor.
//!
//! # Why the unsafe code here is sound
//!
//! `AsyncFd::register` asks that the object's descriptor stays open and the same for as long as it
//! is registered. Both types registered here own their descriptor, give out the same number every
//! time and have no method that closes or replaces it; nothing in this crate assigns to the object
//! inside an `AsyncFd`, and none is handed out of the crate.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;

use control::Connection;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a connection for both directions.
pub(crate) fn connection(connection: Connection) -> io::Result<AsyncFd<Connection>> {
    // SAFETY: a `Connection` owns its socket for its whole life; see the module documentation.
    let registered = unsafe { AsyncFd::register(connection) };
    registered.map_err(|error| error.into_parts().1)
}

/// A descriptor that becomes readable once and stays so, for example a pidfd.
#[derive(Debug)]
pub struct Watched(AsyncFd<OwnedFd>);

impl Watched {
    /// Takes over a descriptor; must be called inside a runtime with I/O enabled.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: an `OwnedFd` stays open until it is dropped; see the module documentation.
        let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        registered.map(Self).map_err(|error| error.into_parts().1)
    }

    /// Returns once the descriptor is readable: for a pidfd, once the process has ended.
    ///
    /// Consumes nothing, so it returns at once when called again. Cancel-safe.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable().await?.retain_ready();
        Ok(())
    }
}
