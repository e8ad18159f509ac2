//! The socket behind `NOTIFY_SOCKET`: a process says itself that it is ready (`sd_notify(3)`).
//!
//! A datagram socket in the abstract namespace, its name chosen by the kernel (`@0002f`): short
//! whatever the installation's path is, and reachable by a process that became another user.
//! Anybody on the machine can send to it, so a message counts only if its sender, as the kernel
//! names it, is in the slot's process tree. Understood are `READY=1` and `STATUS=`; `MAINPID=` is
//! ignored (who the main process is, is known here) and descriptors that come along are closed,
//! which is what `BARRIER=1` waits for.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix,
    SocketFlags, SocketType, recvmsg, sockopt,
};

/// Longest message; longer ones are cut, which loses the end of a status text.
const MAX_MESSAGE_BYTES: usize = 4 << 10;

/// Longest status text that is kept, in bytes.
const MAX_STATUS_BYTES: usize = 512;

/// Most messages taken in one turn of the loop, so that a flood starves nobody.
const MESSAGES_PER_TURN: usize = 64;

/// Most descriptors received with one message, to be closed; the kernel drops the others.
const MAX_FDS: usize = 8;

/// What one message says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) ready: bool,
    pub(crate) status: Option<String>,
}

impl Notice {
    fn parse(bytes: &[u8]) -> Self {
        let mut notice = Self::default();
        for line in bytes.split(|byte| *byte == b'\n') {
            if line == b"READY=1" {
                notice.ready = true;
            } else if let Some(text) = line.strip_prefix(b"STATUS=") {
                let text = &text[..text.len().min(MAX_STATUS_BYTES)];
                let text: String = String::from_utf8_lossy(text)
                    .chars()
                    .filter(|character| !character.is_control())
                    .collect();
                notice.status = Some(text);
            }
        }
        notice
    }
}

/// Makes the socket.
pub(crate) fn bind() -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    sockopt::set_socket_passcred(&socket, true)?;
    // Binding to no name lets the kernel choose one.
    rustix::net::bind(&socket, &SocketAddrUnix::new_unnamed())?;
    Ok(socket)
}

/// Returns the value of `NOTIFY_SOCKET` for `socket`.
pub(crate) fn address(socket: &OwnedFd) -> io::Result<String> {
    let unnamed = || io::Error::new(io::ErrorKind::InvalidInput, "the notify socket has no name");
    let address = SocketAddrUnix::try_from(rustix::net::getsockname(socket)?)?;
    let name = address.abstract_name().ok_or_else(unnamed)?;
    Ok(format!("@{}", std::str::from_utf8(name).map_err(|_| unnamed())?))
}

/// Takes what has arrived; gives each sender's process id and what it said to `sink`.
pub(crate) fn receive(socket: impl AsFd, sink: &mut dyn FnMut(u32, Notice)) {
    for _ in 0..MESSAGES_PER_TURN {
        let mut bytes = [0; MAX_MESSAGE_BYTES];
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1), ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let Ok(received) = recvmsg(&socket, &mut slices, &mut control, flags) else { return };
        // Draining closes the descriptors. A sender of another pid namespace has no id here.
        let sender = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmCredentials(sender) => Some(sender.pid),
            _ => None,
        });
        let count = received.bytes.min(MAX_MESSAGE_BYTES);
        if let Some(sender) = sender {
            sink(sender.as_raw_nonzero().get().unsigned_abs(), Notice::parse(&bytes[..count]));
        }
    }
}

/// Parses arbitrary bytes as a notification; for fuzzing.
#[doc(hidden)]
pub fn fuzz_notify(bytes: &[u8]) {
    let notice = Notice::parse(bytes);
    // Each byte of an invalid text becomes at most one replacement character of three bytes.
    assert!(notice.status.is_none_or(|text| text.len() <= 3 * MAX_STATUS_BYTES));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    #[test]
    fn ready_and_status_are_understood_and_nothing_else() {
        let parsed = Notice::parse(b"STATUS=warming \x1bup\nMAINPID=1\nREADY=1\n");
        assert_eq!(parsed, Notice { ready: true, status: Some("warming up".into()) });
        assert_eq!(Notice::parse(b"READY=10\nXREADY=1"), Notice::default());
    }

    #[test]
    fn the_sender_is_named_by_the_kernel() {
        let socket = bind().unwrap();
        let name = address(&socket).unwrap();
        assert!(name.len() < 10, "{name}");
        let to = SocketAddr::from_abstract_name(name.strip_prefix('@').unwrap()).unwrap();
        UnixDatagram::unbound().unwrap().send_to_addr(b"READY=1", &to).unwrap();
        let mut seen = Vec::new();
        receive(&socket, &mut |pid, notice| seen.push((pid, notice.ready)));
        assert_eq!(seen, [(std::process::id(), true)]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            fuzz_notify(&bytes);
        }
    }
}
