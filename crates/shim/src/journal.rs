//! What an earlier shim of this service did: the file `journal`.
//!
//! One purpose: a new shim after a killed one finds the processes that live on, and starts none of
//! them twice. Appended to, never synced: it must outlive the shim, not the machine.
//!
//! # Format
//!
//! | header | bytes | | record | bytes | |
//! |---|---|---|---|---|---|
//! | magic | 8 | `skepshim` | length | 4 | little-endian, of the text, at most [`MAX_RECORD_BYTES`] |
//! | version | 4 | little-endian, 1 | checksum | 4 | little-endian, CRC-32C of the text |
//! | boot id | 36 | text | text | length | JSON of a [`Record`] |
//!
//! # Recovery
//!
//! A file of another version or another boot is void: no process of it can be alive, or none can
//! be trusted. Reading ends at the first record that is cut off or has a wrong checksum: a shim
//! killed in the middle of a write. The file is then written anew, as it is whenever it has grown
//! beyond [`COMPACT_BYTES`] and four times what is still true: beside it, then renamed.
//!
//! It never holds a value of an environment, or anything else of a recipe.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use control::SlotId;
use control::shim::Exit;
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"skepshim";
const VERSION: u32 = 1;
const BOOT_ID_BYTES: usize = 36;
const HEADER_BYTES: usize = MAGIC.len() + 4 + BOOT_ID_BYTES;

/// Longest text of a record; ours have some hundred bytes, most of them a cgroup's path.
const MAX_RECORD_BYTES: usize = 8 << 10;

/// A smaller file is not worth writing anew.
const COMPACT_BYTES: u64 = 64 << 10;

/// Most of a file that is read; compaction keeps ours far below.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Most slots that are remembered; beyond, the oldest that have ended are forgotten.
const MAX_PAST: usize = 1024;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(crate) enum Record {
    /// A process was started.
    Started {
        slot: SlotId,
        #[serde(flatten)]
        start: StartRecord,
    },
    /// It said `READY=1`.
    Ready { slot: SlotId },
    /// Its main process ended.
    Exited { slot: SlotId, exit: Exit },
    /// The slot was asked to stop.
    Stopping { slot: SlotId },
    /// The slot was forgotten.
    Removed { slot: SlotId },
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

/// How to recognise a started process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StartRecord {
    /// The how manyth start of the slot.
    pub(crate) number: u64,
    pub(crate) pid: u32,
    pub(crate) start_ticks: u64,
    /// Wall clock in milliseconds.
    pub(crate) started_at_ms: u64,
    /// Its cgroup leaf; absent: a session.
    #[serde(default)]
    pub(crate) cgroup: Option<PathBuf>,
}

/// What is true of one slot after all records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Past {
    /// The last start.
    pub(crate) start: Option<StartRecord>,
    pub(crate) ready: bool,
    pub(crate) exit: Option<Exit>,
    pub(crate) stopping: bool,
}

impl Past {
    /// Returns whether its last process may live on.
    fn may_live(&self) -> bool {
        self.start.is_some() && self.exit.is_none()
    }

    fn records(&self, slot: SlotId) -> Vec<Record> {
        let mut records = Vec::new();
        records.extend(self.start.clone().map(|start| Record::Started { slot, start }));
        if self.ready {
            records.push(Record::Ready { slot });
        }
        if self.stopping {
            records.push(Record::Stopping { slot });
        }
        records.extend(self.exit.map(|exit| Record::Exited { slot, exit }));
        records
    }
}

type State = BTreeMap<SlotId, Past>;

fn apply(state: &mut State, record: Record) {
    match record {
        Record::Started { slot, start } => {
            state.insert(slot, Past { start: Some(start), ..Past::default() });
        }
        Record::Ready { slot } => state.entry(slot).or_default().ready = true,
        Record::Exited { slot, exit } => state.entry(slot).or_default().exit = Some(exit),
        Record::Stopping { slot } => state.entry(slot).or_default().stopping = true,
        Record::Removed { slot } => {
            state.remove(&slot);
        }
        Record::Unknown => {}
    }
    while state.len() > MAX_PAST {
        let Some(oldest) = state.iter().find(|(_, past)| !past.may_live()).map(|(slot, _)| *slot)
        else {
            return;
        };
        state.remove(&oldest);
    }
}

/// The journal of one service.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    boot_id: String,
    state: State,
    file: Option<File>,
    size_bytes: u64,
    /// Size after the last rewriting.
    compact_bytes: u64,
}

impl Journal {
    /// Reads the journal in `directory` and writes it anew.
    ///
    /// A journal that cannot be written does not keep a shim from working: see [`Journal::retry`].
    pub(crate) fn open(directory: &Path, boot_id: &str) -> (Self, io::Result<()>) {
        let path = directory.join("journal");
        let mut bytes = Vec::new();
        let read = File::open(&path)
            .and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map(drop))
            .or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            });
        let state = replay(&bytes, boot_id);
        let mut journal = Self {
            path,
            boot_id: boot_id.to_owned(),
            state,
            file: None,
            size_bytes: 0,
            compact_bytes: 0,
        };
        let written = journal.rewrite();
        (journal, read.and(written))
    }

    /// Returns what is known of a slot.
    pub(crate) fn past(&self, slot: SlotId) -> Option<&Past> {
        self.state.get(&slot)
    }

    /// Returns the slots whose last process may live on.
    pub(crate) fn living(&self) -> impl Iterator<Item = (SlotId, &StartRecord)> {
        self.state
            .iter()
            .filter(|(_, past)| past.may_live())
            .filter_map(|(slot, past)| Some((*slot, past.start.as_ref()?)))
    }

    /// Records what happened. It is remembered in any case; an error says that the file lacks it.
    pub(crate) fn append(&mut self, record: Record) -> io::Result<()> {
        let bytes = encode(&record)?;
        apply(&mut self.state, record);
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let limit = COMPACT_BYTES.max(4 * self.compact_bytes);
        let Some(file) = self.file.as_mut().filter(|_| self.size_bytes < limit) else {
            return self.rewrite();
        };
        match file.write_all(bytes) {
            Ok(()) => {
                self.size_bytes += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                // A part may be there: only writing it anew makes it whole.
                self.file = None;
                Err(error)
            }
        }
    }

    /// Returns whether the file lacks something; then [`Journal::retry`] is to be called again.
    pub(crate) fn is_behind(&self) -> bool {
        self.file.is_none()
    }

    /// Writes the whole file anew if an earlier write failed.
    pub(crate) fn retry(&mut self) -> io::Result<()> {
        if self.is_behind() { self.rewrite() } else { Ok(()) }
    }

    fn rewrite(&mut self) -> io::Result<()> {
        self.file = None;
        let mut bytes = header(&self.boot_id);
        for (slot, past) in &self.state {
            for record in past.records(*slot) {
                bytes.extend(encode(&record)?);
            }
        }
        let beside = self.path.with_extension("new");
        let _ = fs::remove_file(&beside);
        let mut file =
            OpenOptions::new().append(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(&bytes)?;
        fs::rename(&beside, &self.path)?;
        self.size_bytes = bytes.len() as u64;
        self.compact_bytes = self.size_bytes;
        self.file = Some(file);
        Ok(())
    }
}

fn header(boot_id: &str) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(boot_id.bytes().chain(std::iter::repeat(b' ')).take(BOOT_ID_BYTES));
    bytes
}

fn encode(record: &Record) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(record)?;
    if text.len() > MAX_RECORD_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a record is too long"));
    }
    let mut bytes = Vec::with_capacity(8 + text.len());
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(crc32c::crc32c(&text).to_le_bytes());
    bytes.extend(text);
    Ok(bytes)
}

fn replay(bytes: &[u8], boot_id: &str) -> State {
    let mut state = State::new();
    if bytes.get(..HEADER_BYTES) != Some(&header(boot_id)[..]) {
        return state;
    }
    let mut rest = &bytes[HEADER_BYTES..];
    while let Some((record, size)) = parse(rest) {
        rest = &rest[size..];
        apply(&mut state, record);
    }
    state
}

fn parse(bytes: &[u8]) -> Option<(Record, usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_RECORD_BYTES {
        return None;
    }
    let text = rest.get(..length)?;
    if crc32c::crc32c(text) != u32::from_le_bytes(*checksum) {
        return None;
    }
    Some((serde_json::from_slice(text).ok()?, 8 + length))
}

/// Reads arbitrary bytes as a journal, with and without a good header; for fuzzing.
#[doc(hidden)]
pub fn fuzz_journal(bytes: &[u8]) {
    let boot_id = "0".repeat(BOOT_ID_BYTES);
    replay(bytes, &boot_id);
    let mut whole = header(&boot_id);
    whole.extend_from_slice(bytes);
    let state = replay(&whole, &boot_id);
    let mut again = header(&boot_id);
    for (slot, past) in &state {
        again.extend(past.records(*slot).iter().filter_map(|record| encode(record).ok()).flatten());
    }
    assert_eq!(replay(&again, &boot_id), state, "the state does not read back");
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::shim::ExitStatus;
    use proptest::prelude::*;

    const BOOT: &str = "01234567-89ab-cdef-0123-456789abcdef";

    fn started(number: u32, pid: u32) -> Record {
        Record::Started {
            slot: SlotId::new(1, number),
            start: StartRecord {
                number: 3,
                pid,
                start_ticks: 99,
                started_at_ms: 5,
                cgroup: Some("/cg/g1.0.3".into()),
            },
        }
    }

    fn exited(number: u32) -> Record {
        let exit =
            Exit { pid: 7, status: ExitStatus::Code(1), at_ms: 1, lived_ms: 2, requested: false };
        Record::Exited { slot: SlotId::new(1, number), exit }
    }

    #[test]
    fn what_was_recorded_is_read_back_in_the_same_boot_only() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, written) = Journal::open(directory.path(), BOOT);
        written.unwrap();
        for record in [started(0, 10), started(1, 11), exited(1), started(2, 12)] {
            journal.append(record).unwrap();
        }
        journal.append(Record::Ready { slot: SlotId::new(1, 0) }).unwrap();
        journal.append(Record::Removed { slot: SlotId::new(1, 2) }).unwrap();
        let before = journal.state.clone();
        let (again, _) = Journal::open(directory.path(), BOOT);
        assert_eq!(again.state, before);
        let living: Vec<_> = again.living().map(|(slot, start)| (slot, start.pid)).collect();
        assert_eq!(living, [(SlotId::new(1, 0), 10)]);
        assert!(again.past(SlotId::new(1, 0)).unwrap().ready);
        let (other, _) = Journal::open(directory.path(), &BOOT.replace('f', "e"));
        assert!(other.state.is_empty());
    }

    #[test]
    fn a_journal_cut_anywhere_loses_its_end_only() {
        let mut bytes = header(BOOT);
        let mut ends = vec![bytes.len()];
        for pid in 0..3 {
            bytes.extend(encode(&started(pid, pid)).unwrap());
            ends.push(bytes.len());
        }
        for cut in 0..=bytes.len() {
            let expected = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
            assert_eq!(replay(&bytes[..cut], BOOT).len(), expected, "cut at {cut}");
        }
        bytes[ends[1] + 20] ^= 1;
        assert_eq!(replay(&bytes, BOOT).len(), 1);
    }

    #[test]
    fn it_stays_small_and_forgets_the_oldest_dead() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(directory.path(), BOOT);
        for _ in 0..2000 {
            journal.append(started(0, 1)).unwrap();
        }
        let size = fs::metadata(directory.path().join("journal")).unwrap().len();
        assert!(size < 2 * COMPACT_BYTES, "{size}");
        for number in 0..2000 {
            journal.append(exited(number)).unwrap();
        }
        assert_eq!(journal.state.len(), MAX_PAST);
    }

    #[test]
    fn what_could_not_be_written_is_written_later() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("gone");
        let (mut journal, written) = Journal::open(&home, BOOT);
        assert!(written.is_err() && journal.is_behind());
        assert!(journal.append(started(0, 1)).is_err());
        fs::create_dir(&home).unwrap();
        journal.retry().unwrap();
        assert!(!journal.is_behind());
        assert_eq!(Journal::open(&home, BOOT).0.state.len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            fuzz_journal(&bytes);
        }
    }
}
