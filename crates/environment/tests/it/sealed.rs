//! Versions in a real store file, and what that file tells without the key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use environment::operator::{self, Change, Difference, Head};
use environment::{Key, Variables, VariablesError, generated};
use report::{Failure, Secret};
use store::{Store, Txn};

use crate::shop;

const WHO: (&str, &str) = ("ada", "2026-01-02T03:04:05Z");

fn set(name: &str, value: &str) -> Change {
    Change { name: name.to_owned(), value: Some(Secret::new(value)) }
}

fn unset(name: &str) -> Change {
    Change { name: name.to_owned(), value: None }
}

fn key(directory: &Path) -> Key {
    Key::open_or_create(&directory.join("key")).unwrap()
}

fn make_current(store: &Store, version: u64) {
    let txn = operator::make_current(Txn::new(), store, "shop", version).unwrap();
    assert!(store.commit(&txn).unwrap().committed().is_some());
}

fn value<'a>(variables: &'a Variables, name: &str) -> Option<&'a str> {
    variables.get(name).map(|variable| variable.value.reveal())
}

#[test]
fn versions_are_whole_and_a_rollback_finds_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let (store, key) = (Store::in_memory(), key(directory.path()));
    let draft = |base, changes: &[Change]| {
        operator::draft(&store, &key, "shop", base, changes, WHO).unwrap()
    };

    let first = draft(0, &[set("A", "1"), set("B", "1")]);
    assert_eq!(first.version, 1);
    // A draft is nobody's current version until its deploy says so.
    assert_eq!(operator::head(&store, "shop").unwrap(), Head { current: 0, last: 1 });
    make_current(&store, 1);

    let second = draft(1, &[set("A", "2"), unset("B"), set("C", "1")]);
    let differences = BTreeMap::from([
        ("A".to_owned(), Difference::Changed),
        ("B".to_owned(), Difference::Removed),
        ("C".to_owned(), Difference::Added),
    ]);
    assert_eq!(second.differences, differences);
    make_current(&store, 2);

    let old = operator::read(&store, &key, "shop", 1).unwrap();
    assert_eq!(
        (value(&old, "A"), value(&old, "B"), value(&old, "C")),
        (Some("1"), Some("1"), None)
    );

    // After a rollback the next change starts from the old version and gets a new number.
    make_current(&store, 1);
    let third = draft(1, &[set("D", "1")]);
    assert_eq!(third.version, 3);
    assert_eq!(value(&third.variables, "B"), Some("1"));
    assert_eq!(operator::read(&store, &key, "shop", 3).unwrap(), third.variables);

    let same = draft(3, &[set("D", "1"), unset("NEVER_SET")]);
    assert_eq!((same.version, same.differences.len()), (3, 0));
    assert_eq!(operator::head(&store, "shop").unwrap(), Head { current: 1, last: 3 });
}

#[test]
fn a_value_that_stays_keeps_who_set_it() {
    let variables = Variables::default().with(&[set("A", "1")], "ada", "t1").unwrap();
    let variables = variables.with(&[set("A", "1"), set("B", "1")], "bob", "t2").unwrap();
    assert_eq!(variables.get("A").unwrap().who, "ada");
    assert_eq!(variables.get("B").unwrap().who, "bob");
    let variables = variables.with(&[set("A", "2")], "bob", "t3").unwrap();
    assert_eq!(variables.get("A").unwrap().at, "t3");
}

#[test]
fn pruning_keeps_what_releases_name_and_never_gives_a_number_twice() {
    let directory = tempfile::tempdir().unwrap();
    let (store, key) = (Store::in_memory(), key(directory.path()));
    for version in 1..=5 {
        let change = set("A", &version.to_string());
        let draft = operator::draft(&store, &key, "shop", version - 1, &[change], WHO).unwrap();
        assert_eq!(draft.version, version);
    }
    make_current(&store, 4);
    let pruned = operator::prune(&store, "shop", &BTreeSet::from([0, 2])).unwrap();
    // What is newer than everything in use is a draft that somebody waits for.
    assert_eq!(pruned, [1, 3]);
    for kept in [2, 4, 5] {
        assert!(operator::read(&store, &key, "shop", kept).is_ok());
    }

    let next = operator::draft(&store, &key, "shop", 4, &[set("A", "x")], WHO).unwrap();
    assert_eq!(next.version, 6);
    make_current(&store, 6);
    let pruned = operator::prune(&store, "shop", &BTreeSet::from([4, 6])).unwrap();
    assert_eq!(pruned, [2, 5]);
    let error = operator::read(&store, &key, "shop", 5).unwrap_err();
    assert_eq!(error.to_string(), "shop has no variables of version 5");
    // What was pruned cannot become current.
    let txn = operator::make_current(Txn::new(), &store, "shop", 5).unwrap();
    assert!(store.commit(&txn).unwrap().committed().is_none());
}

#[test]
fn refused_changes_write_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (store, key) = (Store::in_memory(), key(directory.path()));
    let draft =
        |changes: &[Change]| operator::draft(&store, &key, "shop", 0, changes, WHO).unwrap_err();
    let text = Failure::from(draft(&[set("A", "1"), set("SKEP_APP", "x")])).to_string();
    assert!(text.contains("failed to set `SKEP_APP`"), "{text}");
    let large = "x".repeat(100 * 1024);
    let error = draft(&[set("A", &large), set("B", &large), set("C", &large)]);
    assert!(matches!(error, VariablesError::TooLarge { .. }));
    assert_eq!(operator::head(&store, "shop").unwrap(), Head::default());
}

#[test]
fn the_store_file_tells_neither_values_nor_names() {
    let directory = tempfile::tempdir().unwrap();
    let key = key(directory.path());
    let path = directory.path().join("store.db");
    let mut app = shop::app();
    app.env.entry("SESSION_SIGNER".into()).or_default().generate_bytes = Some(32);
    let drawn = {
        let store = Store::open(&path).unwrap();
        let change = set("STRIPE_CREDENTIAL", "sk_live_4242424242");
        operator::draft(&store, &key, "shop", 0, &[change], WHO).unwrap();
        let drawn = generated::ensure(&store, &key, &app, "t").unwrap();
        drawn["SESSION_SIGNER"].value.reveal().to_owned()
    };
    assert_eq!(drawn.len(), 64);
    let hidden =
        ["sk_live_4242424242", "STRIPE_CREDENTIAL", "SESSION_SIGNER", "AGE-SECRET-KEY", &drawn];
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let file = entry.unwrap().path();
        if file.file_name().unwrap() == "key" {
            continue;
        }
        let bytes = std::fs::read(&file).unwrap();
        for text in hidden {
            let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!found, "{} contains {text}", file.display());
        }
    }
    let store = Store::open(&path).unwrap();
    let variables = operator::read(&store, &key, "shop", 1).unwrap();
    assert_eq!(value(&variables, "STRIPE_CREDENTIAL"), Some("sk_live_4242424242"));
}

#[test]
fn another_key_is_told_apart_from_damage() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::in_memory();
    let ours = key(directory.path());
    operator::draft(&store, &ours, "shop", 0, &[set("A", "1")], WHO).unwrap();
    let other = Key::open_or_create(&directory.path().join("other")).unwrap();
    let error = operator::read(&store, &other, "shop", 1).unwrap_err();
    let failure = Failure::from(error);
    let path = directory.path().join("other");
    assert_eq!(
        failure.message,
        format!(
            "version 1 of the variables of shop was sealed with another key than the one in `{}`",
            path.display()
        )
    );
    assert_eq!(failure.hints.len(), 1);
}

#[test]
fn generated_values_are_drawn_once_and_stay() {
    let directory = tempfile::tempdir().unwrap();
    let (store, key) = (Store::in_memory(), key(directory.path()));
    let mut app = shop::app();
    app.env.entry("SECRET_KEY".into()).or_default().generate_bytes = Some(16);
    let first = generated::ensure(&store, &key, &app, "t1").unwrap();
    let revision = store.revision().unwrap();
    assert_eq!(generated::ensure(&store, &key, &app, "t2").unwrap(), first);
    assert_eq!(store.revision().unwrap(), revision, "nothing new was written");

    // A release that no longer declares it does not take it away from the one before.
    let declared = app.env.remove("SECRET_KEY").unwrap();
    app.env.insert("OTHER".into(), declared);
    let second = generated::ensure(&store, &key, &app, "t3").unwrap();
    assert_eq!(second["SECRET_KEY"], first["SECRET_KEY"]);
    assert_eq!(second["SECRET_KEY"].at, "t1");
    assert_ne!(second["OTHER"].value, first["SECRET_KEY"].value);
    assert_eq!(generated::read(&store, &key, "shop").unwrap(), second);
    assert_eq!(generated::read(&store, &key, "blog").unwrap(), BTreeMap::new());
}
