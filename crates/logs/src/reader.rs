//! Reading a log across its segments, once or for as long as it grows.

use std::ops::Range;
use std::path::Path;

use crate::LogError;
use crate::directory::Directory;
use crate::format::{Record, Stream};
use crate::segment::{Next, SegmentReader};

/// Where in a log a reader stands. Stays good while the segment exists; afterwards reading goes on
/// at the oldest one, behind a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The segment's number.
    pub segment: u64,
    /// The offset in it, in bytes.
    pub offset: u64,
}

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record there is.
    Oldest,
    /// With the last so many records that pass the filter; 0: with the next one that is written.
    Last(usize),
    /// Where another reader stood.
    At(Position),
}

/// Which records are wanted. Gaps pass every filter: nobody knows what is missing in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this release's; segments that do not name it are not read.
    pub release: Option<String>,
    /// Only this slot's.
    pub slot: Option<u32>,
    /// Only this stream's.
    pub stream: Option<Stream>,
}

impl Filter {
    fn passes(&self, record: &Record<'_>, release: &str) -> bool {
        record.gap
            || (self.slot.is_none_or(|slot| slot == record.slot)
                && self.stream.is_none_or(|stream| stream == record.stream)
                && self.release.as_deref().is_none_or(|wanted| wanted == release))
    }
}

/// One record and its release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The release that wrote it; empty for a gap that the reader found.
    pub release: &'a str,
    /// The record.
    pub record: Record<'a>,
}

/// Reads the records of one service in their order.
///
/// It holds one segment open and one buffer, so that neither rotation nor the log's size touch it.
#[derive(Debug)]
pub struct Reader {
    directory: Directory,
    filter: Filter,
    current: Option<Current>,
    /// The segment to open next, if `current` is none; absent: the oldest.
    expected: Option<u64>,
    /// Where to begin in it.
    expected_offset: u64,
    /// The last record's time, for gaps.
    time_us: u64,
    /// The text of the gap that was returned last.
    gap: String,
}

#[derive(Debug)]
struct Current {
    sequence: u64,
    segment: SegmentReader,
    /// Nothing more is wanted or can be had from it; waiting for the one after it.
    finished: bool,
}

/// What a step found.
enum Step {
    Record(Range<usize>),
    Gap(String),
    Again,
    End,
}

impl Reader {
    /// Opens a log directory. For [`Start::Last`] it reads each segment that is needed, newest
    /// first, to count its records.
    pub fn open(directory: &Path, start: Start, filter: Filter) -> Result<Self, LogError> {
        let mut reader = Self {
            directory: Directory::open(directory)?,
            filter,
            current: None,
            expected: None,
            expected_offset: 0,
            time_us: 0,
            gap: String::new(),
        };
        match start {
            Start::Oldest => {}
            Start::At(position) => {
                // The place of a reader that had found nothing yet.
                reader.expected = (position.segment != 0).then_some(position.segment);
                reader.expected_offset = position.offset;
            }
            Start::Last(count) => reader.seek_last(count)?,
        }
        Ok(reader)
    }

    /// Returns the next record that passes the filter; `None` at the present end of the log. Call
    /// it again when more was written (see [`crate::Watch`]) and it goes on from there.
    ///
    /// What cannot be read is returned as an entry of the shim's with [`Record::gap`] set and a
    /// text that says what is missing.
    pub fn read_next(&mut self) -> Result<Option<Entry<'_>>, LogError> {
        loop {
            match self.step()? {
                Step::Record(range) => {
                    if self.passes(&range) {
                        return Ok(Some(self.entry(&range)));
                    }
                }
                Step::Gap(text) => {
                    self.gap = text;
                    return Ok(Some(self.gap_entry()));
                }
                Step::Again => {}
                Step::End => return Ok(None),
            }
        }
    }

    /// Returns where the next record will be read from.
    pub fn position(&self) -> Position {
        match &self.current {
            Some(current) => {
                Position { segment: current.sequence, offset: current.segment.offset() }
            }
            None => Position { segment: self.expected.unwrap_or(0), offset: self.expected_offset },
        }
    }

    /// Goes to where `count` matching records follow.
    fn seek_last(&mut self, count: usize) -> Result<(), LogError> {
        let mut wanted = count;
        let mut found = None;
        for sequence in self.directory.sequences()?.into_iter().rev() {
            let Some(there) = self.count(sequence)? else { break };
            found = Some((sequence, there.saturating_sub(wanted)));
            if there >= wanted {
                break;
            }
            wanted -= there;
        }
        let Some((sequence, mut surplus)) = found else { return Ok(()) };
        self.expected = Some(sequence);
        while surplus > 0 {
            match self.step()? {
                Step::Record(range) => surplus -= usize::from(self.passes(&range)),
                Step::Gap(_) | Step::Again => {}
                Step::End => break,
            }
        }
        Ok(())
    }

    /// Counts a segment's matching records; `None` if it is gone.
    fn count(&self, sequence: u64) -> Result<Option<usize>, LogError> {
        let Some(mut segment) = SegmentReader::open(&self.directory, sequence)? else {
            return Ok(None);
        };
        let mut count = 0;
        let error = |errno| self.directory.segment_error(sequence, errno);
        segment.read_header().map_err(error)?;
        if !self.may_contain(&segment) {
            return Ok(Some(0));
        }
        while let Next::Record(range) = segment.next().map_err(error)? {
            let (record, release) = segment.record(&range);
            let name = segment.header().map_or("", |header| header.releases[release].as_str());
            count += usize::from(self.filter.passes(&record, name));
        }
        Ok(Some(count))
    }

    /// Returns whether the segment names the wanted release, as far as is known.
    fn may_contain(&self, segment: &SegmentReader) -> bool {
        match (&self.filter.release, segment.header()) {
            (Some(wanted), Some(header)) => header.releases.contains(wanted),
            _ => true,
        }
    }

    fn step(&mut self) -> Result<Step, LogError> {
        let Some(current) = &mut self.current else { return self.open_next() };
        let sequence = current.sequence;
        if !current.finished {
            let next = current.segment.next();
            match next.map_err(|errno| self.directory.segment_error(sequence, errno))? {
                Next::Record(range) => {
                    self.time_us = current.segment.record(&range).0.time_us;
                    return Ok(Step::Record(range));
                }
                Next::Damaged(why) => {
                    current.finished = true;
                    let offset = current.segment.offset();
                    return Ok(Step::Gap(format!(
                        "log segment {sequence} cannot be read from byte {offset} on: {why}"
                    )));
                }
                Next::End { .. } => {}
            }
        }
        self.leave(sequence)
    }

    /// Goes on to the next segment if there is one.
    fn leave(&mut self, sequence: u64) -> Result<Step, LogError> {
        if self.directory.sequences()?.last().is_none_or(|last| *last <= sequence) {
            return Ok(Step::End);
        }
        let Some(current) = &mut self.current else { return Ok(Step::Again) };
        let mut torn_at = None;
        if !current.finished {
            // The writer may have written here before it began the next segment, but after our
            // last look.
            let next = current.segment.next();
            match next.map_err(|errno| self.directory.segment_error(sequence, errno))? {
                Next::Record(range) => {
                    self.time_us = current.segment.record(&range).0.time_us;
                    return Ok(Step::Record(range));
                }
                Next::Damaged(_) => return Ok(Step::Again),
                Next::End { torn } => torn_at = torn.then(|| current.segment.offset()),
            }
        }
        self.current = None;
        self.expected = Some(sequence + 1);
        self.expected_offset = 0;
        Ok(match torn_at {
            Some(offset) => Step::Gap(format!(
                "log segment {sequence} ends in the middle of a record at byte {offset}"
            )),
            None => Step::Again,
        })
    }

    /// Opens the segment that comes next, if it exists.
    fn open_next(&mut self) -> Result<Step, LogError> {
        let from = self.expected.unwrap_or(0);
        let sequences = self.directory.sequences()?;
        let Some(sequence) = sequences.into_iter().find(|sequence| *sequence >= from) else {
            return Ok(Step::End);
        };
        let Some(mut segment) = SegmentReader::open(&self.directory, sequence)? else {
            return Ok(Step::Again);
        };
        let deleted = self.expected.is_some_and(|expected| expected < sequence);
        if self.expected == Some(sequence) {
            segment
                .seek(self.expected_offset)
                .map_err(|errno| self.directory.segment_error(sequence, errno))?;
        } else {
            segment.read_header().map_err(|errno| self.directory.segment_error(sequence, errno))?;
        }
        let finished = !self.may_contain(&segment);
        self.current = Some(Current { sequence, segment, finished });
        self.expected = None;
        Ok(if deleted {
            Step::Gap(format!("log segments {from} to {} were deleted by rotation", sequence - 1))
        } else {
            Step::Again
        })
    }

    fn passes(&self, range: &Range<usize>) -> bool {
        let entry = self.entry(range);
        self.filter.passes(&entry.record, entry.release)
    }

    fn entry(&self, range: &Range<usize>) -> Entry<'_> {
        let Some(current) = &self.current else { unreachable!("a record comes from a segment") };
        let (record, release) = current.segment.record(range);
        let names = current.segment.header().map_or(&[][..], |header| &header.releases);
        Entry { release: &names[release], record }
    }

    fn gap_entry(&self) -> Entry<'_> {
        let record = Record {
            time_us: self.time_us,
            slot: 0,
            generation: 0,
            pid: 0,
            stream: Stream::Shim,
            partial: false,
            gap: true,
            bytes: self.gap.as_bytes(),
        };
        Entry { release: "", record }
    }
}
