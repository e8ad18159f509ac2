//! Duplicating listeners out of living processes, by `pidfd_getfd`: what is left when whoever kept
//! them died together with the shim. The kernel lets us where it would let us trace the process.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::process::{PidfdGetfdFlags, pidfd_getfd};

use crate::address_holder;
use crate::process;
use crate::sockets;

/// Duplicates the listener on `path` out of process `pid`.
pub(crate) fn slot_listener(pid: u32, path: &Path) -> Option<OwnedFd> {
    let name = path.file_name()?.to_str()?;
    // Paths of others' sockets are whatever they are.
    let sockets = fs::read("/proc/net/unix").ok()?;
    listener(pid, &listening_inodes(&String::from_utf8_lossy(&sockets), name))
}

/// Duplicates the listener on exactly `address` out of process `pid`.
pub(crate) fn shared_listener(pid: u32, address: SocketAddr) -> Option<OwnedFd> {
    let inodes = address_holder::inodes(address).iter().map(u64::to_string).collect::<Vec<_>>();
    let stolen = listener(pid, &inodes)?;
    let bound: SocketAddr = rustix::net::getsockname(&stolen).ok()?.try_into().ok()?;
    (bound == address).then_some(stolen)
}

/// Duplicates the listener with one of these inodes out of process `pid`.
fn listener(pid: u32, inodes: &[String]) -> Option<OwnedFd> {
    if inodes.is_empty() {
        return None;
    }
    let pidfd = process::open(pid)?;
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()?.filter_map(Result::ok) {
        let Ok(link) = fs::read_link(entry.path()) else { continue };
        if !inodes.iter().any(|inode| link.as_os_str() == format!("socket:[{inode}]").as_str()) {
            continue;
        }
        let number = entry.file_name().to_str()?.parse().ok()?;
        let stolen = pidfd_getfd(&pidfd, number, PidfdGetfdFlags::empty()).ok()?;
        rustix::io::fcntl_setfd(&stolen, rustix::io::FdFlags::CLOEXEC).ok()?;
        if sockets::is_listener(&stolen) {
            return Some(stolen);
        }
    }
    None
}

/// Returns the inodes of unix sockets that listen at a path that ends in `name`, whatever the
/// directory was called when they were bound.
fn listening_inodes(text: &str, name: &str) -> Vec<String> {
    /// `__SO_ACCEPTCON`.
    const LISTENING: &str = "00010000";
    text.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            // Num RefCount Protocol Flags Type St Inode Path
            let (flags, inode, path) = (fields.get(3)?, fields.get(6)?, fields.get(7)?);
            let is_it = *flags == LISTENING && path.rsplit('/').next() == Some(name);
            is_it.then(|| (*inode).to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_known_by_their_name() {
        let text = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0: 00000002 00000000 00010000 0001 01 11 /proc/self/fd/5/g1.0\n\
            0: 00000002 00000000 00000000 0001 03 12 /proc/self/fd/5/g1.0\n\
            0: 00000002 00000000 00010000 0001 01 13 /proc/self/fd/5/g1.01\n\
            0: 00000002 00000000 00010000 0001 01 14\n";
        assert_eq!(listening_inodes(text, "g1.0"), ["11"]);
    }
}
