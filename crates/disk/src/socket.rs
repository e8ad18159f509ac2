//! Unix sockets whose path may be of any length.
//!
//! `sun_path` holds 107 bytes. Every socket is bound and dialled as `/proc/self/fd/DIR/NAME`,
//! where DIR is a descriptor of its directory; only the last component must be short.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::error::{DiskError, PathContext};

/// A socket's address for as long as this value lives.
#[derive(Debug)]
pub struct ShortAddress {
    directory: File,
    name: PathBuf,
}

impl ShortAddress {
    /// Opens the directory of `path`.
    pub fn of(path: &Path) -> io::Result<Self> {
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a socket's path"));
        };
        let directory = OpenOptions::new()
            .read(true)
            .custom_flags((rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY).bits() as i32)
            .open(above)?;
        Ok(Self { directory, name: PathBuf::from(name) })
    }

    /// Returns the path to bind or dial; valid in this process only.
    pub fn path(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.directory.as_raw_fd().to_string()).join(&self.name)
    }

    fn address(&self) -> io::Result<SocketAddrUnix> {
        Ok(SocketAddrUnix::new(self.path())?)
    }
}

/// Connections that may wait in a listener; the kernel cuts it to `net.core.somaxconn`.
pub const BACKLOG: i32 = 4096;

/// Binds a stream listener at `path` with this mode. A file that is there is replaced: the caller
/// holds the lock that says it is stale.
pub fn bind_stream(path: &Path, mode: u32) -> Result<OwnedFd, DiskError> {
    let bind = || -> io::Result<OwnedFd> {
        let short = ShortAddress::of(path)?;
        remove_stale(&short.path())?;
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        rustix::net::bind(&socket, &short.address()?)?;
        // Before listen(): nobody can connect until the mode is right.
        fs::set_permissions(short.path(), fs::Permissions::from_mode(mode))?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(socket)
    };
    bind().context("listen on", path)
}

/// Binds a datagram socket at `path` with this mode, replacing a stale file.
pub fn bind_datagram(path: &Path, mode: u32) -> Result<UnixDatagram, DiskError> {
    let bind = || -> io::Result<UnixDatagram> {
        let short = ShortAddress::of(path)?;
        remove_stale(&short.path())?;
        let socket = UnixDatagram::bind(short.path())?;
        fs::set_permissions(short.path(), fs::Permissions::from_mode(mode))?;
        Ok(socket)
    };
    bind().context("bind", path)
}

/// Connects to the stream listener at `path`; blocks while its backlog is full.
pub fn connect_stream(path: &Path) -> Result<OwnedFd, DiskError> {
    connect(path, SocketFlags::CLOEXEC).context("connect to", path)
}

/// Connects without blocking; a full backlog is `EAGAIN`. The socket stays non-blocking.
pub fn connect_stream_nonblocking(path: &Path) -> io::Result<OwnedFd> {
    connect(path, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
}

fn connect(path: &Path, flags: SocketFlags) -> io::Result<OwnedFd> {
    let short = ShortAddress::of(path)?;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &short.address()?)?;
    Ok(socket)
}

/// Removes a socket file; anything that is not a socket is left and reported.
fn remove_stale(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns whether a name is short enough to be a socket behind a directory descriptor.
pub fn name_fits(name: &OsStr) -> bool {
    /// `sun_path` without its NUL, less `/proc/self/fd/` and ten digits and a slash.
    const MAX_NAME_BYTES: usize = 107 - 25;
    name.len() <= MAX_NAME_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn a_long_path_can_be_bound_and_dialled() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("x".repeat(150));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("shim");
        let listener = UnixListener::from(bind_stream(&path, 0o600).unwrap());
        let mut client = UnixStream::from(connect_stream(&path).unwrap());
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"hi").unwrap();
        drop(client);
        let mut text = String::new();
        server.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hi");
        // Bound again over its own stale file, never over a file of another kind.
        drop(listener);
        bind_stream(&path, 0o600).unwrap();
        fs::write(directory.join("file"), "").unwrap();
        assert!(bind_stream(&directory.join("file"), 0o600).is_err());
    }
}
