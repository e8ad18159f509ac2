//! Taking connections, also when there is no descriptor left for one.
//!
//! A connection that cannot be accepted stays in the queue and keeps the listener readable: a loop
//! that only gave up would turn for nothing until something is closed. So one descriptor is kept in
//! reserve; with it such a connection is taken, to be told off and closed.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::SocketFlags;

/// A connection that was taken.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// To be kept.
    Connection(OwnedFd),
    /// To be closed before the next one is taken: it has the descriptor in reserve.
    OnReserve(OwnedFd),
}

/// Takes connections.
#[derive(Debug, Default)]
pub(crate) struct Acceptor {
    reserve: Option<File>,
}

impl Acceptor {
    /// Takes the next connection of a non-blocking listener; `None` when none waits.
    pub(crate) fn next(&mut self, listener: &OwnedFd) -> Option<Accepted> {
        /// Connections that ended while they waited are passed over; so many at most.
        const MAX_PASSED: usize = 64;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        if self.reserve.is_none() {
            self.reserve = File::open("/dev/null").ok();
        }
        for _ in 0..MAX_PASSED {
            match rustix::net::accept_with(listener, flags) {
                Ok(socket) => return Some(Accepted::Connection(socket)),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::MFILE | Errno::NFILE) => {
                    self.reserve.take()?;
                    let accepted = rustix::net::accept_with(listener, flags).ok();
                    return accepted.map(Accepted::OnReserve);
                }
                Err(_) => return None,
            }
        }
        None
    }
}
