//! The store that is kept nowhere: for tests and simulations.

use std::collections::BTreeMap;

use crate::transaction::Write;
use crate::{Entry, Outcome, Revision, Txn};

/// Every key and the present revision.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    entries: BTreeMap<String, Entry>,
    revision: Revision,
}

impl Memory {
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn get(&self, key: &str) -> Option<Entry> {
        self.entries.get(key).cloned()
    }

    pub(crate) fn range(&self, prefix: &str) -> Vec<Entry> {
        let from = self.entries.range(prefix.to_owned()..);
        from.take_while(|(key, _)| key.starts_with(prefix)).map(|(_, e)| e.clone()).collect()
    }

    pub(crate) fn commit(&mut self, txn: &Txn) -> Outcome {
        for (key, condition) in &txn.conditions {
            let found = self.entries.get(key);
            if !condition.holds(found) {
                return Outcome::Conflict { key: key.clone(), found: found.cloned() };
            }
        }
        let next = Revision(self.revision.0 + 1);
        let mut changed = false;
        for write in &txn.writes {
            changed |= match write {
                Write::Put { key, value } => {
                    self.put(key, value, next);
                    true
                }
                Write::Delete { key } => self.entries.remove(key).is_some(),
                Write::DeletePrefix { prefix } => {
                    let before = self.entries.len();
                    self.entries.retain(|key, _| !key.starts_with(prefix.as_str()));
                    self.entries.len() < before
                }
            };
        }
        if changed {
            self.revision = next;
        }
        Outcome::Committed(self.revision)
    }

    fn put(&mut self, key: &str, value: &[u8], revision: Revision) {
        let entry = self.entries.entry(key.to_owned()).or_insert_with(|| Entry {
            key: key.to_owned(),
            value: Vec::new(),
            create_revision: revision,
            mod_revision: revision,
            version: 0,
        });
        entry.value = value.to_vec();
        entry.mod_revision = revision;
        entry.version += 1;
    }
}
