//! What comes after `101 Switching Protocols`: bytes both ways, until one side ends.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use crate::limits::{TUNNEL_BYTES, TUNNEL_HALF_CLOSED};
use crate::tracker::Record;
use crate::wait::Timer;

/// How a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TunnelEnd {
    /// One side closed.
    Closed,
    /// It was cut.
    Cut,
}

/// Copies both ways. Ends when the slot's side ends, when both do, or some time after the client's
/// did.
pub(crate) async fn run(
    (client_reader, client_writer): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    (slot_reader, slot_writer): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    record: &Record,
) -> TunnelEnd {
    let mut upwards = pin!(copy(client_reader, slot_writer));
    let mut downwards = pin!(copy(slot_reader, client_writer));
    let mut timer = Timer::new();
    let mut half_closed: Option<Instant> = None;
    poll_fn(|context| {
        if record.is_cut() {
            return Poll::Ready(TunnelEnd::Cut);
        }
        if downwards.as_mut().poll(context).is_ready() {
            return Poll::Ready(TunnelEnd::Closed);
        }
        let deadline = match half_closed {
            Some(deadline) => deadline,
            None => match upwards.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
                // A client that vanished reads nothing either.
                Poll::Ready(Err(_)) => return Poll::Ready(TunnelEnd::Closed),
                Poll::Ready(Ok(())) => *half_closed.insert(Instant::now() + TUNNEL_HALF_CLOSED),
            },
        };
        if timer.poll_expired(context, deadline) {
            return Poll::Ready(TunnelEnd::Closed);
        }
        Poll::Pending
    })
    .await
}

/// Copies to the end and says so to the other side.
async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; TUNNEL_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}
