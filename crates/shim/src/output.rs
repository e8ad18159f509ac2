//! Everything that goes into the service's log: what its processes write and what the shim does.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use control::SlotId;
use logs::{Limits, LogError, Record, Stream, Writer};

use crate::capture::{Capture, Pulled};
use crate::clock;
use crate::holdings::{LogPipe, PIPE_BYTES};
use crate::lines::Tail;

/// Most bytes taken from one pipe in one turn of the loop, so that a flood of one slot delays
/// neither the others nor the agent's requests.
const BYTES_PER_TURN: usize = 256 << 10;

/// Most bytes taken from a pipe that is emptied: what it holds, and as much again for what a
/// process writes meanwhile.
const DRAIN_BYTES: usize = 2 * PIPE_BYTES;

/// Whose record it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) slot: SlotId,
    /// The main process; 0: none.
    pub(crate) pid: u32,
    pub(crate) release: &'a str,
}

/// The service's log and what fills it.
#[derive(Debug)]
pub(crate) struct Output {
    writer: Writer,
    capture: Capture,
    /// How many dropped bytes the clients know of.
    told_dropped: u64,
}

/// The log could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("failed to prepare reading log pipes")]
    Capture(#[from] io::Error),
}

/// One pull's place to write to.
struct Sink<'a> {
    writer: &'a mut Writer,
    record: Record<'static>,
    release: &'a str,
}

impl Output {
    pub(crate) fn open(directory: &Path) -> Result<Self, OutputError> {
        Ok(Self {
            writer: Writer::open(directory, Limits::default())?,
            capture: Capture::new()?,
            told_dropped: 0,
        })
    }

    /// Records something that the shim did or saw.
    pub(crate) fn event(&mut self, origin: Origin<'_>, text: &str) {
        let record = record(origin, Stream::Shim);
        self.writer.append(&Record { bytes: text.as_bytes(), ..record }, origin.release);
    }

    /// Takes one turn's worth of lines out of a pipe.
    pub(crate) fn pull(&mut self, origin: Origin<'_>, stream: Stream, pipe: &mut LogPipe) {
        self.take(origin, stream, pipe, Tail::Keep, BYTES_PER_TURN);
    }

    /// Takes everything out of a pipe.
    pub(crate) fn drain(
        &mut self,
        origin: Origin<'_>,
        stream: Stream,
        pipe: &mut LogPipe,
        tail: Tail,
    ) {
        self.take(origin, stream, pipe, tail, DRAIN_BYTES);
    }

    fn take(
        &mut self,
        origin: Origin<'_>,
        stream: Stream,
        pipe: &mut LogPipe,
        tail: Tail,
        most: usize,
    ) {
        let mut taken = 0;
        while taken < most {
            let mut sink = Sink {
                writer: &mut self.writer,
                record: record(origin, stream),
                release: origin.release,
            };
            let pulled = self.capture.pull(
                pipe.as_fd(),
                tail,
                &mut sink,
                |sink, line, partial| {
                    sink.writer
                        .append(&Record { bytes: line, partial, ..sink.record }, sink.release);
                },
                |sink| sink.writer.flush(),
            );
            match pulled {
                Ok(Pulled::Bytes(count)) => taken += count,
                // A pipe that cannot be read is of no use; its process is not to blame.
                Ok(Pulled::Idle | Pulled::Ended) | Err(_) => {
                    pipe.has_more = false;
                    return;
                }
            }
        }
        pipe.has_more = true;
    }

    /// Hands everything to the kernel; at the end of each turn of the loop.
    pub(crate) fn flush(&mut self) {
        self.writer.flush();
    }

    /// Returns whether something waits for a disk that took not everything.
    pub(crate) fn is_behind(&self) -> bool {
        self.writer.is_behind()
    }

    /// Gives memory back; when nothing was read for a while.
    pub(crate) fn rest(&mut self) {
        self.capture.rest();
    }

    /// Returns how many bytes were dropped and why, if that changed.
    pub(crate) fn newly_dropped(&mut self) -> Option<(u64, String)> {
        let (bytes, error) = self.writer.dropped();
        if bytes == self.told_dropped {
            return None;
        }
        self.told_dropped = bytes;
        Some((bytes, error.map_or_else(String::new, |error| error.to_string())))
    }
}

fn record(origin: Origin<'_>, stream: Stream) -> Record<'static> {
    Record {
        time_us: clock::wall_us(),
        slot: origin.slot.number.0,
        generation: origin.slot.generation.0,
        pid: origin.pid,
        stream,
        partial: false,
        gap: false,
        bytes: b"",
    }
}
