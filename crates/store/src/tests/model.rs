//! Random transactions against a model that keeps the whole history and derives everything.

use proptest::prelude::*;

use super::in_file;
use crate::{Entry, Outcome, Revision, Store, StoreError, Txn};

const KEYS: [&str; 5] = ["a", "a/1", "a/2", "b", "b/1"];

#[derive(Debug, Clone)]
enum Check {
    Absent(usize),
    Exists(usize),
    Unchanged(usize, u64),
    Version(usize, u64),
    Value(usize, u8),
}

#[derive(Debug, Clone)]
enum Change {
    Put(usize, u8),
    Delete(usize),
    DeletePrefix(usize),
}

type Step = (Vec<Check>, Vec<Change>);

/// Every write that ever happened: revision, key, value or deleted.
#[derive(Default)]
struct Model {
    history: Vec<(u64, &'static str, Option<u8>)>,
}

impl Model {
    fn revision(&self) -> u64 {
        self.history.last().map_or(0, |(revision, ..)| *revision)
    }

    fn entry(&self, key: &str) -> Option<Entry> {
        let mut life = Vec::new();
        for (revision, _, value) in self.history.iter().filter(|(_, k, _)| *k == key) {
            match value {
                Some(value) => life.push((*revision, *value)),
                None => life.clear(),
            }
        }
        let (last, value) = *life.last()?;
        Some(Entry {
            key: key.to_owned(),
            value: vec![value],
            create_revision: Revision(life[0].0),
            mod_revision: Revision(last),
            version: life.len() as u64,
        })
    }

    fn entries(&self, prefix: &str) -> Vec<Entry> {
        KEYS.iter()
            .filter(|key| key.starts_with(prefix))
            .filter_map(|key| self.entry(key))
            .collect()
    }

    fn holds(&self, check: &Check) -> bool {
        match *check {
            Check::Absent(key) => self.entry(KEYS[key]).is_none(),
            Check::Exists(key) => self.entry(KEYS[key]).is_some(),
            Check::Unchanged(key, revision) => {
                self.entry(KEYS[key]).map_or(0, |entry| entry.mod_revision.0) == revision
            }
            Check::Version(key, version) => {
                self.entry(KEYS[key]).map_or(0, |entry| entry.version) == version
            }
            Check::Value(key, value) => {
                self.entry(KEYS[key]).is_some_and(|entry| entry.value == [value])
            }
        }
    }

    /// Returns the revision, or none if a check does not hold.
    fn commit(&mut self, (checks, changes): &Step) -> Option<u64> {
        if !checks.iter().all(|check| self.holds(check)) {
            return None;
        }
        let next = self.revision() + 1;
        for change in changes {
            match *change {
                Change::Put(key, value) => self.history.push((next, KEYS[key], Some(value))),
                Change::Delete(key) => self.delete(next, |k| k == KEYS[key]),
                Change::DeletePrefix(key) => self.delete(next, |k| k.starts_with(KEYS[key])),
            }
        }
        Some(self.revision())
    }

    fn delete(&mut self, revision: u64, chosen: impl Fn(&str) -> bool) {
        for key in KEYS.into_iter().filter(|key| chosen(key)) {
            if self.entry(key).is_some() {
                self.history.push((revision, key, None));
            }
        }
    }
}

fn txn((checks, changes): &Step) -> Txn {
    let txn = checks.iter().fold(Txn::new(), |txn, check| match *check {
        Check::Absent(key) => txn.if_absent(KEYS[key]),
        Check::Exists(key) => txn.if_exists(KEYS[key]),
        Check::Unchanged(key, revision) => txn.if_unchanged(KEYS[key], Revision(revision)),
        Check::Version(key, version) => txn.if_version(KEYS[key], version),
        Check::Value(key, value) => txn.if_value(KEYS[key], [value]),
    });
    changes.iter().fold(txn, |txn, change| match *change {
        Change::Put(key, value) => txn.put(KEYS[key], [value]),
        Change::Delete(key) => txn.delete(KEYS[key]),
        Change::DeletePrefix(key) => txn.delete_prefix(KEYS[key]),
    })
}

fn check() -> impl Strategy<Value = Check> {
    let key = 0..KEYS.len();
    prop_oneof![
        key.clone().prop_map(Check::Absent),
        key.clone().prop_map(Check::Exists),
        (key.clone(), 0..12_u64).prop_map(|(key, n)| Check::Unchanged(key, n)),
        (key.clone(), 0..4_u64).prop_map(|(key, n)| Check::Version(key, n)),
        (key, 0..3_u8).prop_map(|(key, n)| Check::Value(key, n)),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let key = 0..KEYS.len();
    prop_oneof![
        4 => (key.clone(), 0..3_u8).prop_map(|(key, value)| Change::Put(key, value)),
        2 => key.clone().prop_map(Change::Delete),
        1 => key.prop_map(Change::DeletePrefix),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let checks = prop_oneof![
        3 => Just(Vec::new()),
        2 => proptest::collection::vec(check(), 1..3),
    ];
    (checks, proptest::collection::vec(change(), 0..4))
}

fn agrees(store: &Store, model: &mut Model, step: &Step) -> Result<(), TestCaseError> {
    match store.commit(&txn(step)) {
        // Refused before anything happened, so in the model neither.
        Err(StoreError::WrittenTwice { .. }) => {}
        outcome => {
            let outcome = outcome.unwrap();
            let expected = model.commit(step);
            if let Outcome::Conflict { key, found } = &outcome {
                prop_assert_eq!(found, &model.entry(key));
            }
            prop_assert_eq!(outcome.committed().map(|revision| revision.0), expected);
        }
    }
    prop_assert_eq!(store.revision().unwrap().0, model.revision());
    for prefix in ["", "a", "a/", "b/"] {
        prop_assert_eq!(store.range(prefix).unwrap(), model.entries(prefix));
    }
    for key in KEYS {
        prop_assert_eq!(store.get(key).unwrap(), model.entry(key));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_does_what_the_model_does(steps in proptest::collection::vec(step(), 0..30)) {
        let (store, mut model) = (Store::in_memory(), Model::default());
        for step in &steps {
            agrees(&store, &mut model, step)?;
        }
    }
}

proptest! {
    // Each commit waits for the disk.
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_file_does_what_the_model_does(
        steps in proptest::collection::vec(step(), 0..20),
        reopen_at in 0..20_usize,
    ) {
        let (mut store, home) = in_file();
        let mut model = Model::default();
        for (number, step) in steps.iter().enumerate() {
            if number == reopen_at {
                drop(store);
                store = Store::open(&home.path().join("store.db")).unwrap();
            }
            agrees(&store, &mut model, step)?;
        }
    }
}
