//! What an app really executed: one line for each POST.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use crate::Report;

/// The ids that an app appended, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    ids: Vec<String>,
}

/// What comparing the ledger with the answers shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Ids that were answered with success and executed exactly once.
    pub exactly_once: usize,
    /// Ids that were executed more than once, and how often: never allowed.
    pub more_than_once: BTreeMap<String, usize>,
    /// Ids that were answered with success and never executed: never allowed.
    pub never: Vec<String>,
    /// Ids that were executed once though the client saw a failure.
    pub executed_but_failed: Vec<String>,
    /// Ids in the ledger that nobody sent: never allowed.
    pub unknown: Vec<String>,
}

impl Ledger {
    /// Reads a ledger; one that is missing is empty.
    pub fn read(path: &Path) -> Self {
        match fs::read_to_string(path) {
            Ok(text) => Self { ids: text.lines().map(str::to_owned).collect() },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            Err(error) => panic!("failed to read the ledger `{}`: {error}", path.display()),
        }
    }

    /// Returns how many requests were executed.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns whether none was executed.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Compares the ledger with every POST of some loads.
    pub fn verify<'a>(&self, reports: impl IntoIterator<Item = &'a Report>) -> Verdict {
        let mut executed: BTreeMap<&str, usize> = BTreeMap::new();
        for id in &self.ids {
            *executed.entry(id).or_default() += 1;
        }
        let mut verdict = Verdict::default();
        for (id, times) in executed.iter().filter(|(_, times)| **times > 1) {
            verdict.more_than_once.insert((*id).to_owned(), *times);
        }
        let mut sent = BTreeSet::new();
        for sample in reports.into_iter().flat_map(|report| &report.samples) {
            let Some(id) = &sample.id else { continue };
            sent.insert(id.as_str());
            match (executed.get(id.as_str()), sample.failure.is_none()) {
                (None, true) => verdict.never.push(id.clone()),
                (Some(1), true) => verdict.exactly_once += 1,
                (Some(1), false) => verdict.executed_but_failed.push(id.clone()),
                _ => {}
            }
        }
        let unknown = executed.keys().filter(|id| !sent.contains(**id));
        verdict.unknown = unknown.map(|id| (*id).to_owned()).collect();
        verdict
    }
}

impl Verdict {
    /// Panics unless every POST that was answered was executed exactly once, and no other more
    /// often.
    #[track_caller]
    pub fn assert_exactly_once(&self) {
        let good =
            self.more_than_once.is_empty() && self.never.is_empty() && self.unknown.is_empty();
        assert!(good, "{self}");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} executed exactly once", self.exactly_once)?;
        writeln!(f, "executed more than once: {:?}", self.more_than_once)?;
        writeln!(f, "answered but never executed: {:?}", self.never)?;
        writeln!(f, "executed once but failed for the client: {:?}", self.executed_but_failed)?;
        write!(f, "executed but never sent: {:?}", self.unknown)
    }
}
