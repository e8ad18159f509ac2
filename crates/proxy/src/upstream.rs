//! Connections to endpoints: dialled, checked, split.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use control::proxy::EndpointAddress;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

use crate::limits::CONNECT_TIMEOUT;

/// A connection to an endpoint.
#[derive(Debug)]
pub(crate) enum Upstream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// No connection.
#[derive(Debug)]
pub(crate) enum DialError {
    /// The listener's queue is full (`EAGAIN`; on TCP it shows as a timeout).
    BacklogFull,
    /// Anything else.
    Failed(io::Error),
}

/// Connects to an endpoint.
pub(crate) async fn dial(address: &EndpointAddress) -> Result<Upstream, DialError> {
    match address {
        EndpointAddress::Unix(path) => match dial_unix(Path::new(path)) {
            Ok(stream) => Ok(Upstream::Unix(stream)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(DialError::BacklogFull),
            Err(error) => Err(DialError::Failed(error)),
        },
        EndpointAddress::Tcp(address) => {
            let connect = TcpStream::connect(address);
            let stream = tokio::time::timeout(CONNECT_TIMEOUT, connect)
                .await
                .map_err(|_| DialError::BacklogFull)?
                .map_err(DialError::Failed)?;
            stream.set_nodelay(true).map_err(DialError::Failed)?;
            Ok(Upstream::Tcp(stream))
        }
    }
}

/// Connects to a unix socket. That is over at once, one way or the other: no wait.
fn dial_unix(path: &Path) -> io::Result<UnixStream> {
    let socket = match SocketAddrUnix::new(path) {
        // Only a path that does not fit needs the way through its directory.
        Err(_) => disk::socket::connect_stream_nonblocking(path)?,
        Ok(address) => {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket =
                rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            rustix::net::connect(&socket, &address)?;
            socket
        }
    };
    UnixStream::from_std(socket.into())
}

impl Upstream {
    /// Sends what the socket takes at once, in one call. Never waits.
    pub(crate) fn send_now(&self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let slices = [IoSlice::new(first), IoSlice::new(second)];
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        loop {
            let mut control = SendAncillaryBuffer::default();
            match rustix::net::sendmsg(self.as_fd(), &slices, &mut control, flags) {
                Err(rustix::io::Errno::INTR) => {}
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Returns whether the peer has neither closed the connection nor said anything unasked.
    pub(crate) fn is_quiet(&self) -> bool {
        crate::wait::peek(self.as_fd())
            .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Returns whether what one write took is read whole or not at all.
    pub(crate) fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    /// Returns whether an end that was just read means that the peer never read what was sent: on
    /// TCP a close that met our bytes in flight shows as an end with `EPIPE` behind it.
    pub(crate) fn ended_unread(&self) -> bool {
        match self {
            Self::Unix(_) => false,
            Self::Tcp(stream) => stream
                .take_error()
                .ok()
                .flatten()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe),
        }
    }

    pub(crate) fn split(&mut self) -> (Reader<'_>, Writer<'_>) {
        match self {
            Self::Unix(stream) => {
                let (reader, writer) = stream.split();
                (Reader::Unix(reader), Writer::Unix(writer))
            }
            Self::Tcp(stream) => {
                let (reader, writer) = stream.split();
                (Reader::Tcp(reader), Writer::Tcp(writer))
            }
        }
    }
}

impl AsFd for Upstream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

/// Reads from an endpoint.
#[derive(Debug)]
pub(crate) enum Reader<'a> {
    Unix(unix::ReadHalf<'a>),
    Tcp(tcp::ReadHalf<'a>),
}

/// Writes to an endpoint.
#[derive(Debug)]
pub(crate) enum Writer<'a> {
    Unix(unix::WriteHalf<'a>),
    Tcp(tcp::WriteHalf<'a>),
}

impl AsyncRead for Reader<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(half) => Pin::new(half).poll_read(context, buffer),
            Self::Tcp(half) => Pin::new(half).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Writer<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(half) => Pin::new(half).poll_write(context, bytes),
            Self::Tcp(half) => Pin::new(half).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(half) => Pin::new(half).poll_write_vectored(context, slices),
            Self::Tcp(half) => Pin::new(half).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(half) => Pin::new(half).poll_shutdown(context),
            Self::Tcp(half) => Pin::new(half).poll_shutdown(context),
        }
    }
}
