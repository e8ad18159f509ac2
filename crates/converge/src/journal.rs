//! What a run is about to do, before it does it: the file `journal`.
//!
//! Only the holder of `converge.lock` opens it. An [`Entry::Intent`] is durable before the change
//! that it announces, with the record of what will have been made and with the notifications that
//! the change will owe; so a run that is killed anywhere neither forgets what it made nor loses a
//! restart. The other entries are written without waiting for the disk: if the machine loses power
//! they may be missing, which only means that a step is looked at again.
//!
//! # Format
//!
//! | header | bytes | | record | bytes | |
//! |---|---|---|---|---|---|
//! | magic | 8 | `skepconv` | length | 4 | little-endian, of the text, at most [`MAX_RECORD_BYTES`] |
//! | version | 4 | little-endian, 1 | checksum | 4 | little-endian, CRC-32C of sequence and text |
//! | | | | sequence | 8 | little-endian, rising |
//! | | | | text | length | JSON of an [`Entry`] |
//!
//! # Recovery
//!
//! Reading ends at the first record that is cut off, has a wrong checksum or does not rise: a run
//! that was killed in the middle of a write, whose change therefore did not happen. A whole record
//! that makes no sense is an error: somebody else wrote it, and what it says must not be lost. What is read is
//! taken into the ledger, the ledger is written, and only then is the journal emptied.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use disk::{DiskError, PathContext};
use resource::ResourceId;
use serde::{Deserialize, Serialize};

use crate::ledger::{Made, Owed};

const MAGIC: &[u8; 8] = b"skepconv";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = MAGIC.len() + 4;
const PREFIX_BYTES: usize = 4 + 4 + 8;

/// Longest text of a record: a resource that notifies a thousand others is far below.
const MAX_RECORD_BYTES: usize = 4 << 20;
/// Most of a file that is read: a run of the most resources writes a tenth of it.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub(crate) enum Entry {
    /// A change will be made.
    Intent { made: Box<Made>, owed: Vec<Owed> },
    /// It was made and looked at again.
    Done { id: ResourceId },
    /// It failed before anything was different.
    Withdrawn { id: ResourceId, previous: Option<Box<Made>>, intent: u64 },
    /// What was made will be taken back.
    Undoing { id: ResourceId },
    /// It was.
    Undone { id: ResourceId },
    /// A notified resource will act.
    Delivering { target: ResourceId, action: String },
    /// It did, for one cause or for all.
    Delivered { target: ResourceId, cause: Option<ResourceId> },
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

/// Whether a record must be on the disk before anything else happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durable {
    Yes,
    No,
}

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    /// Absent until there is something to write: a run without changes touches no disk.
    file: Option<File>,
    size_bytes: u64,
}

impl Journal {
    /// Reads the journal of earlier runs.
    pub(crate) fn open(path: PathBuf) -> Result<(Self, Vec<(u64, Entry)>), DiskError> {
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(file) => {
                file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).context("read", &path)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(DiskError::new("open", &path, error)),
        }
        let (entries, size) = replay(&bytes).map_err(|error| {
            DiskError::new(
                "read",
                &path,
                std::io::Error::new(std::io::ErrorKind::InvalidData, error),
            )
        })?;
        Ok((Self { path, file: None, size_bytes: size as u64 }, entries))
    }

    /// Appends a record.
    pub(crate) fn append(
        &mut self,
        sequence: u64,
        entry: &Entry,
        durable: Durable,
    ) -> Result<(), DiskError> {
        let bytes = encode(sequence, entry).map_err(|error| self.failed(error.into()))?;
        let (path, size) = (self.path.clone(), self.size_bytes);
        let file = self.file()?;
        let write = file.write_all(&bytes).and_then(|()| match durable {
            Durable::Yes => file.sync_data(),
            Durable::No => Ok(()),
        });
        if let Err(error) = write {
            // A part of it must not stay: nothing would be read behind it.
            let _ = file.set_len(size).and_then(|()| file.seek(SeekFrom::End(0)));
            return Err(DiskError::new("write", &path, error));
        }
        self.size_bytes += bytes.len() as u64;
        Ok(())
    }

    fn file(&mut self) -> Result<&mut File, DiskError> {
        let open = match self.file.take() {
            Some(file) => file,
            None => self.open_for_writing().context("open", &self.path)?,
        };
        Ok(self.file.insert(open))
    }

    fn open_for_writing(&mut self) -> std::io::Result<File> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&self.path)?;
        // Behind the last whole record.
        file.set_len(self.size_bytes)?;
        file.seek(SeekFrom::End(0))?;
        if self.size_bytes == 0 {
            file.write_all(&header())?;
            self.size_bytes = HEADER_BYTES as u64;
            let above = self.path.parent().unwrap_or(Path::new("."));
            disk::sync_directory(above).map_err(|error| error.source)?;
        }
        Ok(file)
    }

    /// Returns whether there is anything in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.size_bytes <= HEADER_BYTES as u64
    }

    /// Empties it: everything is in the ledger.
    pub(crate) fn empty(&mut self) -> Result<(), DiskError> {
        self.file = None;
        self.size_bytes = 0;
        disk::remove_file(&self.path)
    }

    fn failed(&self, error: std::io::Error) -> DiskError {
        DiskError::new("write", &self.path, error)
    }
}

fn header() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes
}

fn checksum(sequence: u64, text: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&sequence.to_le_bytes()), text)
}

fn encode(sequence: u64, entry: &Entry) -> Result<Vec<u8>, serde_json::Error> {
    let text = serde_json::to_vec(entry)?;
    if text.len() > MAX_RECORD_BYTES {
        return Err(serde::ser::Error::custom("a record is too long"));
    }
    let mut bytes = Vec::with_capacity(PREFIX_BYTES + text.len());
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(checksum(sequence, &text).to_le_bytes());
    bytes.extend(sequence.to_le_bytes());
    bytes.extend(text);
    Ok(bytes)
}

/// Returns the entries and how many bytes they take.
fn replay(bytes: &[u8]) -> Result<(Vec<(u64, Entry)>, usize), serde_json::Error> {
    let mut entries = Vec::new();
    if header().starts_with(bytes) {
        // Nothing, or a header that was cut off.
        return Ok((entries, bytes.len() / HEADER_BYTES * HEADER_BYTES));
    }
    if !bytes.starts_with(&header()) {
        return Err(serde::de::Error::custom("no journal, or one of another version"));
    }
    let mut at = HEADER_BYTES;
    let mut last = 0;
    while let Some((sequence, text)) = record(&bytes[at..], last) {
        entries.push((sequence, serde_json::from_slice(text)?));
        last = sequence;
        at += PREFIX_BYTES + text.len();
    }
    Ok((entries, at))
}

fn record(bytes: &[u8], last: u64) -> Option<(u64, &[u8])> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let length = number(0)? as usize;
    let sequence = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
    if length > MAX_RECORD_BYTES || sequence <= last {
        return None;
    }
    let text = bytes.get(PREFIX_BYTES..PREFIX_BYTES + length)?;
    (number(4)? == checksum(sequence, text)).then_some((sequence, text))
}

/// Reads any bytes; what is read is written as it was.
#[doc(hidden)]
pub fn fuzz_converge_journal(bytes: &[u8]) {
    let Ok((entries, size)) = replay(bytes) else { return };
    assert!(size <= bytes.len());
    let mut again = header();
    for (sequence, entry) in &entries {
        again.extend(encode(*sequence, entry).unwrap_or_default());
    }
    assert!(replay(&again).is_ok_and(|(again, _)| again == entries));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn done(number: u64) -> Entry {
        Entry::Done { id: ResourceId::new("file", format!("/{number}")) }
    }

    #[test]
    fn a_journal_cut_anywhere_loses_its_end_only() {
        let mut bytes = header();
        let mut ends = vec![bytes.len()];
        for number in 1..4 {
            bytes.extend(encode(number, &done(number)).unwrap());
            ends.push(bytes.len());
        }
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
            assert_eq!(replay(&bytes[..cut]).unwrap().0.len(), whole, "cut at {cut}");
        }
        bytes[ends[1] + 20] ^= 1;
        assert_eq!(replay(&bytes).unwrap().0, [(1, done(1))]);
    }

    #[test]
    fn a_journal_of_another_version_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let mut bytes = header();
        bytes[MAGIC.len()] = 9;
        std::fs::write(&path, &bytes).unwrap();
        let error = Journal::open(path.clone()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn what_was_cut_off_is_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, _) = Journal::open(path.clone()).unwrap();
        assert!(!path.exists());
        journal.append(1, &done(1), Durable::Yes).unwrap();
        journal.append(2, &done(2), Durable::No).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let (mut journal, entries) = Journal::open(path.clone()).unwrap();
        assert_eq!(entries, [(1, done(1))]);
        journal.append(2, &done(3), Durable::No).unwrap();
        let (mut journal, entries) = Journal::open(path.clone()).unwrap();
        assert_eq!(entries, [(1, done(1)), (2, done(3))]);
        assert!(!journal.is_empty());
        journal.empty().unwrap();
        assert!(!path.exists());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            fuzz_converge_journal(&bytes);
        }

        #[test]
        fn any_tail_is_survived(tail in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut bytes = header();
            bytes.extend(encode(1, &done(1)).unwrap());
            bytes.extend(tail);
            fuzz_converge_journal(&bytes);
        }
    }
}
