//! The port apps are served at.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use super::Check;

/// Where root serves, and from where others look for a free port.
const ROOT_PORT: u16 = 80;
const USER_PORTS: std::ops::Range<u16> = 8000..8100;

/// Returns what the default port is. A running agent's proxy may be what holds it.
pub(super) fn check(agent_runs: bool) -> Check {
    if rustix::process::geteuid().is_root() {
        return match TcpListener::bind((Ipv4Addr::UNSPECIFIED, ROOT_PORT)) {
            Ok(_) => Check::ok("ports", format!("{ROOT_PORT} is free")),
            Err(error) => {
                let holder = holder(ROOT_PORT);
                let ours =
                    agent_runs && holder.as_deref().is_some_and(|name| name.contains("skep"));
                let by = holder.map(|holder| format!(", held by {holder}")).unwrap_or_default();
                if ours {
                    Check::ok("ports", format!("{ROOT_PORT} is Skep's"))
                } else {
                    Check::warning("ports", format!("{ROOT_PORT}: {error}{by}"))
                        .hint("skep up --listen :8080, or stop what holds it")
                }
            }
        };
    }
    let free = USER_PORTS
        .into_iter()
        .find(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok());
    match free {
        Some(port) => Check::ok("ports", format!("{port} is free")),
        None => Check::warning(
            "ports",
            format!("none of {} to {} is free", USER_PORTS.start, USER_PORTS.end - 1),
        )
        .hint("skep up --listen ADDR:PORT"),
    }
}

/// Returns who listens on a port, where that may be seen.
fn holder(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inode = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|table| listener_inode(&table, port))?;
    let wanted = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let fds = fs::read_dir(process.path().join("fd")).ok()?;
        let holds = fds
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.to_str() == Some(&wanted)));
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        holds.then(|| format!("{} (process {pid})", name.trim()))
    })
}

/// Returns the inode of the listener on `port` in a table of proc(5), `/proc/net/tcp`.
fn listener_inode(table: &str, port: u16) -> Option<u64> {
    /// `TCP_LISTEN` of the kernel's `tcp_states.h`.
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        let matches = u16::from_str_radix(local, 16) == Ok(port) && fields.get(3) == Some(&LISTEN);
        if matches { fields.get(9)?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listener_of_a_port_is_found() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
             0: 0100007F:0050 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 11 1\n   \
             1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 24601 1\n";
        assert_eq!(listener_inode(table, 80), Some(24601));
        assert_eq!(listener_inode(table, 81), None);
        assert_eq!(listener_inode("header\n junk\n", 80), None);
    }

    #[test]
    fn a_held_port_says_who_holds_it() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let holder = holder(listener.local_addr().unwrap().port()).unwrap();
        assert!(holder.contains(&format!("(process {})", std::process::id())), "{holder}");
    }
}
