//! Ports of one test each, also among test programs that run at the same time.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};

/// Below those that the kernel and Skep hand out by themselves.
const RANGE: std::ops::Range<u16> = 18_000..19_900;

/// A port that no other test takes while this lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// An abstract socket of the port's name: whoever has it has the port, and it goes with the
    /// process.
    _claim: UnixListener,
}

impl Port {
    /// Takes a port on which nobody listens.
    pub(crate) fn take() -> Self {
        let free = |number: u16| {
            let name = UnixAddress::from_abstract_name(format!("skep-test-port-{number}")).ok()?;
            let claim = UnixListener::bind_addr(&name).ok()?;
            TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
            Some(Self { number, _claim: claim })
        };
        RANGE.into_iter().find_map(free).expect("a free port")
    }

    /// Returns its address on the loopback interface.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}
