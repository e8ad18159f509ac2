//! Read buffers, lent by each worker for as long as something is in them.
//!
//! A connection that waits for its next request holds none, so that ten thousand idle ones cost
//! little more than their sockets.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::limits::{BUFFER_BYTES, MAX_SPARE_BUFFERS};

thread_local! {
    static SPARE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that were read and not yet consumed, in memory borrowed from this thread.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// Empty while nothing is borrowed.
    memory: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Drops `count` bytes at the beginning.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Drops everything and gives the memory back.
    pub(crate) fn release(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        (self.start, self.end) = (0, 0);
        if memory.is_empty() {
            return;
        }
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < MAX_SPARE_BUFFERS {
                spare.push(memory);
            }
        });
    }

    /// Returns whether there is no room for another byte.
    pub(crate) fn is_full(&self) -> bool {
        self.end - self.start == BUFFER_BYTES
    }

    /// Reads what is there into the free part; 0 at the end of the stream. The buffer must not be
    /// full.
    pub(crate) fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut R,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<usize>> {
        if self.memory.is_empty() {
            self.memory = SPARE
                .with_borrow_mut(Vec::pop)
                .unwrap_or_else(|| vec![0; BUFFER_BYTES].into_boxed_slice());
        }
        if self.end == self.memory.len() {
            self.memory.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let mut free = ReadBuf::new(&mut self.memory[self.end..]);
        let outcome = Pin::new(reader).poll_read(context, &mut free);
        let count = free.filled().len();
        if outcome.is_pending() && self.is_empty() {
            // Nothing is borrowed while nothing is here.
            self.release();
        }
        ready!(outcome)?;
        self.end += count;
        Poll::Ready(Ok(count))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.release();
    }
}
