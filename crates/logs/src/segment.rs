//! One segment file, read record by record through one bounded buffer.

use std::ops::Range;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::LogError;
use crate::directory::Directory;
use crate::format::{Header, MAX_HEADER_BYTES, MAX_RECORD_BYTES, Parsed, Record};

/// What one read takes at most; a whole record always fits beside the rest of another.
const BUFFER_BYTES: usize = 2 * MAX_RECORD_BYTES;

/// What comes next in a segment.
#[derive(Debug)]
pub(crate) enum Next {
    /// A record, here in the buffer; see [`SegmentReader::record`].
    Record(Range<usize>),
    /// Nothing yet, or for ever.
    End {
        /// Whether the file ends in the middle of something.
        torn: bool,
    },
    /// Nothing readable, now or later; why, for people.
    Damaged(&'static str),
}

/// Reads one segment.
///
/// The segment may be growing; and its end may be cut off and written anew by a writer that
/// recovers. So the end is never remembered: it is read again each time.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    file: OwnedFd,
    header: Option<Header>,
    /// Where in the file the next record is.
    offset: u64,
    buffer: Vec<u8>,
    /// Where in `buffer` the byte at `offset` is.
    start: usize,
}

impl SegmentReader {
    /// Opens a segment at its first record; `None` if it is gone.
    pub(crate) fn open(directory: &Directory, sequence: u64) -> Result<Option<Self>, LogError> {
        Ok(directory.open_segment(sequence)?.map(|file| Self {
            file,
            header: None,
            offset: 0,
            buffer: Vec::new(),
            start: 0,
        }))
    }

    /// Moves to a place that an earlier [`Self::offset`] returned; never before the first record.
    pub(crate) fn seek(&mut self, offset: u64) -> Result<(), Errno> {
        if let Next::End { .. } = self.read_header()?
            && offset > self.offset
        {
            self.offset = offset;
            self.buffer.clear();
            self.start = 0;
        }
        Ok(())
    }

    /// Returns where in the file the next record is.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the header once it was read.
    pub(crate) fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Returns the header once it was read.
    pub(crate) fn into_header(self) -> Option<Header> {
        self.header
    }

    /// Reads the header unless it was read; `End` (not torn) when it is there.
    pub(crate) fn read_header(&mut self) -> Result<Next, Errno> {
        if self.header.is_some() {
            return Ok(Next::End { torn: false });
        }
        self.reread()?;
        let upto = self.buffer.len().min(MAX_HEADER_BYTES);
        match Header::parse(&self.buffer[..upto]) {
            Parsed::Whole(header, size) => {
                self.header = Some(header);
                self.take(size);
                Ok(Next::End { torn: false })
            }
            Parsed::Incomplete => Ok(Next::End { torn: !self.buffer.is_empty() }),
            Parsed::Damaged(why) => Ok(Next::Damaged(why)),
        }
    }

    /// Reads the next record.
    pub(crate) fn next(&mut self) -> Result<Next, Errno> {
        let header = self.read_header()?;
        let Some(releases) = self.header.as_ref().map(|header| header.releases.len()) else {
            return Ok(header);
        };
        // First from the buffer; then the buffer is read anew, once, so that neither a growing nor
        // a rewritten end is mistaken for damage.
        let mut fresh = false;
        loop {
            match Record::parse(&self.buffer[self.start..], releases) {
                Parsed::Whole(_, size) => {
                    let range = self.start..self.start + size;
                    self.take(size);
                    return Ok(Next::Record(range));
                }
                Parsed::Incomplete if fresh => {
                    return Ok(Next::End { torn: !self.buffer.is_empty() });
                }
                Parsed::Damaged(why) if fresh => return Ok(Next::Damaged(why)),
                Parsed::Incomplete | Parsed::Damaged(_) => {
                    self.reread()?;
                    fresh = true;
                }
            }
        }
    }

    /// Returns the record that [`Self::next`] has just returned, and the index of its release.
    pub(crate) fn record(&self, range: &Range<usize>) -> (Record<'_>, usize) {
        let releases = self.header.as_ref().map_or(0, |header| header.releases.len());
        match Record::parse(&self.buffer[range.clone()], releases) {
            Parsed::Whole(record, _) => record,
            Parsed::Incomplete | Parsed::Damaged(_) => {
                unreachable!("`next` has parsed the same bytes")
            }
        }
    }

    fn take(&mut self, size: usize) {
        self.start += size;
        self.offset += size as u64;
    }

    /// Fills the buffer from `offset`, as far as it and the file go.
    fn reread(&mut self) -> Result<(), Errno> {
        self.buffer.resize(BUFFER_BYTES, 0);
        self.start = 0;
        let mut filled = 0;
        while filled < BUFFER_BYTES {
            let at = self.offset + filled as u64;
            match rustix::io::pread(&self.file, &mut self.buffer[filled..], at) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(errno) => {
                    self.buffer.clear();
                    return Err(errno);
                }
            }
        }
        self.buffer.truncate(filled);
        Ok(())
    }
}
