//! Finds who listens on a TCP address, for error messages.

use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Longest part of a command line that is shown.
const MAX_COMMAND_CHARS: usize = 80;

/// The state of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Returns the process that holds `address`, for people; `None` when it cannot be seen.
pub(crate) fn find(address: SocketAddr) -> Option<String> {
    let inodes: Vec<String> =
        inodes(address).into_iter().map(|inode| format!("socket:[{inode}]")).collect();
    if inodes.is_empty() {
        return None;
    }
    fs::read_dir("/proc")
        .ok()?
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| holds(*pid, &inodes))
        .map(|pid| format!("process {pid} ({})", command(pid)))
}

/// Returns the inodes of the listeners that keep others from `address`.
pub(crate) fn inodes(address: SocketAddr) -> Vec<u64> {
    // An IPv6 wildcard listener holds the port of every IPv4 address too.
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|text| listeners(&text, address))
        .collect()
}

/// Returns the inodes of the sockets in `/proc/net/tcp` or `tcp6` that listen where `address` is.
fn listeners(text: &str, address: SocketAddr) -> Vec<u64> {
    let wanted = [address.ip(), IpAddr::from([0; 4]), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (ip, port) = fields.get(1)?.split_once(':')?;
            let listens = fields.get(3) == Some(&LISTEN)
                && u16::from_str_radix(port, 16).ok()? == address.port()
                && (address.ip().is_unspecified() || wanted.contains(&parse_ip(ip)?));
            listens.then(|| fields.get(9)?.parse().ok())?
        })
        .collect()
}

/// Parses an address as `/proc/net/tcp` prints it: 32-bit words in the machine's byte order.
fn parse_ip(text: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for start in (0..text.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(text.get(start..start + 8)?, 16).ok()?.to_ne_bytes());
    }
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical()),
        _ => None,
    }
}

fn holds(pid: u32, links: &[String]) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|link| links.iter().any(|wanted| link.as_os_str() == wanted.as_str()))
}

fn command(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    let text: String = text.trim().chars().take(MAX_COMMAND_CHARS).collect();
    if text.is_empty() { "unknown command".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0
   1: 00000000:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0 100 0 0 10 0
   2: 0100007F:1F40 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 333 1 0 100 0 0 10 0
garbage";

    #[test]
    #[cfg(target_endian = "little")]
    fn listeners_are_found_by_address_and_by_wildcard() {
        let found = |address: &str| listeners(TCP, address.parse().unwrap());
        assert_eq!(found("127.0.0.1:8000"), [111]);
        assert_eq!(found("0.0.0.0:8000"), [111]);
        assert_eq!(found("10.0.0.1:8000"), [0; 0]);
        assert_eq!(found("10.0.0.1:8001"), [222]);
    }

    #[test]
    fn odd_addresses_are_no_addresses() {
        for text in ["", "0100007", "zzzzzzzz", "ü00000000"] {
            assert_eq!(parse_ip(text), None, "{text}");
        }
    }
}
