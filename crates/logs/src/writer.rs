//! The one writer of a log directory.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;

use crate::directory::Directory;
use crate::format::{
    Header, MAX_LINE_BYTES, MAX_RELEASES, RECORD_HEAD_BYTES, Record, Stream, release_name,
};
use crate::segment::{Next, SegmentReader};
use crate::{Limits, LogError};

/// Most bytes that wait for [`Writer::flush`]: enough that a system call is cheap beside copying,
/// and a small part of what a shim may keep in memory.
const BUFFER_BYTES: usize = 32 << 10;

/// What a segment counts for at least when the oldest are deleted: bounds their number too, for
/// short-lived releases leave many small ones.
const MIN_SEGMENT_COST_BYTES: u64 = 64 << 10;

/// Appends the records of one service; at most one at a time for a directory, which is the
/// caller's (its lock's) responsibility.
///
/// Nothing here fails after [`Writer::open`]. While the disk takes nothing, records are dropped and
/// counted; each [`Writer::flush`] tries again, an append does not, so that a full disk costs no
/// system call a line.
#[derive(Debug)]
pub struct Writer {
    directory: Directory,
    limits: Limits,
    segment: Option<Segment>,
    next_sequence: u64,
    /// Bytes that belong at `segment.end`; whole records and maybe the rest of one that was
    /// written partly.
    buffer: Vec<u8>,
    /// The last write failed and no flush has tried again.
    stalled: bool,
    lost: Lost,
}

#[derive(Debug)]
struct Segment {
    file: OwnedFd,
    header: Header,
    /// Which of the header's releases have written here, one bit each.
    used: u8,
    /// Bytes in the file.
    end: u64,
}

/// What was dropped.
#[derive(Debug, Default)]
struct Lost {
    total_bytes: u64,
    /// Of these, not yet told in the log.
    untold_bytes: u64,
    untold_records: u64,
    /// Where the first untold record came from.
    time_us: u64,
    release: String,
    error: Option<Errno>,
}

impl Writer {
    /// Opens a log directory (made if missing) and repairs the end of its last segment.
    ///
    /// No segment is made before there is a record to write.
    pub fn open(directory: &Path, limits: Limits) -> Result<Self, LogError> {
        let directory = Directory::open_or_create(directory)?;
        let last = directory.sequences()?.last().copied();
        let segment = match last {
            Some(sequence) => recover(&directory, sequence),
            None => None,
        };
        Ok(Self {
            directory,
            limits,
            segment,
            next_sequence: last.map_or(1, |sequence| sequence.saturating_add(1)),
            buffer: Vec::with_capacity(BUFFER_BYTES),
            stalled: false,
            lost: Lost::default(),
        })
    }

    /// Appends a record of `release`; a text over [`MAX_LINE_BYTES`] becomes several, all but the
    /// last of them partial.
    ///
    /// It may stay in memory until [`Writer::flush`].
    pub fn append(&mut self, record: &Record<'_>, release: &str) {
        let release = release_name(release);
        let mut rest = record.bytes;
        loop {
            let (bytes, more) = rest.split_at(rest.len().min(MAX_LINE_BYTES));
            let part = Record { bytes, partial: record.partial || !more.is_empty(), ..*record };
            if !(self.tell_loss() && self.store(&part, release)) {
                self.lost.add(&part, release);
            }
            if more.is_empty() {
                return;
            }
            rest = more;
        }
    }

    /// Hands what was appended to the kernel; call it once in each turn of the caller's loop.
    pub fn flush(&mut self) {
        self.stalled = false;
        if self.tell_loss() {
            self.write(&[]);
        }
    }

    /// Returns whether the last [`Writer::flush`] left something: records in memory, or a loss that
    /// the log does not tell yet. Another one, later, may succeed.
    pub fn is_behind(&self) -> bool {
        self.stalled && (!self.buffer.is_empty() || self.lost.untold_records > 0)
    }

    /// Returns how many bytes of text were dropped since the writer was opened, and the last error.
    pub fn dropped(&self) -> (u64, Option<io::Error>) {
        (self.lost.total_bytes, self.lost.error.map(io::Error::from))
    }

    /// Writes a gap record if something was dropped; false if that is not possible yet.
    fn tell_loss(&mut self) -> bool {
        if self.lost.untold_records == 0 {
            return true;
        }
        let reason = self.lost.error.map_or_else(String::new, |errno| format!(": {errno}"));
        let text = format!(
            "{} log records ({} bytes) are missing here{reason}",
            self.lost.untold_records, self.lost.untold_bytes
        );
        let gap = Record {
            time_us: self.lost.time_us,
            slot: 0,
            generation: 0,
            pid: 0,
            stream: Stream::Shim,
            partial: false,
            gap: true,
            bytes: text.as_bytes(),
        };
        let release = std::mem::take(&mut self.lost.release);
        let stored = self.store(&gap, &release);
        if stored {
            self.lost.untold_bytes = 0;
            self.lost.untold_records = 0;
        } else {
            self.lost.release = release;
        }
        stored
    }

    /// Puts one record into the buffer or, with the buffer, into the file; false if neither went.
    fn store(&mut self, record: &Record<'_>, release: &str) -> bool {
        let size = RECORD_HEAD_BYTES + record.bytes.len();
        let Some(index) = self.release_index(size, record.time_us, release) else { return false };
        let head = record.encode_head(index);
        if self.buffer.len() + size > BUFFER_BYTES {
            return self.write(&[&head, record.bytes]);
        }
        self.buffer.extend_from_slice(&head);
        self.buffer.extend_from_slice(record.bytes);
        true
    }

    /// Returns the index of `release` in the segment that takes `size` bytes at `time_us`; begins
    /// a new segment where needed.
    fn release_index(&mut self, size: usize, time_us: u64, release: &str) -> Option<u16> {
        let current = self.segment.as_ref().and_then(|segment| {
            let full = segment.end + (self.buffer.len() + size) as u64 > self.limits.segment_bytes;
            let age_us = u128::from(time_us.saturating_sub(segment.header.created_us));
            let ended = (full && segment.used != 0) || age_us > self.limits.segment_age.as_micros();
            let index = segment.header.releases.iter().position(|name| name == release)?;
            (!ended).then_some(index)
        });
        let index = match current {
            Some(index) => index,
            None => self.begin_segment(time_us, release)?,
        };
        if let Some(segment) = &mut self.segment {
            segment.used |= 1 << index;
        }
        Some(index as u16)
    }

    /// Ends the current segment and begins the next; returns the index of `release` in it.
    fn begin_segment(&mut self, created_us: u64, release: &str) -> Option<usize> {
        if self.stalled || !self.write(&[]) {
            return None;
        }
        // Releases that wrote lately may still run: a deploy must not begin a segment a line.
        let mut releases = Vec::with_capacity(MAX_RELEASES);
        if let Some(Segment { header, used, .. }) = &self.segment {
            let lately = header.releases.iter().enumerate().filter(|(i, _)| used & (1 << i) != 0);
            releases.extend(lately.map(|(_, name)| name.clone()).filter(|name| name != release));
        }
        if releases.len() == MAX_RELEASES {
            releases.remove(0);
        }
        releases.push(release.to_owned());
        let index = releases.len() - 1;

        self.delete_oldest();
        match self.directory.create_segment(self.next_sequence) {
            Ok(file) => {
                let header = Header { created_us, releases };
                header.encode(&mut self.buffer);
                self.segment = Some(Segment { file, header, used: 0, end: 0 });
                self.next_sequence = self.next_sequence.saturating_add(1);
                Some(index)
            }
            Err(errno) => {
                self.fail(errno);
                None
            }
        }
    }

    /// Makes room for one more segment.
    fn delete_oldest(&mut self) {
        let Ok(sequences) = self.directory.sequences() else { return };
        let costs = sequences.iter().map(|sequence| {
            self.directory.segment_bytes(*sequence).unwrap_or(0).max(MIN_SEGMENT_COST_BYTES)
        });
        let costs: Vec<u64> = costs.collect();
        let mut total = costs.iter().sum::<u64>() + self.limits.segment_bytes;
        for (sequence, cost) in sequences.into_iter().zip(costs) {
            if total <= self.limits.total_bytes {
                return;
            }
            if let Err(errno) = self.directory.remove_segment(sequence) {
                self.lost.error = Some(errno);
                return;
            }
            total -= cost;
        }
    }

    /// Writes the buffer and then `record`, all of it or nothing of the record.
    fn write(&mut self, record: &[&[u8]]) -> bool {
        if self.stalled {
            return false;
        }
        let Some(segment) = &mut self.segment else { return record.is_empty() };
        let mut slices = [IoSlice::new(&self.buffer), IoSlice::new(&[]), IoSlice::new(&[])];
        for (slice, bytes) in slices[1..].iter_mut().zip(record) {
            *slice = IoSlice::new(bytes);
        }
        let (written, error) = write_at(&segment.file, &mut slices, segment.end);
        let Some(errno) = error else {
            segment.end += written;
            self.buffer.clear();
            return true;
        };
        // What went out of the buffer stays; a part of `record` must not, for it is dropped and
        // another will be written there.
        let from_buffer = written.min(self.buffer.len() as u64);
        segment.end += from_buffer;
        self.buffer.drain(..from_buffer as usize);
        let cut = if written > from_buffer {
            rustix::fs::ftruncate(&segment.file, segment.end)
        } else {
            Ok(())
        };
        self.fail(errno);
        if cut.is_err() {
            // The file is beyond repair: leave it to the readers' checksums.
            self.segment = None;
        }
        false
    }

    fn fail(&mut self, errno: Errno) {
        self.stalled = true;
        self.lost.error = Some(errno);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Lost {
    fn add(&mut self, record: &Record<'_>, release: &str) {
        if self.untold_records == 0 {
            self.time_us = record.time_us;
            release.clone_into(&mut self.release);
        }
        self.untold_records += 1;
        self.untold_bytes += record.bytes.len() as u64;
        self.total_bytes += record.bytes.len() as u64;
    }
}

/// Writes all of `slices` at `offset`; returns how much went out, and what stopped it.
fn write_at(file: &OwnedFd, mut slices: &mut [IoSlice<'_>], offset: u64) -> (u64, Option<Errno>) {
    let mut written = 0;
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match rustix::io::pwritev(file, slices, offset + written) {
            Ok(0) => return (written, Some(Errno::NOSPC)),
            Ok(count) => {
                written += count as u64;
                IoSlice::advance_slices(&mut slices, count);
            }
            Err(Errno::INTR) => {}
            Err(errno) => return (written, Some(errno)),
        }
    }
    (written, None)
}

/// Opens the last segment to go on in it; `None` if a new one must begin, which is never wrong.
fn recover(directory: &Directory, sequence: u64) -> Option<Segment> {
    let file = directory.reopen_segment(sequence).ok()?;
    let mut reader = SegmentReader::open(directory, sequence).ok()??;
    let mut used = 0;
    loop {
        match reader.next().ok()? {
            Next::Record(range) => used |= 1 << reader.record(&range).1,
            Next::End { .. } => break,
            Next::Damaged(_) => return None,
        }
    }
    let end = reader.offset();
    let header = reader.into_header()?;
    rustix::fs::ftruncate(&file, end).ok()?;
    Some(Segment { file, header, used, end })
}
