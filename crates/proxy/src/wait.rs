//! Waiting for a socket, a deadline and the order to stop, all in one.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::buffer::Buffer;
use crate::tracker::Record;

/// Why a wait ended without what was waited for.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The deadline.
    Timeout,
    /// The request was cut, or the proxy closes.
    Cut,
    /// The client closed its connection while something else was waited for.
    ClientGone,
    /// The socket.
    Io(io::Error),
}

/// One timer for all deadlines of a connection.
///
/// Most deadlines are never reached and each is later than the one before. So the timer is left
/// alone when the next deadline is later than what it is set to; when it goes off too early, it is
/// set again.
#[derive(Debug)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    pub(crate) fn new() -> Self {
        Self { sleep: None }
    }

    /// Returns whether `deadline` has passed; else the task is woken when it has.
    pub(crate) fn poll_expired(&mut self, context: &mut Context<'_>, deadline: Instant) -> bool {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        loop {
            if sleep.deadline() > deadline {
                sleep.as_mut().reset(deadline);
            }
            if sleep.as_mut().poll(context).is_pending() {
                return false;
            }
            if Instant::now() >= deadline {
                return true;
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

/// Who may be waited for besides the socket.
pub(crate) struct Watch<'a> {
    /// The connection's record: cut or not.
    pub(crate) record: &'a Record,
    /// The client, when its leaving ends the wait.
    pub(crate) client: Option<&'a TcpStream>,
}

impl<'a> Watch<'a> {
    /// Watches for the order to stop only.
    pub(crate) fn record(record: &'a Record) -> Self {
        Self { record, client: None }
    }

    /// Returns why to stop, if there is a reason; else the task is woken when there is one.
    pub(crate) fn poll_stop(&mut self, context: &mut Context<'_>) -> Option<Stop> {
        if self.record.is_cut() {
            return Some(Stop::Cut);
        }
        while let Some(client) = self.client {
            match client.poll_read_ready(context) {
                Poll::Pending => return None,
                Poll::Ready(Err(_)) => return Some(Stop::ClientGone),
                Poll::Ready(Ok(())) => {}
            }
            // Looked at inside `try_io`, so that a readiness without bytes is forgotten.
            match client.try_io(Interest::READABLE, || peek(client)) {
                Ok(0) => return Some(Stop::ClientGone),
                // The next request is waiting already; its sender is there.
                Ok(_) => self.client = None,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Some(Stop::ClientGone),
            }
        }
        None
    }
}

/// Returns how many of one byte could be read; 0 at the end of the stream.
pub(crate) fn peek(socket: impl std::os::fd::AsFd) -> io::Result<usize> {
    let mut byte = [0];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let (count, _) = rustix::net::recv(socket, &mut byte[..], flags)?;
    Ok(count)
}

/// Reads into `buffer`; 0 at the end of the stream. Cancel-safe.
pub(crate) async fn fill<R: AsyncRead + Unpin>(
    reader: &mut R,
    buffer: &mut Buffer,
    timer: &mut Timer,
    deadline: Instant,
    watch: &mut Watch<'_>,
) -> Result<usize, Stop> {
    poll_fn(|context| {
        if let Poll::Ready(outcome) = buffer.poll_fill(reader, context) {
            return Poll::Ready(outcome.map_err(Stop::Io));
        }
        poll_others(timer, context, deadline, watch)
    })
    .await
}

/// Checks everything but the socket.
pub(crate) fn poll_others<T>(
    timer: &mut Timer,
    context: &mut Context<'_>,
    deadline: Instant,
    watch: &mut Watch<'_>,
) -> Poll<Result<T, Stop>> {
    if let Some(stop) = watch.poll_stop(context) {
        return Poll::Ready(Err(stop));
    }
    if timer.poll_expired(context, deadline) {
        return Poll::Ready(Err(Stop::Timeout));
    }
    Poll::Pending
}

/// Writes `first` and then `second`, together where possible; each pause may last `patience`.
pub(crate) async fn write_both<W: AsyncWrite + Unpin>(
    writer: &mut W,
    first: &[u8],
    second: &[u8],
    timer: &mut Timer,
    patience: Duration,
    watch: &mut Watch<'_>,
) -> Result<(), Stop> {
    let total = first.len() + second.len();
    let mut written = 0;
    let mut deadline = None;
    poll_fn(|context| {
        while written < total {
            let rest = written.saturating_sub(first.len());
            let slices =
                [IoSlice::new(&first[written.min(first.len())..]), IoSlice::new(&second[rest..])];
            let slices = if slices[0].is_empty() { &slices[1..] } else { &slices[..] };
            match Pin::new(&mut *writer).poll_write_vectored(context, slices) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(Stop::Io(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(count)) => {
                    written += count;
                    deadline = None;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Stop::Io(error))),
                Poll::Pending => {
                    let deadline = *deadline.get_or_insert_with(|| Instant::now() + patience);
                    return poll_others(timer, context, deadline, watch);
                }
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}
