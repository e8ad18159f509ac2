//! The writing side of a client's connection.

use tokio::net::tcp;

use crate::limits::{MAX_SPARE_BYTES, SEND_TIMEOUT};
use crate::tracker::Record;
use crate::wait::{Stop, Timer, Watch, write_both};

/// Writes to a client; what is in `bytes` goes first.
pub(crate) struct Outbound<'s> {
    pub(crate) writer: tcp::WriteHalf<'s>,
    /// Made and not yet sent.
    pub(crate) bytes: Vec<u8>,
    pub(crate) timer: Timer,
}

impl Outbound<'_> {
    /// Sends `bytes` and then `rest`, together where possible.
    pub(crate) async fn flush(&mut self, rest: &[u8], record: &Record) -> Result<(), Stop> {
        let Self { writer, bytes, timer } = self;
        let mut watch = Watch::record(record);
        write_both(writer, bytes, rest, timer, SEND_TIMEOUT, &mut watch).await?;
        bytes.clear();
        Ok(())
    }

    /// Sends two pieces, together where possible.
    pub(crate) async fn write(
        &mut self,
        first: &[u8],
        second: &[u8],
        record: &Record,
    ) -> Result<(), Stop> {
        let mut watch = Watch::record(record);
        write_both(&mut self.writer, first, second, &mut self.timer, SEND_TIMEOUT, &mut watch).await
    }

    /// Gives up memory that the next request will hardly need.
    pub(crate) fn shrink(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(MAX_SPARE_BYTES);
    }
}
