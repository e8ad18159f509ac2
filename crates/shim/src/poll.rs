//! Epoll with typed tokens.
//!
//! A registration belongs to the open file, not to the descriptor, and duplicates of most files
//! here live on in the agent and in processes. So closing a descriptor is never enough: whatever
//! was added is removed by name, before it is closed.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

/// The longest wait in one go. A longer one that is asked for ends early, which is harmless: kernels
/// before 5.11 count in milliseconds that fit 32 bits.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Most events taken in one turn of the loop.
const EVENTS: usize = 64;

/// What became ready. The numbers are keys given out by their owners, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A signal is pending.
    Signals,
    /// Somebody connects to the control socket.
    Control,
    /// A client.
    Client(u32),
    /// A slot's standard output.
    Stdout(u32),
    /// A slot's standard error.
    Stderr(u32),
    /// A slot's notify socket.
    Notify(u32),
    /// A slot's listener, while its process is down.
    Listener(u32),
    /// The main process of a slot that is not our child has ended.
    Main(u32),
    /// A slot's cgroup became populated or empty.
    Tree(u32),
    /// A connection that was refused and is being read out.
    Refused(u32),
    /// The tree of a survivor that is being discarded.
    Survivor(u32),
}

impl Token {
    fn encode(self) -> u64 {
        let (kind, key) = match self {
            Self::Signals => (0, 0),
            Self::Control => (1, 0),
            Self::Client(key) => (2, key),
            Self::Stdout(key) => (3, key),
            Self::Stderr(key) => (4, key),
            Self::Notify(key) => (5, key),
            Self::Listener(key) => (6, key),
            Self::Main(key) => (7, key),
            Self::Tree(key) => (8, key),
            Self::Refused(key) => (9, key),
            Self::Survivor(key) => (10, key),
        };
        kind << 32 | u64::from(key)
    }

    fn decode(value: u64) -> Option<Self> {
        let key = value as u32;
        Some(match value >> 32 {
            0 => Self::Signals,
            1 => Self::Control,
            2 => Self::Client(key),
            3 => Self::Stdout(key),
            4 => Self::Stderr(key),
            5 => Self::Notify(key),
            6 => Self::Listener(key),
            7 => Self::Main(key),
            8 => Self::Tree(key),
            9 => Self::Refused(key),
            10 => Self::Survivor(key),
            _ => return None,
        })
    }
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Readable, as long as it is.
    Read,
    /// Readable or writable, as long as it is.
    ReadWrite,
    /// Each time more became readable; what was left unread before is not told again.
    ReadEdge,
    /// Exceptional, as `cgroup.events` is after a change.
    Urgent,
}

impl Interest {
    fn flags(self) -> epoll::EventFlags {
        match self {
            Self::Read => epoll::EventFlags::IN,
            Self::ReadWrite => epoll::EventFlags::IN | epoll::EventFlags::OUT,
            Self::ReadEdge => epoll::EventFlags::IN | epoll::EventFlags::ET,
            Self::Urgent => epoll::EventFlags::PRI,
        }
    }
}

/// The one epoll instance.
#[derive(Debug)]
pub(crate) struct Poll {
    epoll: OwnedFd,
}

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    pub(crate) fn add(&self, fd: impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token.encode());
        Ok(epoll::add(&self.epoll, fd, data, interest.flags())?)
    }

    pub(crate) fn change(&self, fd: impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token.encode());
        Ok(epoll::modify(&self.epoll, fd, data, interest.flags())?)
    }

    /// Removes a registration; one that is not there is removed already.
    pub(crate) fn remove(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Waits until something is ready or `timeout` or [`LONGEST_WAIT`] is over; `None` waits for ever.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<Token>> {
        let empty = epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(u64::MAX),
        };
        let mut events = [empty; EVENTS];
        let timeout = timeout.map(|timeout| timeout.min(LONGEST_WAIT)).map(|timeout| Timespec {
            tv_sec: timeout.as_secs().cast_signed(),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        match epoll::wait(&self.epoll, &mut events[..], timeout.as_ref()) {
            Ok(count) => Ok(events[..count]
                .iter()
                .filter_map(|event| Token::decode(event.data.u64()))
                .collect()),
            Err(Errno::INTR) => Ok(Vec::new()),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back() {
        for token in [Token::Signals, Token::Tree(7), Token::Survivor(u32::MAX)] {
            assert_eq!(Token::decode(token.encode()), Some(token));
        }
        assert_eq!(Token::decode(u64::MAX), None);
    }
}
