//! Whose connection it is.
//!
//! The safe wrapper holds the peer's process id in a type that cannot be zero, which it is for a
//! peer outside of our pid namespace: as when a container's first process is a shim.

#![allow(unsafe_code)] // one `getsockopt`

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

/// Returns the user id of the process that connected.
pub(crate) fn user_of(socket: &OwnedFd) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: `peer` has `size` bytes, which the kernel fills at most, and any bytes are a `ucred`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut size,
        )
    };
    if result == 0 { Ok(peer.uid) } else { Err(io::Error::last_os_error()) }
}
