//! The machine's network: itself, and one neighbour that has the doors.
//!
//! ```text
//! machine: lo, eth0 169.254.169.253 ─── veth ─── 169.254.169.254 :80 metadata, :3142 the way out
//! ```
//!
//! The neighbour is a network namespace with nothing in it but the doors, whose listeners the keeper holds. So no port
//! of the machine is taken: whoever listens on all addresses there, as web servers do on port 80, is in nobody's way.
//! There is no route to anywhere else. Where the kernel has no veth, the doors are the machine's own.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use super::Setup;

/// Where instances find their metadata, on AWS and elsewhere; also where the way out is.
pub const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// The machine's own address beside it: the other one of a network of two.
const OWN: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);
const MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 252);

/// The port of the way out.
pub const OUTSIDE_PORT: u16 = 3142;

/// Listeners whose clients are in the machine and that are answered outside.
#[derive(Debug)]
pub(super) struct Doors {
    /// Instance metadata.
    pub(super) metadata: TcpListener,
    /// Requests to the outside, if they may be made.
    pub(super) outside: Option<TcpListener>,
}

impl Doors {
    fn bind(setup: &Setup) -> io::Result<Self> {
        let metadata = TcpListener::bind((NEIGHBOUR, 80))?;
        let outside = match setup.outside {
            true => Some(TcpListener::bind((NEIGHBOUR, OUTSIDE_PORT))?),
            false => None,
        };
        Ok(Self { metadata, outside })
    }

    /// Returns the listeners, metadata first.
    pub(super) fn all(&self) -> impl Iterator<Item = &TcpListener> {
        std::iter::once(&self.metadata).chain(&self.outside)
    }
}

/// Makes the machine's network namespace, which the calling process is in afterwards, and opens the doors. The one
/// that it is in before becomes the neighbour; that lives as long as the doors.
pub(super) fn bring_up(setup: &Setup) -> io::Result<Doors> {
    let neighbour = namespace()?;
    #[expect(unsafe_code, reason = "a namespace of this process's own")]
    // SAFETY: descriptors are not unshared, and this process has one thread.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
    let machine = namespace()?;
    address("lo", Ipv4Addr::LOCALHOST, None)?;
    match pair(&neighbour) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            address("lo:1", NEIGHBOUR, None)?;
            return Doors::bind(setup);
        }
        Err(error) => return Err(error),
    }
    address("eth0", OWN, Some(MASK))?;
    move_into_link_name_space(neighbour.as_fd(), Some(LinkNameSpaceType::Network))?;
    address("door", NEIGHBOUR, Some(MASK))?;
    let doors = Doors::bind(setup)?;
    move_into_link_name_space(machine.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(doors)
}

/// Returns the network namespace that this process is in.
fn namespace() -> io::Result<OwnedFd> {
    Ok(std::fs::File::open("/proc/self/ns/net")?.into())
}

// rtnetlink(7), linux/if_link.h, linux/veth.h.
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_NET_NS_FD: u16 = 28;
const VETH_INFO_PEER: u16 = 1;

/// An `ifinfomsg` that says nothing.
const ANY_LINK: [u8; 16] = [0; 16];

/// Makes `eth0` here and its other end, `door`, in another namespace.
fn pair(neighbour: &OwnedFd) -> io::Result<()> {
    let there = neighbour.as_raw_fd().to_ne_bytes();
    let peer =
        [&ANY_LINK[..], &attribute(IFLA_IFNAME, b"door\0"), &attribute(IFLA_NET_NS_FD, &there)]
            .concat();
    let data = attribute(IFLA_INFO_DATA, &attribute(VETH_INFO_PEER, &peer));
    let info = [attribute(IFLA_INFO_KIND, b"veth"), data].concat();
    let body =
        [&ANY_LINK[..], &attribute(IFLA_IFNAME, b"eth0\0"), &attribute(IFLA_LINKINFO, &info)]
            .concat();
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let mut message = Vec::with_capacity(16 + body.len());
    message.extend((16 + body.len() as u32).to_ne_bytes());
    message.extend(libc::RTM_NEWLINK.to_ne_bytes());
    message.extend((flags as u16).to_ne_bytes());
    // The sequence number, and the port, which is the kernel's to fill in.
    message.extend([0; 8]);
    message.extend(body);
    // NETLINK_ROUTE is protocol 0.
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    rustix::net::send(&socket, &message, SendFlags::empty())?;
    // The kernel answers before the call above returns: a header, then an error number, 0 if it is done.
    let mut answer = [0; 1024];
    let (_, count) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    let number: [u8; 4] = answer
        .get(16..20)
        .filter(|_| count >= 20)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(io::ErrorKind::InvalidData)?;
    match i32::from_ne_bytes(number) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(-error)),
    }
}

/// Returns an attribute of a netlink message, padded to four bytes.
fn attribute(kind: u16, data: &[u8]) -> Vec<u8> {
    let length = 4 + data.len();
    let mut bytes = Vec::with_capacity(length + 3);
    bytes.extend((length as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(data);
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

/// Gives an interface an address and brings it up, netdevice(7).
#[expect(unsafe_code, reason = "interfaces are set up through ioctls")]
fn address(interface: &str, address: Ipv4Addr, mask: Option<Ipv4Addr>) -> io::Result<()> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let socket = socket.as_raw_fd();
    // SAFETY: `ifreq` is plain data for which zero bytes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    let wishes =
        [Some((libc::SIOCSIFADDR, address)), mask.map(|mask| (libc::SIOCSIFNETMASK, mask))];
    for (wish, address) in wishes.into_iter().flatten() {
        // SAFETY: `sockaddr_in` has the size of `sockaddr` and is what these calls read; the socket is
        // open, and the request lives for the call.
        let done = unsafe {
            let to: *mut libc::sockaddr_in = (&raw mut request.ifr_ifru.ifru_addr).cast();
            (*to).sin_family = libc::AF_INET as libc::sa_family_t;
            (*to).sin_addr = libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) };
            libc::ioctl(socket, wish, &raw mut request)
        };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: as above; this call reads the flags.
    match unsafe { libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw mut request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_their_length_is_not() {
        let bytes = attribute(3, b"door\0");
        assert_eq!(bytes.len(), 12);
        assert_eq!(bytes[..2], 9_u16.to_ne_bytes());
    }
}
