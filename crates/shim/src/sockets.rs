//! The listeners that a shim makes: one unix socket a slot, and the service's public addresses.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::lchown;
use std::path::Path;

use disk::socket::{BACKLOG, ShortAddress};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::address_holder;

/// Why a listener could not be made; each text names the address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// The unix socket could not be bound.
    #[error(transparent)]
    Slot(#[from] disk::DiskError),
    /// Its group could not be set.
    #[error("failed to give `{path}` to group {group}: {source}")]
    Group { path: String, group: u32, source: io::Error },
    /// Somebody else has the address.
    #[error("{address} is in use by {holder}")]
    InUse { address: SocketAddr, holder: String },
    /// Anything else.
    #[error("failed to listen on {address}: {source}")]
    Shared { address: SocketAddr, source: io::Error },
}

/// Binds the socket of a slot.
///
/// Nobody can connect before mode and group are as asked: until then the mode is 0.
pub(crate) fn bind_slot(
    path: &Path,
    mode: u32,
    group: Option<u32>,
) -> Result<OwnedFd, ListenError> {
    let Some(group) = group else { return Ok(disk::socket::bind_stream(path, mode)?) };
    let socket = disk::socket::bind_stream(path, 0)?;
    let set = || -> io::Result<()> {
        let short = ShortAddress::of(path)?;
        lchown(short.path(), None, Some(group))?;
        fs::set_permissions(short.path(), std::os::unix::fs::PermissionsExt::from_mode(mode))
    };
    match set() {
        Ok(()) => Ok(socket),
        Err(source) => {
            let _ = unlink(path);
            Err(ListenError::Group { path: path.display().to_string(), group, source })
        }
    }
}

/// Removes a socket's file; anything that is no socket stays, and so does one whose directory is
/// reached by a link: the directory may be a user's, who may put anything there at any moment.
pub(crate) fn unlink(path: &Path) -> io::Result<()> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let unlink = || -> Result<(), Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::open(above, flags, Mode::empty())?;
        let found = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(found.st_mode) == FileType::Socket {
            rustix::fs::unlinkat(&directory, name, AtFlags::empty())?;
        }
        Ok(())
    };
    match unlink() {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Binds a public address.
pub(crate) fn bind_shared(address: SocketAddr) -> Result<OwnedFd, ListenError> {
    let bind = || -> Result<OwnedFd, Errno> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket =
            rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // A restart must not wait for the connections of the last one to time out.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &address)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(socket)
    };
    bind().map_err(|errno| match errno {
        Errno::ADDRINUSE => {
            let holder = address_holder::find(address)
                .unwrap_or_else(|| "a process that this user may not see".to_owned());
            ListenError::InUse { address, holder }
        }
        errno => ListenError::Shared { address, source: errno.into() },
    })
}

/// Sets whether accepting from `listener` waits. The flag belongs to the open file and so to every
/// process that has it: it is set while none is alive and unset before the next one starts.
pub(crate) fn set_nonblocking(listener: &OwnedFd, nonblocking: bool) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(listener)?;
    Ok(rustix::fs::fcntl_setfl(
        listener,
        if nonblocking { flags | OFlags::NONBLOCK } else { flags - OFlags::NONBLOCK },
    )?)
}

/// Returns whether `fd` is a listening stream socket.
pub(crate) fn is_listener(fd: &OwnedFd) -> bool {
    sockopt::socket_acceptconn(fd).unwrap_or(false)
        && sockopt::socket_type(fd).is_ok_and(|kind| kind == SocketType::STREAM)
}

/// Returns whether `fd` is a unix datagram socket.
pub(crate) fn is_datagram(fd: &OwnedFd) -> bool {
    sockopt::socket_type(fd).is_ok_and(|kind| kind == SocketType::DGRAM)
        && sockopt::socket_domain(fd).is_ok_and(|family| family == AddressFamily::UNIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_address_says_who_has_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let error = bind_shared(address).unwrap_err().to_string();
        let us = format!("{address} is in use by process {}", std::process::id());
        assert!(error.starts_with(&us), "{error}");
        drop(listener);
        assert!(is_listener(&bind_shared(address).unwrap()));
    }

    #[test]
    fn the_group_of_a_slot_socket_is_set_or_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("g1.0");
        let own = rustix::process::getegid().as_raw();
        let socket = bind_slot(&path, 0o660, Some(own)).unwrap();
        assert!(is_listener(&socket));
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o660);
        unlink(&path).unwrap();
        if !rustix::process::geteuid().is_root() {
            assert!(bind_slot(&path, 0o660, Some(0)).is_err());
        }
        assert!(!path.exists());
    }

    #[test]
    fn only_a_socket_is_unlinked_and_no_link_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let bind = |path: &Path| drop(std::os::unix::net::UnixListener::bind(path).unwrap());
        unlink(&at("missing")).unwrap();
        unlink(&at("missing/socket")).unwrap();
        fs::write(at("file"), "kept").unwrap();
        unlink(&at("file")).unwrap();
        assert_eq!(fs::read(at("file")).unwrap(), b"kept");
        fs::create_dir(at("real")).unwrap();
        bind(&at("real/socket"));
        std::os::unix::fs::symlink(at("real/socket"), at("link")).unwrap();
        unlink(&at("link")).unwrap();
        std::os::unix::fs::symlink(at("real"), at("elsewhere")).unwrap();
        unlink(&at("elsewhere/socket")).unwrap_err();
        assert!(at("real/socket").exists() && fs::symlink_metadata(at("link")).is_ok());
        unlink(&at("real/socket")).unwrap();
        assert!(!at("real/socket").exists());
    }
}
