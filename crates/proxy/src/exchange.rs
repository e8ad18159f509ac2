//! One attempt: a request sent to one endpoint, and what comes back until its head is known.
//!
//! The first bytes leave within [`crate::endpoint::EndpointState::dispatch`]. Head and body go out
//! in one call where the socket takes them, because what was sent in one small write is read whole
//! or not at all. What the slot says is read even after it stopped reading: an early answer, or
//! the shim's refusal, may be there.

use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use control::shim::REFUSED_HEADER;
use http1::{BodyLength, HeadScanner, HeaderSpace, ResponseError, encode_chunk, parse_response};
use tokio::time::Instant;

use crate::body::{BodyFailure, Inbound, RequestBody};
use crate::buffer::Buffer;
use crate::endpoint::{Claim, EndpointState};
use crate::head::{Client, finish_request};
use crate::limits::{MAX_INTERIM, ONE_READ_BYTES};
use crate::outbound::Outbound;
use crate::retry::Failure;
use crate::tracker::Record;
use crate::upstream::{DialError, Reader, Upstream, Writer, dial};
use crate::wait::{Stop, Watch, fill};

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
    /// For the log.
    pub(crate) detail: String,
}

impl Failed {
    pub(crate) fn new(failure: Failure, detail: &dyn Display) -> Self {
        Self { failure, detail: detail.to_string() }
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

/// Why there is no response head.
#[derive(Debug)]
pub(crate) enum NoHead {
    /// The slot.
    Failed(Failed),
    /// The client left, or the request was cut.
    Stop(Stop),
}

impl From<Failed> for NoHead {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

/// Waits until a whole response head is in `buffer`, passing on interim ones.
///
/// `timeout` begins when the request was sent: as long as `sent` is not set, a wait that is over
/// begins anew. `watch_client` says whether the client's leaving ends the wait.
#[allow(clippy::too_many_arguments)] // all of them are parts of one connection, borrowed apart
pub(crate) async fn await_head(
    reader: &mut Reader<'_>,
    buffer: &mut Buffer,
    outbound: &mut Outbound<'_>,
    record: &Record,
    client: Client,
    timeout: Duration,
    sent: &AtomicBool,
    watch_client: bool,
) -> Result<(), NoHead> {
    let mut scanner = HeadScanner::default();
    let mut interim = 0;
    let mut was_sent = sent.load(Relaxed);
    let mut deadline = Instant::now() + timeout;
    loop {
        match look(buffer, &mut scanner, client)? {
            Looked::Final => return Ok(()),
            Looked::Interim { status, length } => {
                interim += 1;
                if interim > MAX_INTERIM {
                    let text = "too many interim responses";
                    return Err(Failed::new(Failure::Garbage, &text).into());
                }
                // A 100 would answer an expectation that we have answered ourselves.
                if status != 100 && client.is_11 {
                    let head = &buffer.bytes()[..length];
                    outbound.write(head, &[], record).await.map_err(NoHead::Stop)?;
                }
                buffer.consume(length);
                scanner = HeadScanner::default();
                continue;
            }
            Looked::Partial => {}
        }
        let Outbound { writer, timer, .. } = outbound;
        let watched = watch_client.then(|| (*writer).as_ref());
        let mut watch = Watch { record, client: watched };
        match fill(reader, buffer, timer, deadline, &mut watch).await {
            Ok(0) => return Err(ended(buffer).into()),
            Ok(_) => {}
            Err(Stop::Io(error)) => {
                let failure = if buffer.is_empty() { Failure::Reset } else { Failure::Garbage };
                return Err(Failed::new(failure, &error).into());
            }
            Err(Stop::Timeout) if !was_sent => {
                was_sent = sent.load(Relaxed);
                deadline = Instant::now() + timeout;
            }
            Err(Stop::Timeout) => {
                return Err(Failed::new(Failure::Timeout, &"no answer in time").into());
            }
            Err(stop) => return Err(NoHead::Stop(stop)),
        }
    }
}

fn ended(buffer: &Buffer) -> Failed {
    let failure = if buffer.is_empty() { Failure::Ended } else { Failure::Garbage };
    Failed::new(failure, &"the connection ended")
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

enum Looked {
    Partial,
    Interim { status: u16, length: usize },
    Final,
}

/// Looks at what has come of a head.
fn look(buffer: &Buffer, scanner: &mut HeadScanner, client: Client) -> Result<Looked, Failed> {
    let mut space = HeaderSpace::new();
    let parsed = parse_response(buffer.bytes(), client.method(), scanner, &mut space);
    let Some((response, length)) = parsed.map_err(garbage)? else { return Ok(Looked::Partial) };
    let status = response.status();
    if status == 503 && response.header(REFUSED_HEADER).is_some() {
        return Err(Failed::new(Failure::Refused, &"the shim refused: the process is gone"));
    }
    if status < 200 && status != 101 {
        return Ok(Looked::Interim { status, length });
    }
    Ok(Looked::Final)
}

fn garbage(error: ResponseError) -> Failed {
    Failed::new(Failure::Garbage, &error)
}
