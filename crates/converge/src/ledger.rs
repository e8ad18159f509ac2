//! What was made on this machine, and for which recipes: the file `ledger.json`.
//!
//! One entry for each resource that was ever changed here and is still declared, with its kind's
//! record of what was made; and the notifications that are still owed. What was found in place has
//! no entry, which is why it is never undone.
//!
//! # Format and durability
//!
//! JSON with a `version`; written whole, synced and renamed. `sequence` is the number of the last
//! journal record that is in it: records of the journal up to that one are passed
//! over, so that a crash between writing the ledger and emptying the journal repeats nothing. A file
//! that cannot be read is an error and is left alone: without it nothing could be undone any more.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::path::Path;

use disk::DiskError;
use resource::{RecipeName, ResourceId, ResourceList, Thing, Timing};
use serde::{Deserialize, Serialize};

use crate::journal::Entry as JournalEntry;
use crate::kind::Record;
use crate::kinds;

const VERSION: u32 = 1;
/// Largest ledger that is read; the records of 100,000 resources are a fifth of it.
const MAX_LEDGER_BYTES: u64 = 256 << 20;

/// Everything that was made and is owed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    pub(crate) sequence: u64,
    pub(crate) made: BTreeMap<ResourceId, Made>,
    pub(crate) owed: Vec<Owed>,
}

/// What was made of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Which resource.
    pub id: ResourceId,
    /// The recipes that declare it.
    pub owners: Vec<RecipeName>,
    /// What its kind made; its shape is the kind's.
    pub record: Record,
    /// Resources that come after it when everything is taken back.
    pub needs: Vec<ResourceId>,
    /// What it provides: whoever provides the same later takes its record over.
    pub provides: Vec<Thing>,
    /// When it was last changed, in milliseconds since 1970.
    pub changed_at_ms: u64,
}

/// A notification whose target has not acted yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// Who changed.
    pub cause: ResourceId,
    /// Who has to act.
    pub target: ResourceId,
    /// What it has to do.
    pub action: String,
    /// When it should have.
    pub timing: Timing,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// The journal record that announced it.
    pub(crate) sequence: u64,
    /// How often that was begun without a known end.
    #[serde(default)]
    pub tries: u32,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    sequence: u64,
    made: Vec<Made>,
    owed: Vec<Owed>,
}

/// Why there is no ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It is no ledger.
    #[error("`{path}` is no ledger")]
    Malformed {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It is of a later version.
    #[error("`{path}` has version {found}; this program knows version {VERSION}")]
    Version {
        /// Which file.
        path: String,
        /// What it says.
        found: u32,
    },
}

impl Ledger {
    /// Reads a ledger; a missing one is empty.
    pub(crate) fn read(path: &Path) -> Result<Self, LedgerError> {
        let bytes = match disk::read_limited(path, MAX_LEDGER_BYTES) {
            Err(error) if error.is_not_found() => return Ok(Self::default()),
            other => other?,
        };
        Self::parse(&bytes, path)
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self, LedgerError> {
        let path = path.display().to_string();
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let version = serde_json::from_slice::<Version>(bytes).map(|file| file.version);
        if let Ok(found) = version
            && found != VERSION
        {
            return Err(LedgerError::Version { path, found });
        }
        let file: File = serde_json::from_slice(bytes)
            .map_err(|source| LedgerError::Malformed { path, source })?;
        let made = file.made.into_iter().map(|made| (made.id.clone(), made)).collect();
        Ok(Self { sequence: file.sequence, made, owed: file.owed })
    }

    /// Writes it, durably.
    pub(crate) fn write(&self, path: &Path) -> Result<(), DiskError> {
        disk::write_atomically(path, &self.bytes(), 0o600)
    }

    fn bytes(&self) -> Vec<u8> {
        let file = File {
            version: VERSION,
            sequence: self.sequence,
            made: self.made.values().cloned().collect(),
            owed: self.owed.clone(),
        };
        // Every value in it has a JSON form.
        serde_json::to_vec_pretty(&file).unwrap_or_default()
    }

    /// Takes in what a journal entry says; the same for a live run and for a repeated reading.
    pub(crate) fn take(&mut self, sequence: u64, entry: JournalEntry) {
        if sequence <= self.sequence {
            return;
        }
        self.sequence = sequence;
        match entry {
            JournalEntry::Intent { made, owed } => {
                self.made.insert(made.id.clone(), *made);
                self.owed.extend(owed.into_iter().map(|owed| Owed { sequence, ..owed }));
            }
            JournalEntry::Withdrawn { id, previous, intent } => {
                match previous {
                    Some(previous) => self.made.insert(id.clone(), *previous),
                    None => self.made.remove(&id),
                };
                self.owed.retain(|owed| owed.sequence != intent);
            }
            JournalEntry::Undone { id } => {
                self.made.remove(&id);
            }
            JournalEntry::Delivering { target, action } => {
                for owed in self.owed.iter_mut().filter(|owed| owed.target == target) {
                    owed.tries += u32::from(owed.action == action);
                }
            }
            JournalEntry::Delivered { target, cause } => self.owed.retain(|owed| {
                owed.target != target || cause.as_ref().is_some_and(|cause| owed.cause != *cause)
            }),
            JournalEntry::Done { .. } | JournalEntry::Undoing { .. } | JournalEntry::Unknown => {}
        }
    }

    /// Returns every text in the records: the names of kept files are among them.
    pub(crate) fn texts(&self) -> BTreeSet<&str> {
        let mut left: Vec<&Record> = self.made.values().map(|made| &made.record).collect();
        let mut texts = BTreeSet::new();
        while let Some(value) = left.pop() {
            match value {
                Record::String(text) => {
                    texts.insert(text.as_str());
                }
                Record::Array(items) => left.extend(items),
                Record::Object(members) => left.extend(members.values()),
                _ => {}
            }
        }
        texts
    }

    /// Returns what was made, in the order of ids.
    pub fn made(&self) -> impl Iterator<Item = &Made> {
        self.made.values()
    }

    /// Returns the notifications that are owed.
    pub fn owed(&self) -> &[Owed] {
        &self.owed
    }

    /// Returns what nobody declares any more, in the order in which it is taken back: whatever needs
    /// something else before that; else the last changed first.
    pub(crate) fn leaving(&self, list: &ResourceList) -> Vec<&Made> {
        let declared: BTreeSet<&ResourceId> =
            list.entries().iter().map(|entry| &entry.declaration.id).collect();
        let mut left: Vec<&Made> =
            self.made.values().filter(|made| !declared.contains(&made.id)).collect();
        left.sort_by_key(|made| Reverse(made.changed_at_ms));
        let index: HashMap<&ResourceId, usize> =
            left.iter().enumerate().map(|(at, made)| (&made.id, at)).collect();
        let needs = |at: usize| left[at].needs.iter().filter_map(|id| index.get(id).copied());
        let mut needed_by = vec![0_usize; left.len()];
        (0..left.len()).flat_map(needs).for_each(|need| needed_by[need] += 1);
        let free = (0..left.len()).filter(|at| needed_by[*at] == 0).map(Reverse);
        let mut next: BinaryHeap<Reverse<usize>> = free.collect();
        let mut order = Vec::with_capacity(left.len());
        while let Some(Reverse(at)) = next.pop() {
            order.push(at);
            for need in needs(at) {
                needed_by[need] -= 1;
                if needed_by[need] == 0 {
                    next.push(Reverse(need));
                }
            }
        }
        // A circle, which no list has: a ledger that somebody edited. In any order, then.
        order.extend((0..left.len()).filter(|at| needed_by[*at] > 0));
        order.into_iter().map(|at| left[at]).collect()
    }

    /// Returns who provides what in a list: such a resource takes over what a leaving one of the same
    /// format made there. (One of another format does not: what the leaving one made is taken back
    /// first, and it finds what was there before.)
    pub(crate) fn heirs(list: &ResourceList) -> HashMap<(&'static str, Thing), ResourceId> {
        let provided = |entry: &resource::Entry| {
            let id = entry.declaration.id.clone();
            let kind = kinds::find(&id.kind);
            let provides = kind.map(|kind| (kind.schema.relations)(&entry.declaration).provides);
            let records = kind.map_or("", |kind| kind.records);
            let things = provides.unwrap_or_default().into_iter();
            things.map(move |thing| ((records, thing), id.clone())).collect::<Vec<_>>()
        };
        list.entries().iter().flat_map(provided).collect()
    }

    /// Gives what a leaving resource made to its heir, or forgets it if that has a record of its own.
    pub(crate) fn hand_over(&mut self, from: &ResourceId, to: &ResourceId) {
        let Some(mut made) = self.made.remove(from) else { return };
        if !self.made.contains_key(to) {
            made.id = to.clone();
            self.made.insert(to.clone(), made);
        }
    }
}

/// Parses any bytes; what is read is written as it was.
#[doc(hidden)]
pub fn fuzz_ledger(bytes: &[u8]) {
    if let Ok(ledger) = Ledger::parse(bytes, Path::new("ledger")) {
        let again = Ledger::parse(&ledger.bytes(), Path::new("ledger"));
        assert!(again.is_ok_and(|again| again == ledger));
    }
}
