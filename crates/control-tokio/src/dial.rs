//! Connecting to a unix socket, whatever the length of its path, with a limit to the waiting.
//!
//! A unix socket is connected at once or not at all, with one exception: a listener whose backlog
//! is full. The kernel tells nobody when such a listener has room again, so waiting for it takes a
//! blocking `connect`, bounded by `SO_SNDTIMEO`.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use disk::socket::ShortAddress;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// A socket that could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody listens there, or we may not connect.
    #[error("failed to connect to `{}`", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody listens, but does not accept.
    #[error("`{}` accepted no connection in {} ms", path.display(), patience.as_millis())]
    Backlog {
        /// The socket.
        path: PathBuf,
        /// How long it was given.
        patience: Duration,
    },
}

impl DialError {
    /// Returns whether the socket file is missing or nobody listens on it: there is no peer.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Connect { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
        ))
    }
}

/// Connects to the unix stream socket at `path`; blocks for at most `patience`, and only while the
/// listener's backlog is full.
pub fn dial(path: &Path, patience: Duration) -> Result<OwnedFd, DialError> {
    let connect = || {
        let short = ShortAddress::of(path)?;
        let address = SocketAddrUnix::new(short.path())?;
        let flags = SocketFlags::CLOEXEC;
        let flags = if patience.is_zero() { flags | SocketFlags::NONBLOCK } else { flags };
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        if !patience.is_zero() {
            set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
        }
        rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address))?;
        Ok(socket)
    };
    connect().map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::WouldBlock => DialError::Backlog { path: path.to_owned(), patience },
        _ => DialError::Connect { path: path.to_owned(), source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_path_beyond_sun_path_is_reached() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        // Bound under a short name, then moved: the name of a bound socket is only a file.
        let short = root.path().join("s");
        let listener = UnixListener::bind(&short).unwrap();
        std::fs::rename(&short, deep.join("s")).unwrap();
        dial(&deep.join("s"), Duration::from_secs(10)).unwrap();
        listener.accept().unwrap();
    }

    #[test]
    fn a_dead_socket_is_absent_and_a_full_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("s");
        assert!(dial(&path, Duration::ZERO).unwrap_err().is_absent());
        let listener = UnixListener::bind(&path).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let waiting: Vec<OwnedFd> =
            std::iter::from_fn(|| dial(&path, Duration::ZERO).ok()).take(64).collect();
        assert!(waiting.len() < 64, "the backlog never filled up");
        let error = dial(&path, Duration::from_millis(1)).unwrap_err();
        assert!(matches!(error, DialError::Backlog { .. }), "{error:?}");
        assert!(!error.is_absent());
        drop(listener);
        assert!(dial(&path, Duration::ZERO).unwrap_err().is_absent());
    }
}
