//! Answers connections that no process will accept soon; see the crate's documentation.
//!
//! What the client has sent is read first and the connection is read on for a moment after the
//! answer: closing a unix socket with unread bytes resets it, and the client could lose the answer
//! or find its own write broken. Bounded in connections, bytes and time.

use std::os::fd::OwnedFd;
use std::time::Duration;

use control::shim::REFUSED_RESPONSE;
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown};

use crate::accept::{Accepted, Acceptor};
use crate::poll::{Interest, Poll, Token};

/// Most connections taken from one listener in one turn of the loop.
const ACCEPTS_PER_TURN: usize = 128;

/// Most answered connections that are read on; beyond, the oldest is closed.
const MAX_LINGERING: usize = 256;

/// How long an answered connection is read on.
const LINGER: Duration = Duration::from_secs(2);

/// Most bytes that are read of one, before it is closed on a client that does not stop.
const MAX_READ_BYTES: usize = 4 << 20;

#[derive(Debug)]
struct Lingering {
    key: u32,
    socket: OwnedFd,
    until: Duration,
    read_bytes: usize,
}

/// The connections that were refused and are being read out.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    acceptor: Acceptor,
    lingering: Vec<Lingering>,
    next_key: u32,
}

impl Refusals {
    /// Takes connections from `listener`, which is non-blocking, and answers them.
    pub(crate) fn answer(&mut self, poll: &Poll, listener: &OwnedFd, now: Duration) {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.acceptor.next(listener) {
                Some(Accepted::Connection(socket)) => {
                    if let Some(lingering) = self.refuse(socket, now) {
                        self.linger(poll, lingering);
                    }
                }
                // Closed at once.
                Some(Accepted::OnReserve(socket)) => drop(self.refuse(socket, now)),
                None => return,
            }
        }
    }

    /// Answers a connection; returns it if its client may still be writing.
    fn refuse(&mut self, socket: OwnedFd, now: Duration) -> Option<Lingering> {
        let key = self.next_key;
        self.next_key = self.next_key.wrapping_add(1);
        let mut lingering = Lingering { key, socket, until: now + LINGER, read_bytes: 0 };
        let over = lingering.read();
        // The answer fits any socket's buffer; a client that is gone needs none.
        let sent = rustix::net::send(&lingering.socket, REFUSED_RESPONSE, SendFlags::NOSIGNAL);
        let shut = rustix::net::shutdown(&lingering.socket, Shutdown::Write);
        (!over && sent.is_ok() && shut.is_ok()).then_some(lingering)
    }

    fn linger(&mut self, poll: &Poll, lingering: Lingering) {
        if self.lingering.len() == MAX_LINGERING {
            let oldest = self.lingering.remove(0);
            poll.remove(&oldest.socket);
        }
        if poll.add(&lingering.socket, Token::Refused(lingering.key), Interest::Read).is_ok() {
            self.lingering.push(lingering);
        }
    }

    /// Reads on a connection that became readable.
    pub(crate) fn readable(&mut self, poll: &Poll, key: u32) {
        let Some(index) = self.lingering.iter().position(|one| one.key == key) else { return };
        if self.lingering[index].read() {
            let ended = self.lingering.remove(index);
            poll.remove(&ended.socket);
        }
    }

    /// Closes those whose time is over.
    pub(crate) fn expire(&mut self, poll: &Poll, now: Duration) {
        self.lingering.retain(|one| {
            let keep = now < one.until;
            if !keep {
                poll.remove(&one.socket);
            }
            keep
        });
    }

    /// Returns when [`Refusals::expire`] is to be called.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.lingering.iter().map(|one| one.until).min()
    }
}

impl Lingering {
    /// Reads what is there; returns whether that is all there will be, or enough.
    fn read(&mut self) -> bool {
        /// Requests are usually smaller; a larger one takes more turns.
        const READ_BYTES: usize = 16 << 10;
        let mut bytes = [0; READ_BYTES];
        loop {
            match rustix::io::read(&self.socket, &mut bytes[..]) {
                Ok(0) => return true,
                Ok(count) => self.read_bytes += count,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return false,
                Err(_) => return true,
            }
            if self.read_bytes >= MAX_READ_BYTES {
                return true;
            }
        }
    }
}
