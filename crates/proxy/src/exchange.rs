//! One attempt: a request on its way to one endpoint.
//!
//! The first bytes leave within [`crate::endpoint::EndpointState::dispatch`]. Head and body go out
//! in one call where the socket takes them, because what was sent in one small write is read whole
//! or not at all. What comes back is the business of [`crate::reply`]; it is waited for beside the
//! rest of the body ([`Pump::beside`]), because a slot may answer before it has read all of it.

use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};

use http1::{BodyLength, encode_chunk};

use crate::body::{BodyFailure, Inbound, RequestBody};
use crate::endpoint::{Claim, EndpointState};
use crate::head::finish_request;
use crate::limits::ONE_READ_BYTES;
use crate::retry::Failure;
use crate::tracker::Record;
use crate::upstream::{DialError, Upstream, Writer, dial};

/// A request's connection and how its first write went.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) upstream: Upstream,
    /// Whether the connection had served others.
    reused: bool,
    /// What the first write left over, the body's beginning included.
    pub(crate) unsent: Vec<u8>,
    /// Whether the whole request went out in one write that is read whole or not at all.
    pub(crate) one_read: bool,
}

/// Why an attempt came to nothing.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    /// Whether an interim response had come: the slot has read the request and begun to answer.
    pub(crate) answered: bool,
    /// For the log.
    pub(crate) detail: String,
}

impl Failed {
    pub(crate) fn new(failure: Failure, detail: &dyn Display) -> Self {
        Self { failure, answered: false, detail: detail.to_string() }
    }
}

/// Connects and sends the request's beginning. `head` ends before framing and connection; it is
/// completed here and cut back by the next attempt.
pub(crate) async fn send(
    claim: &Claim,
    worker: usize,
    head: &mut Vec<u8>,
    body: &RequestBody,
    is_upgrade: bool,
    has_body: bool,
) -> Result<Sent, Failed> {
    let endpoint = &claim.endpoint;
    let length = has_body.then(|| body.outgoing_length());
    finish_request(head, length, !endpoint.keeps_connections(), is_upgrade);
    let mut chunk = Vec::new();
    let first = if length == Some(BodyLength::Chunked) {
        encode_chunk(&mut chunk, body.replay());
        if body.is_complete() {
            chunk.extend_from_slice(http1::LAST_CHUNK);
        }
        chunk.as_slice()
    } else {
        body.replay()
    };
    while let Some(upstream) = endpoint.checkout(worker) {
        match first_write(endpoint, &upstream, head, first) {
            // Closed by the slot between our look and our write: it read nothing.
            Err(Failed { failure: Failure::Unsent, .. }) => {}
            Err(failed) => return Err(failed),
            Ok(written) => return Ok(sent(upstream, true, written, head, first, body)),
        }
    }
    let upstream = dial(&endpoint.address).await.map_err(|error| match error {
        DialError::BacklogFull => Failed::new(Failure::BacklogFull, &"the backlog is full"),
        DialError::Failed(error) => Failed::new(Failure::Connect, &error),
    })?;
    let written = first_write(endpoint, &upstream, head, first)?;
    Ok(sent(upstream, false, written, head, first, body))
}

/// Sends what the socket takes at once, if the endpoint may still be used.
fn first_write(
    endpoint: &EndpointState,
    upstream: &Upstream,
    head: &[u8],
    body: &[u8],
) -> Result<usize, Failed> {
    match endpoint.dispatch(|| upstream.send_now(head, body)) {
        None => Err(Failed::new(Failure::Withdrawn, &"withdrawn")),
        Some(Ok(written)) => Ok(written),
        Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Some(Err(error)) => Err(Failed::new(Failure::Unsent, &error)),
    }
}

fn sent(
    upstream: Upstream,
    reused: bool,
    written: usize,
    head: &[u8],
    first: &[u8],
    body: &RequestBody,
) -> Sent {
    let mut unsent = Vec::new();
    if written < head.len() {
        unsent.extend_from_slice(&head[written..]);
        unsent.extend_from_slice(first);
    } else if written < head.len() + first.len() {
        unsent.extend_from_slice(&first[written - head.len()..]);
    }
    let one_read =
        upstream.is_unix() && unsent.is_empty() && body.is_complete() && written <= ONE_READ_BYTES;
    Sent { upstream, reused, unsent, one_read }
}

/// Ends with whether the slot took the whole body.
type BodyFuture<'p> = Pin<Box<dyn Future<Output = Result<bool, BodyFailure>> + Send + 'p>>;

/// The rest of a request on its way to the slot, beside the wait for the answer.
pub(crate) struct Pump<'p> {
    future: Option<BodyFuture<'p>>,
    /// Whether it is done, for those beside it.
    done: &'p AtomicBool,
    /// Whether the slot took the whole request.
    pub(crate) sent_all: bool,
}

impl<'p> Pump<'p> {
    /// Returns a pump for what is left, or an idle one when nothing is.
    pub(crate) fn new(
        unsent: Vec<u8>,
        body: &'p mut RequestBody,
        inbound: &'p mut Inbound<'_>,
        writer: Writer<'p>,
        record: &'p Record,
        done: &'p AtomicBool,
    ) -> Self {
        if unsent.is_empty() && body.is_complete() {
            done.store(true, Relaxed);
            return Self { future: None, done, sent_all: true };
        }
        let future = Box::pin(body.pump(unsent, inbound, writer, record));
        Self { future: Some(future), done, sent_all: false }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.future.is_none()
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Option<BodyFailure> {
        match self.future.as_mut()?.as_mut().poll(context) {
            Poll::Pending => None,
            Poll::Ready(outcome) => {
                self.future = None;
                self.done.store(true, Relaxed);
                match outcome {
                    Ok(sent_all) => {
                        self.sent_all = sent_all;
                        None
                    }
                    Err(failure) => Some(failure),
                }
            }
        }
    }

    /// Runs `main` with the pump beside it; ends early only if the client's body fails.
    pub(crate) async fn beside<F: Future>(&mut self, main: F) -> Result<F::Output, BodyFailure> {
        let mut main = pin!(main);
        poll_fn(|context| {
            if let Poll::Ready(output) = main.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            match self.poll(context) {
                Some(failure) => Poll::Ready(Err(failure)),
                None => Poll::Pending,
            }
        })
        .await
    }
}

impl Sent {
    /// Looks once more at how a connection ended: a slot that closed it without having read is no
    /// slot that read and gave up.
    pub(crate) fn explain_end(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Ended if !self.upstream.ended_unread() => Failure::Ended,
            Failure::Ended if self.reused => Failure::Stale,
            Failure::Ended => Failure::Unsent,
            other => other,
        }
    }
}
