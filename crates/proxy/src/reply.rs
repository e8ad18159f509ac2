//! Waiting for the head of a response, and what may come before it.
//!
//! What the slot says is read even after it stopped reading: an early answer, or the shim's
//! refusal, may be there.
//!
//! # Interim responses (RFC 9110 §15.2)
//!
//! - A 103 (RFC 8297), and any other but 100 and 101, goes to a client of HTTP/1.1 as it comes,
//!   with the headers that a final response may have; a client of HTTP/1.0 gets none.
//! - A 100 ends here. It would answer an expectation, and those are answered by this proxy before
//!   the slot sees the request (§10.1.1: towards the client a gateway is the origin server).
//! - At most [`MAX_INTERIM`] are taken for one request, and none gives the slot more time.
//! - After any of them nothing is sent again ([`Failed::answered`]): the slot has read the request,
//!   and part of an answer may be with the client. Nor can the shim refuse any more what its
//!   process has begun to answer.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use control::shim::REFUSED_HEADER;
use http1::{HeadScanner, HeaderSpace, parse_response};
use tokio::time::Instant;

use crate::buffer::Buffer;
use crate::exchange::Failed;
use crate::head::{Client, write_interim};
use crate::limits::MAX_INTERIM;
use crate::outbound::Outbound;
use crate::retry::Failure;
use crate::tracker::Record;
use crate::upstream::Reader;
use crate::wait::{Stop, Watch, fill};

/// What a wait for a head goes by.
pub(crate) struct HeadWait<'a> {
    pub(crate) record: &'a Record,
    pub(crate) client: Client,
    /// Whether the client's leaving ends the wait.
    pub(crate) watch_client: bool,
    /// How long the slot may take once it has the whole request.
    pub(crate) timeout: Duration,
    /// Whether it has: as long as this is not set, a wait that is over begins anew.
    pub(crate) sent: &'a AtomicBool,
}

/// Why there is no response head.
#[derive(Debug)]
pub(crate) enum NoHead {
    /// The slot.
    Failed(Failed),
    /// The client left, or the request was cut.
    Stop(Stop),
}

/// What is at the beginning of the buffer.
enum Looked {
    /// The beginning of a head.
    Partial,
    /// An interim response of this length.
    Interim { length: usize },
    /// The head that was waited for.
    Final,
}

impl HeadWait<'_> {
    /// Returns when the whole head of the final response is in `buffer`.
    pub(crate) async fn run(
        &self,
        reader: &mut Reader<'_>,
        buffer: &mut Buffer,
        outbound: &mut Outbound<'_>,
    ) -> Result<(), NoHead> {
        let mut interim = 0;
        let outcome = self.until_final(&mut interim, reader, buffer, outbound).await;
        outcome.map_err(|no_head| match no_head {
            NoHead::Failed(failed) => NoHead::Failed(Failed { answered: interim > 0, ..failed }),
            stop @ NoHead::Stop(_) => stop,
        })
    }

    /// Does so, counting interim responses.
    async fn until_final(
        &self,
        interim: &mut u32,
        reader: &mut Reader<'_>,
        buffer: &mut Buffer,
        outbound: &mut Outbound<'_>,
    ) -> Result<(), NoHead> {
        let mut scanner = HeadScanner::default();
        let mut was_sent = self.sent.load(Relaxed);
        let mut deadline = Instant::now() + self.timeout;
        loop {
            match self.look(buffer, &mut scanner, *interim > 0, &mut outbound.bytes)? {
                Looked::Final => return Ok(()),
                Looked::Interim { length } => {
                    *interim += 1;
                    buffer.consume(length);
                    scanner = HeadScanner::default();
                    if *interim > MAX_INTERIM {
                        let text = format!("more than {MAX_INTERIM} interim responses");
                        outbound.bytes.clear();
                        return failed(Failure::Garbage, &text);
                    }
                    outbound.flush(&[], self.record).await.map_err(NoHead::Stop)?;
                    continue;
                }
                Looked::Partial => {}
            }
            let Outbound { writer, timer, .. } = outbound;
            let client = self.watch_client.then(|| (*writer).as_ref());
            let mut watch = Watch { record: self.record, client };
            // What has come of a head that ends here is no answer that could be sent again.
            let begun = !buffer.is_empty();
            match fill(reader, buffer, timer, deadline, &mut watch).await {
                Ok(0) if begun => return failed(Failure::Garbage, &"the connection ended"),
                Ok(0) => return failed(Failure::Ended, &"the connection ended"),
                Ok(_) => {}
                Err(Stop::Io(error)) if begun => return failed(Failure::Garbage, &error),
                Err(Stop::Io(error)) => return failed(Failure::Reset, &error),
                Err(Stop::Timeout) if !was_sent => {
                    was_sent = self.sent.load(Relaxed);
                    deadline = Instant::now() + self.timeout;
                }
                Err(Stop::Timeout) => return failed(Failure::Timeout, &"no answer in time"),
                Err(stop) => return Err(NoHead::Stop(stop)),
            }
        }
    }

    /// Looks at what has come; an interim response for the client is appended to `out`.
    fn look(
        &self,
        buffer: &Buffer,
        scanner: &mut HeadScanner,
        answered: bool,
        out: &mut Vec<u8>,
    ) -> Result<Looked, NoHead> {
        let mut space = HeaderSpace::new();
        let parsed = parse_response(buffer.bytes(), self.client.method(), scanner, &mut space);
        let (response, length) = match parsed {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Looked::Partial),
            Err(error) => return failed(Failure::Garbage, &error),
        };
        match response.status() {
            503 if !answered && response.header(REFUSED_HEADER).is_some() => {
                failed(Failure::Refused, &"the shim refused: the process is gone")
            }
            100 => Ok(Looked::Interim { length }),
            102..200 => {
                if self.client.is_11 {
                    write_interim(out, &response);
                }
                Ok(Looked::Interim { length })
            }
            _ => Ok(Looked::Final),
        }
    }
}

fn failed<T>(failure: Failure, detail: &dyn std::fmt::Display) -> Result<T, NoHead> {
    Err(NoHead::Failed(Failed::new(failure, detail)))
}
