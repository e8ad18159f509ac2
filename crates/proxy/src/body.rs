//! A request's body on its way: read, counted, kept as far as it can be sent again.

use std::time::Duration;

use http1::{BodyDecoder, BodyError, BodyLength, LAST_CHUNK, encode_chunk};
use tokio::io::AsyncWrite;
use tokio::net::tcp;
use tokio::time::Instant;

use crate::buffer::Buffer;
use crate::limits::{Limits, REPLAY_BYTES};
use crate::tracker::Record;
use crate::wait::{Stop, Timer, Watch, fill, write_both};

/// The reading side of a client's connection.
pub(crate) struct Inbound<'s> {
    pub(crate) reader: tcp::ReadHalf<'s>,
    pub(crate) buffer: Buffer,
    pub(crate) timer: Timer,
}

/// A body that cannot be read to its end.
#[derive(Debug)]
pub(crate) enum BodyFailure {
    ClientGone,
    TooSlow,
    TooLarge,
    Malformed(BodyError),
    Cut,
}

/// One request's body.
#[derive(Debug)]
pub(crate) struct RequestBody {
    limits: Limits,
    decoder: BodyDecoder,
    length: BodyLength,
    limit_bytes: u64,
    received: u64,
    /// Time spent waiting for the client.
    waited: Duration,
    /// The body's beginning; all of what was sent unless `overflowed`.
    replay: Vec<u8>,
    overflowed: bool,
}

/// What a wait for more of the body found.
#[derive(Debug, PartialEq, Eq)]
enum More {
    Bytes,
    Pause,
}

impl RequestBody {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            decoder: BodyDecoder::new(BodyLength::Length(0)),
            length: BodyLength::Length(0),
            limit_bytes: 0,
            received: 0,
            waited: Duration::ZERO,
            replay: Vec::new(),
            overflowed: false,
        }
    }

    /// Begins the body of another request.
    pub(crate) fn begin(&mut self, length: BodyLength) {
        self.decoder = BodyDecoder::new(length);
        self.length = length;
        self.limit_bytes = u64::MAX;
        self.received = 0;
        self.waited = Duration::ZERO;
        self.replay.clear();
        self.overflowed = false;
    }

    /// Sets how long it may be; says whether its declared length is.
    pub(crate) fn limit(&mut self, bytes: u64) -> Result<(), BodyFailure> {
        self.limit_bytes = bytes;
        match self.length {
            BodyLength::Length(length) if length > bytes => Err(BodyFailure::TooLarge),
            _ => Ok(()),
        }
    }

    /// Gives up memory that the next request will hardly need.
    pub(crate) fn shrink(&mut self, most: usize) {
        self.replay.clear();
        self.replay.shrink_to(most);
    }

    /// Returns whether all of it was read.
    pub(crate) fn is_complete(&self) -> bool {
        self.decoder.is_done()
    }

    /// Returns whether all that was sent of it can be sent again.
    pub(crate) fn is_replayable(&self) -> bool {
        !self.overflowed
    }

    /// Returns what is kept of it.
    pub(crate) fn replay(&self) -> &[u8] {
        &self.replay
    }

    /// Returns how its length is said to the slot: as a number as soon as it is known, because a
    /// WSGI server has no other way to tell the app.
    pub(crate) fn outgoing_length(&self) -> BodyLength {
        match self.length {
            BodyLength::Chunked if self.is_complete() && !self.overflowed => {
                BodyLength::Length(self.replay.len() as u64)
            }
            length => length,
        }
    }

    /// Reads ahead what can be sent again: all of a short body, the beginning of a long one.
    pub(crate) async fn read_ahead(
        &mut self,
        inbound: &mut Inbound<'_>,
        record: &Record,
    ) -> Result<(), BodyFailure> {
        loop {
            self.keep(&mut inbound.buffer)?;
            let long = match self.length {
                BodyLength::Length(length) => length > REPLAY_BYTES as u64,
                BodyLength::Chunked | BodyLength::UntilClose => false,
            };
            if self.is_complete() || long || self.replay.len() >= REPLAY_BYTES {
                return Ok(());
            }
            let patience = match self.length {
                BodyLength::Length(_) => None,
                BodyLength::Chunked | BodyLength::UntilClose => Some(crate::limits::STREAM_AFTER),
            };
            if self.wait_for_more(inbound, record, patience).await? == More::Pause {
                return Ok(());
            }
        }
    }

    /// Moves what has come into the part that is kept, as far as there is room.
    fn keep(&mut self, input: &mut Buffer) -> Result<(), BodyFailure> {
        loop {
            let room = REPLAY_BYTES - self.replay.len();
            let bytes = input.bytes();
            // Data is never longer than the bytes it comes in.
            let bytes = &bytes[..bytes.len().min(room)];
            let decoded = self.decoder.decode(bytes).map_err(BodyFailure::Malformed)?;
            self.replay.extend_from_slice(&bytes[decoded.data.clone()]);
            let (consumed, data) = (decoded.consumed, decoded.data.len());
            input.consume(consumed);
            self.count(data)?;
            if consumed == 0 {
                return Ok(());
            }
        }
    }

    /// Appends what has come to `staged`, framed for the slot.
    fn stage(&mut self, input: &mut Buffer, staged: &mut Vec<u8>) -> Result<(), BodyFailure> {
        loop {
            let bytes = input.bytes();
            let decoded = self.decoder.decode(bytes).map_err(BodyFailure::Malformed)?;
            let data = &bytes[decoded.data.clone()];
            if self.replay.len() + data.len() > REPLAY_BYTES {
                self.overflowed = true;
            } else if !self.overflowed {
                self.replay.extend_from_slice(data);
            }
            match self.length {
                BodyLength::Chunked => encode_chunk(staged, data),
                BodyLength::Length(_) | BodyLength::UntilClose => staged.extend_from_slice(data),
            }
            let (consumed, data) = (decoded.consumed, data.len());
            input.consume(consumed);
            self.count(data)?;
            if consumed == 0 {
                return Ok(());
            }
        }
    }

    fn count(&mut self, data: usize) -> Result<(), BodyFailure> {
        self.received += data as u64;
        if self.received > self.limit_bytes { Err(BodyFailure::TooLarge) } else { Ok(()) }
    }

    async fn wait_for_more(
        &mut self,
        inbound: &mut Inbound<'_>,
        record: &Record,
        patience: Option<Duration>,
    ) -> Result<More, BodyFailure> {
        let begun = Instant::now();
        let earned = Duration::from_secs(self.received / self.limits.body_bytes_per_second.max(1));
        let allowance = (self.limits.body_grace + earned).saturating_sub(self.waited);
        let wait = patience.map_or(allowance, |patience| patience.min(allowance));
        let Inbound { reader, buffer, timer } = inbound;
        let outcome = fill(reader, buffer, timer, begun + wait, &mut Watch::record(record)).await;
        self.waited += begun.elapsed();
        match outcome {
            Ok(1..) => Ok(More::Bytes),
            Err(Stop::Timeout) if wait < allowance => Ok(More::Pause),
            Err(Stop::Timeout) => Err(BodyFailure::TooSlow),
            Err(Stop::Cut) => Err(BodyFailure::Cut),
            Ok(0) | Err(Stop::ClientGone | Stop::Io(_)) => Err(BodyFailure::ClientGone),
        }
    }

    /// Sends `unsent` and then the rest of the body as it comes. Returns whether the slot took all
    /// of it; when it stops reading it may still have answered.
    pub(crate) async fn pump<W: AsyncWrite + Unpin>(
        &mut self,
        mut unsent: Vec<u8>,
        inbound: &mut Inbound<'_>,
        mut writer: W,
        record: &Record,
    ) -> Result<bool, BodyFailure> {
        let mut timer = Timer::new();
        let mut ended = self.is_complete();
        loop {
            let (patience, mut watch) = (self.limits.send, Watch::record(record));
            match write_both(&mut writer, &unsent, &[], &mut timer, patience, &mut watch).await {
                Ok(()) => {}
                Err(Stop::Cut) => return Err(BodyFailure::Cut),
                // It reads no more; whether it answers is the response timeout's business.
                Err(_) => return Ok(false),
            }
            unsent.clear();
            if ended {
                return Ok(true);
            }
            while unsent.is_empty() && !ended {
                self.stage(&mut inbound.buffer, &mut unsent)?;
                ended = self.is_complete();
                if unsent.is_empty() && !ended {
                    self.wait_for_more(inbound, record, None).await?;
                }
            }
            if ended && self.length == BodyLength::Chunked {
                unsent.extend_from_slice(LAST_CHUNK);
            }
        }
    }
}
