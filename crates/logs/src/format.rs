//! Bytes of segments, without I/O. The layout is in the crate's documentation.

use crc32c::{crc32c, crc32c_append};

/// Longest text of one record in bytes; a longer line is split into partial records.
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// Longest name of a release in bytes; a longer one is cut, so that a header stays small.
pub const MAX_RELEASE_BYTES: usize = 64;

/// Most releases that one segment names. Two overlap in a deploy; a few more when deploys follow
/// each other faster than they drain.
pub(crate) const MAX_RELEASES: usize = 8;

/// Bytes of a record before its text.
pub(crate) const RECORD_HEAD_BYTES: usize = 36;

/// Longest record.
pub(crate) const MAX_RECORD_BYTES: usize = RECORD_HEAD_BYTES + MAX_LINE_BYTES;

/// Bytes of a header before its releases.
const HEADER_HEAD_BYTES: usize = 25;

/// Longest header that this version writes or reads.
pub(crate) const MAX_HEADER_BYTES: usize =
    HEADER_HEAD_BYTES + MAX_RELEASES * (1 + MAX_RELEASE_BYTES);

const MAGIC: [u8; 8] = *b"skeplog\0";
const VERSION: u16 = 1;
const FLAG_PARTIAL: u8 = 1;
const FLAG_GAP: u8 = 2;

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output of the slot's processes.
    Stdout,
    /// Standard error of the slot's processes.
    Stderr,
    /// The shim itself: starts, exits, gaps.
    Shim,
}

/// One line, or a part of a long one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was read, microseconds since the epoch.
    pub time_us: u64,
    /// The slot's number.
    pub slot: u32,
    /// The slot's generation.
    pub generation: u64,
    /// The slot's main process at that time; 0: none.
    pub pid: u32,
    /// Where it came from.
    pub stream: Stream,
    /// The line goes on in the next record of this slot and stream.
    pub partial: bool,
    /// Records are missing here; the text says how many and why.
    pub gap: bool,
    /// The text without its line end.
    pub bytes: &'a [u8],
}

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// Microseconds since the epoch.
    pub(crate) created_us: u64,
    /// The releases that may write here; never empty, none twice.
    pub(crate) releases: Vec<String>,
}

/// What some bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parsed<T> {
    /// A whole thing and its size in bytes.
    Whole(T, usize),
    /// The beginning of one, or nothing.
    Incomplete,
    /// Not one; why, for people.
    Damaged(&'static str),
}

/// Returns `name` as it is written into headers.
pub(crate) fn release_name(name: &str) -> &str {
    let mut end = name.len().min(MAX_RELEASE_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

impl Header {
    /// Appends the header's bytes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let names: usize = self.releases.iter().map(|name| 1 + name.len()).sum();
        let length = HEADER_HEAD_BYTES + names;
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(length as u16).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.created_us.to_le_bytes());
        out.push(self.releases.len() as u8);
        for name in &self.releases {
            out.push(name.len() as u8);
            out.extend_from_slice(name.as_bytes());
        }
        let checksum = crc32c(&out[start + 16..]);
        out[start + 12..start + 16].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Reads the header at the beginning of `bytes`.
    pub(crate) fn parse(bytes: &[u8]) -> Parsed<Self> {
        let known = bytes.len().min(MAGIC.len());
        if bytes[..known] != MAGIC[..known] {
            return Parsed::Damaged("it is not a log segment");
        }
        if bytes.len() < 16 {
            return Parsed::Incomplete;
        }
        if u16_at(bytes, 8) != VERSION {
            return Parsed::Damaged("it was written by another version of skep");
        }
        let length = usize::from(u16_at(bytes, 10));
        if !(HEADER_HEAD_BYTES..=MAX_HEADER_BYTES).contains(&length) {
            return Parsed::Damaged("its header has an impossible length");
        }
        if bytes.len() < length {
            return Parsed::Incomplete;
        }
        if crc32c(&bytes[16..length]) != u32_at(bytes, 12) {
            return Parsed::Damaged("its header has a wrong checksum");
        }
        let Some(releases) = parse_names(bytes[24], &bytes[HEADER_HEAD_BYTES..length]) else {
            return Parsed::Damaged("its header does not name its releases");
        };
        Parsed::Whole(Self { created_us: u64_at(bytes, 16), releases }, length)
    }
}

fn parse_names(count: u8, mut bytes: &[u8]) -> Option<Vec<String>> {
    if !(1..=MAX_RELEASES).contains(&usize::from(count)) {
        return None;
    }
    let mut names = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let (length, rest) = bytes.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        names.push(std::str::from_utf8(name).ok()?.to_owned());
        bytes = rest;
    }
    bytes.is_empty().then_some(names)
}

impl<'a> Record<'a> {
    /// Returns the bytes that precede the text; the text is at most [`MAX_LINE_BYTES`] long.
    pub(crate) fn encode_head(&self, release: u16) -> [u8; RECORD_HEAD_BYTES] {
        debug_assert!(self.bytes.len() <= MAX_LINE_BYTES);
        let mut head = [0; RECORD_HEAD_BYTES];
        head[0..4].copy_from_slice(&(self.bytes.len() as u32).to_le_bytes());
        head[8..16].copy_from_slice(&self.time_us.to_le_bytes());
        head[16..24].copy_from_slice(&self.generation.to_le_bytes());
        head[24..28].copy_from_slice(&self.slot.to_le_bytes());
        head[28..32].copy_from_slice(&self.pid.to_le_bytes());
        head[32] = match self.stream {
            Stream::Stdout => 0,
            Stream::Stderr => 1,
            Stream::Shim => 2,
        };
        head[33] =
            if self.partial { FLAG_PARTIAL } else { 0 } | if self.gap { FLAG_GAP } else { 0 };
        head[34..36].copy_from_slice(&release.to_le_bytes());
        let checksum = record_checksum(&head, self.bytes);
        head[4..8].copy_from_slice(&checksum.to_le_bytes());
        head
    }

    /// Reads the record at the beginning of `bytes`, and which of `releases` names it has.
    pub(crate) fn parse(bytes: &'a [u8], releases: usize) -> Parsed<(Self, usize)> {
        let Some((head, rest)) = bytes.split_first_chunk::<RECORD_HEAD_BYTES>() else {
            return Parsed::Incomplete;
        };
        let length = u32_at(head, 0) as usize;
        if length > MAX_LINE_BYTES {
            return Parsed::Damaged("a record has an impossible length");
        }
        let Some(text) = rest.get(..length) else { return Parsed::Incomplete };
        if record_checksum(head, text) != u32_at(head, 4) {
            return Parsed::Damaged("a record has a wrong checksum");
        }
        let stream = match head[32] {
            0 => Stream::Stdout,
            1 => Stream::Stderr,
            2 => Stream::Shim,
            _ => return Parsed::Damaged("a record has an unknown stream"),
        };
        let release = usize::from(u16_at(head, 34));
        if release >= releases {
            return Parsed::Damaged("a record has a release that its segment does not name");
        }
        let record = Self {
            time_us: u64_at(head, 8),
            generation: u64_at(head, 16),
            slot: u32_at(head, 24),
            pid: u32_at(head, 28),
            stream,
            partial: head[33] & FLAG_PARTIAL != 0,
            gap: head[33] & FLAG_GAP != 0,
            bytes: text,
        };
        Parsed::Whole((record, release), RECORD_HEAD_BYTES + length)
    }
}

fn record_checksum(head: &[u8; RECORD_HEAD_BYTES], text: &[u8]) -> u32 {
    crc32c_append(crc32c_append(crc32c(&head[..4]), &head[8..]), text)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Reads arbitrary bytes as a segment, to its end or to the first damage; for fuzzing.
///
/// Panics if what it read does not encode to the same bytes again.
#[doc(hidden)]
pub fn fuzz_segment(bytes: &[u8]) {
    let Parsed::Whole(header, mut at) = Header::parse(bytes) else { return };
    let mut again = Vec::new();
    header.encode(&mut again);
    assert_eq!(again, bytes[..at], "the header does not read back");
    while let Parsed::Whole((record, release), size) =
        Record::parse(&bytes[at..], header.releases.len())
    {
        let flags = bytes[at + 33] & !(FLAG_PARTIAL | FLAG_GAP);
        if flags == 0 {
            let head = record.encode_head(release as u16);
            assert_eq!(head, bytes[at..at + RECORD_HEAD_BYTES], "a record does not read back");
        }
        at += size;
    }
}
