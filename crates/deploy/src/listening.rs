//! Where a slot's processes really listen, from `/proc`.
//!
//! A socket's inode, listed as listening in the process's network namespace and open in one of the
//! slot's processes, is a fact; an answer on a port alone could be anybody's.

use std::collections::{BTreeSet, HashSet};
use std::fs;

/// Processes of one slot that are looked at; more than any pre-fork server has.
const MAX_PROCESSES: usize = 1024;

/// `TCP_LISTEN` in the kernel's tables.
const LISTEN: &str = "0A";

/// Returns the TCP ports that a process and its descendants listen on; `None` where that cannot be
/// told (the process is gone, or its descriptors may not be read).
pub(crate) fn ports(pid: u32) -> Option<BTreeSet<u16>> {
    let inodes = socket_inodes(pid)?;
    let mut found = BTreeSet::new();
    for table in ["tcp", "tcp6"] {
        // A kernel without IPv6 has no second table.
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/net/{table}")) else { continue };
        found.extend(text.lines().skip(1).filter_map(|line| listening_port(line, &inodes)));
    }
    Some(found)
}

/// Reads one line of `/proc/PID/net/tcp`: the port, if it listens on one of these inodes.
fn listening_port(line: &str, inodes: &HashSet<String>) -> Option<u16> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, state, inode) = (words.get(1)?, words.get(3)?, words.get(9)?);
    if *state != LISTEN || !inodes.contains(*inode) {
        return None;
    }
    u16::from_str_radix(local.rsplit(':').next()?, 16).ok()
}

fn socket_inodes(pid: u32) -> Option<HashSet<String>> {
    let mut inodes = HashSet::new();
    let mut pending = vec![pid];
    let mut seen = 0;
    let mut readable = false;
    while let Some(pid) = pending.pop() {
        seen += 1;
        if seen > MAX_PROCESSES {
            break;
        }
        if let Ok(children) = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")) {
            let children = children.split_ascii_whitespace();
            pending.extend(children.filter_map(|pid| pid.parse::<u32>().ok()));
        }
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        readable = true;
        for descriptor in descriptors.flatten() {
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            let target = target.to_string_lossy();
            let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            inodes.extend(inode.map(str::to_owned));
        }
    }
    readable.then_some(inodes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn our_own_listener_is_found_and_a_closed_one_is_not() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = std::process::id();
        assert!(ports(own).unwrap().contains(&port));
        drop(listener);
        assert!(!ports(own).unwrap().contains(&port));
    }

    #[test]
    fn lines_that_are_none_say_nothing() {
        let inodes = HashSet::from(["1234".to_owned()]);
        let line =
            "  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1234 1";
        assert_eq!(listening_port(line, &inodes), Some(8080));
        assert_eq!(listening_port(&line.replace("0A", "01"), &inodes), None);
        assert_eq!(listening_port("  0: x", &inodes), None);
    }
}
