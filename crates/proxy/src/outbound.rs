//! The writing side of a client's connection.

use std::time::Duration;

use tokio::net::tcp;

use crate::limits::MAX_SPARE_BYTES;
use crate::tracker::Record;
use crate::wait::{Stop, Timer, Watch, write_both};

/// Writes to a client; what is in `bytes` goes first.
pub(crate) struct Outbound<'s> {
    pub(crate) writer: tcp::WriteHalf<'s>,
    /// Made and not yet sent.
    pub(crate) bytes: Vec<u8>,
    pub(crate) timer: Timer,
    /// How long the client may take to make room for another byte.
    pub(crate) patience: Duration,
}

impl Outbound<'_> {
    /// Sends `bytes` and then `rest`, together where possible.
    pub(crate) async fn flush(&mut self, rest: &[u8], record: &Record) -> Result<(), Stop> {
        let Self { writer, bytes, timer, patience } = self;
        let mut watch = Watch::record(record);
        write_both(writer, bytes, rest, timer, *patience, &mut watch).await?;
        bytes.clear();
        Ok(())
    }

    /// Gives up memory that the next request will hardly need.
    pub(crate) fn shrink(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(MAX_SPARE_BYTES);
    }
}
