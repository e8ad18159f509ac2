//! A non-blocking unix stream that carries frames and descriptors.
//!
//! The owner calls [`Connection::receive`] when the socket is readable and [`Connection::flush`]
//! when it is writable; neither ever blocks. Both queues are bounded: a peer that does not read is
//! cut off at [`MAX_QUEUED_BYTES`], one that sends descriptors nobody asked for at
//! [`MAX_FRAME_FDS`] unclaimed ones.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::frame::{Decoder, FrameError, MAX_FRAME_FDS, encode};

/// Most bytes waiting for a peer that does not read; four of the largest frames.
const MAX_QUEUED_BYTES: usize = 4 << 20;

/// Most descriptors waiting for a peer that does not read: those of all slots of the largest service
/// twice over, and far from what a process may have open.
const MAX_QUEUED_FDS: usize = 8 << 10;

/// How much one read takes.
const READ_BYTES: usize = 16 << 10;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The socket failed.
    #[error("the control connection failed")]
    Io(#[from] io::Error),
    /// The peer broke the format.
    #[error("the peer broke the control protocol")]
    Frame(#[from] FrameError),
    /// The peer does not read what it is sent.
    #[error("the peer left {bytes} bytes and {fds} descriptors unread")]
    PeerStalled {
        /// What waits for it.
        bytes: usize,
        /// What waits with them.
        fds: usize,
    },
    /// A frame announced more descriptors than came with it.
    #[error("a frame announced {announced} descriptors, {came} came")]
    MissingDescriptors {
        /// What the frame said.
        announced: usize,
        /// What had arrived.
        came: usize,
    },
    /// The peer sent more descriptors than any frame may carry.
    #[error("the peer sent {0} descriptors that no frame announced")]
    UnclaimedDescriptors(usize),
}

/// What one [`Connection::receive`] found.
#[derive(Debug)]
pub enum Received<T> {
    /// A whole message and the descriptors that came with it.
    Message(T, Vec<OwnedFd>),
    /// Nothing more for now.
    Pending,
    /// The peer closed its side.
    Closed,
}

struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    fds: Vec<OwnedFd>,
}

/// One end of a control connection.
pub struct Connection {
    socket: OwnedFd,
    decoder: Decoder,
    incoming_fds: VecDeque<OwnedFd>,
    outgoing: VecDeque<Outgoing>,
    queued_bytes: usize,
    queued_fds: usize,
    closed: bool,
}

#[derive(serde::Deserialize)]
struct FdCount {
    #[serde(default)]
    fds: usize,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("fd", &self.socket.as_raw_fd()).finish_non_exhaustive()
    }
}

impl Connection {
    /// Takes over a connected unix stream socket and makes it non-blocking.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self {
            socket,
            decoder: Decoder::default(),
            incoming_fds: VecDeque::new(),
            outgoing: VecDeque::new(),
            queued_bytes: 0,
            queued_fds: 0,
            closed: false,
        })
    }

    /// Queues `message` with descriptors and sends what the socket takes at once.
    ///
    /// The message must serialize to an object; its `"fds"` is set here.
    pub fn send<T: serde::Serialize>(
        &mut self,
        message: &T,
        fds: Vec<OwnedFd>,
    ) -> Result<(), ConnectionError> {
        let bytes = if fds.is_empty() {
            encode(message)?
        } else {
            let mut value = serde_json::to_value(message).map_err(FrameError::Json)?;
            if let Some(object) = value.as_object_mut() {
                object.insert("fds".to_owned(), fds.len().into());
            }
            encode(&value)?
        };
        if fds.len() > MAX_FRAME_FDS {
            return Err(ConnectionError::UnclaimedDescriptors(fds.len()));
        }
        self.queued_bytes += bytes.len();
        self.queued_fds += fds.len();
        if self.queued_bytes > MAX_QUEUED_BYTES || self.queued_fds > MAX_QUEUED_FDS {
            let (bytes, fds) = (self.queued_bytes, self.queued_fds);
            return Err(ConnectionError::PeerStalled { bytes, fds });
        }
        self.outgoing.push_back(Outgoing { bytes, sent: 0, fds });
        self.flush()
    }

    /// Sends what the socket takes; call when it is writable.
    pub fn flush(&mut self) -> Result<(), ConnectionError> {
        while let Some(front) = self.outgoing.front_mut() {
            let slice = [IoSlice::new(&front.bytes[front.sent..])];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FRAME_FDS))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let borrowed: Vec<BorrowedFd<'_>> = front.fds.iter().map(AsFd::as_fd).collect();
            if !borrowed.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(&borrowed));
            }
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match sendmsg(&self.socket, &slice, &mut control, flags) {
                Ok(count) => {
                    drop(borrowed);
                    self.queued_fds -= front.fds.len();
                    front.fds.clear();
                    front.sent += count;
                    self.queued_bytes -= count;
                    if front.sent == front.bytes.len() {
                        self.outgoing.pop_front();
                    }
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(ConnectionError::Io(errno.into())),
            }
        }
        Ok(())
    }

    /// Returns whether bytes wait for the socket to become writable.
    pub fn wants_write(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Returns the next message; call again until it says `Pending` or `Closed`.
    pub fn receive<T: serde::de::DeserializeOwned>(
        &mut self,
    ) -> Result<Received<T>, ConnectionError> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                let FdCount { fds: announced } =
                    serde_json::from_slice(frame).map_err(FrameError::Json)?;
                let message = serde_json::from_slice(frame).map_err(FrameError::Json)?;
                if announced > self.incoming_fds.len() {
                    let came = self.incoming_fds.len();
                    return Err(ConnectionError::MissingDescriptors { announced, came });
                }
                let fds = self.incoming_fds.drain(..announced).collect();
                return Ok(Received::Message(message, fds));
            }
            if self.closed {
                return Ok(Received::Closed);
            }
            if !self.fill()? {
                return Ok(Received::Pending);
            }
        }
    }

    /// Reads once; false when nothing was there.
    fn fill(&mut self) -> Result<bool, ConnectionError> {
        let mut bytes = [0; READ_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FRAME_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut slice = [IoSliceMut::new(&mut bytes)];
            let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
            match recvmsg(&self.socket, &mut slice, &mut control, flags) {
                Ok(received) => break received,
                Err(rustix::io::Errno::AGAIN) => return Ok(false),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CONNRESET) => {
                    self.closed = true;
                    return Ok(true);
                }
                Err(errno) => return Err(ConnectionError::Io(errno.into())),
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.incoming_fds.extend(fds);
            }
        }
        // A frame's descriptors come with its first byte, so that one batch may arrive while the
        // batch before it is still waiting for the end of its frame.
        if self.incoming_fds.len() > 2 * MAX_FRAME_FDS {
            return Err(ConnectionError::UnclaimedDescriptors(self.incoming_fds.len()));
        }
        if received.bytes == 0 {
            self.closed = true;
        }
        self.decoder.extend(&bytes[..received.bytes]);
        Ok(true)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn pair() -> (Connection, Connection) {
        let (a, b) = UnixStream::pair().unwrap();
        (Connection::new(a.into()).unwrap(), Connection::new(b.into()).unwrap())
    }

    #[test]
    fn descriptors_arrive_with_their_own_frame() {
        let (mut a, mut b) = pair();
        let (mut reader, writer) = UnixStream::pair().unwrap();
        a.send(&serde_json::json!({"n": 1}), vec![]).unwrap();
        a.send(&serde_json::json!({"n": 2}), vec![writer.into()]).unwrap();
        a.send(&serde_json::json!({"n": 3}), vec![]).unwrap();
        let mut counts = Vec::new();
        for _ in 0..3 {
            let Received::Message(_, mut fds) = b.receive::<serde_json::Value>().unwrap() else {
                panic!("a message is missing")
            };
            counts.push(fds.len());
            if let Some(fd) = fds.pop() {
                UnixStream::from(fd).write_all(b"through").unwrap();
            }
        }
        assert_eq!(counts, [0, 1, 0]);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn a_peer_that_lies_about_descriptors_is_refused() {
        let (mut a, mut b) = pair();
        a.send(&serde_json::json!({"fds": 1}), vec![]).unwrap();
        let error = b.receive::<serde_json::Value>().unwrap_err();
        assert!(matches!(error, ConnectionError::MissingDescriptors { announced: 1, came: 0 }));
    }

    #[test]
    fn a_peer_that_never_reads_is_cut_off() {
        let (mut a, _b) = pair();
        let message = serde_json::json!({"filler": "x".repeat(1 << 19)});
        let error = (0..64).find_map(|_| a.send(&message, vec![]).err()).unwrap();
        assert!(matches!(error, ConnectionError::PeerStalled { .. }));
    }

    #[test]
    fn nor_do_descriptors_pile_up_for_it() {
        let (mut a, _b) = pair();
        let nothing = || std::fs::File::open("/dev/null").unwrap().into();
        let some = || (0..4).map(|_| nothing()).collect();
        // Until the socket takes no more, nothing is queued.
        let filler = serde_json::json!({"filler": "x".repeat(1 << 19)});
        while !a.wants_write() {
            a.send(&filler, vec![]).unwrap();
        }
        // The bound is more than a test may have open; it stands at its edge.
        a.queued_fds = MAX_QUEUED_FDS - 4;
        a.send(&serde_json::json!({}), some()).unwrap();
        let error = a.send(&serde_json::json!({}), some()).unwrap_err();
        assert!(matches!(error, ConnectionError::PeerStalled { .. }), "{error}");
    }
}
