//! The log records of one service: their format, one writer, any number of readers.
//!
//! A shim is the only writer of its service's log directory; `skep logs`, `skep why` and later the
//! log service read it, at the same time and without a word to the writer.
//!
//! # Guarantees
//!
//! - [`Writer::append`] never fails and never waits: what the disk does not take is dropped,
//!   counted ([`Writer::dropped`]) and marked in the log by a gap record as soon as there is space.
//! - A record is read whole or not at all; whatever a reader cannot give (damaged, or deleted by
//!   rotation) it reports as a gap, in its place.
//! - Records come back in the order in which they were appended.
//! - Disk use is bounded by [`Limits::total_bytes`], memory by one buffer on either side, whatever
//!   the files contain.
//!
//! It does not sync: what was flushed outlives every process, not a loss of power.
//!
//! # On disk
//!
//! `DIR/<20-digit sequence>.log`, numbered without holes; rotation deletes from the low end. All
//! numbers are little-endian. A segment is a header and then records:
//!
//! | header | bytes | | record | bytes | |
//! |---|---|---|---|---|---|
//! | magic | 8 | `skeplog\0` | length | 4 | of the text, at most [`MAX_LINE_BYTES`] |
//! | version | 2 | 1 | checksum | 4 | CRC-32C of all other bytes of the record |
//! | length | 2 | of the whole header | time | 8 | microseconds since the epoch |
//! | checksum | 4 | CRC-32C of what follows | generation | 8 | |
//! | created | 8 | microseconds since the epoch | slot | 4 | |
//! | count | 1 | of the releases | pid | 4 | |
//! | releases | | each a length byte and its name | stream | 1 | 0 stdout, 1 stderr, 2 shim |
//! | | | | flags | 1 | 1 partial, 2 gap |
//! | | | | release | 2 | index into the header's releases |
//! | | | | text | length | without its line end |
//!
//! The header names every release that may write into the segment: usually one; while a deploy
//! runs, the old one and the new one. A segment ends when a release comes that it does not name, at
//! [`Limits::segment_bytes`], or at [`Limits::segment_age`].
//!
//! # Recovery
//!
//! A segment that ends in the middle of a record was being written when its writer died: the next
//! writer truncates it and goes on. A record whose checksum is wrong is never cut off, for what
//! follows it may be evidence: the writer begins a new segment, readers skip to it.

mod directory;
mod error;
mod format;
mod limits;
mod reader;
mod segment;
mod watch;
mod writer;

#[cfg(test)]
mod tests;

pub use error::LogError;
pub use format::{MAX_LINE_BYTES, MAX_RELEASE_BYTES, Record, Stream, fuzz_segment};
pub use limits::Limits;
pub use reader::{Entry, Filter, Position, Reader, Start};
pub use watch::Watch;
pub use writer::Writer;
