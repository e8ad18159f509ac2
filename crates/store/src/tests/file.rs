//! Versions, damage, and who may open a file.

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use report::{Failure, Kind};

use super::in_file;
use crate::schema::MIGRATIONS;
use crate::{Revision, Store, StoreError};

const V2: &[&str] = &[MIGRATIONS[0], "ALTER TABLE entry ADD COLUMN note TEXT"];

fn files(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let (store, home) = in_file();
    store.put("a", "1").unwrap();
    drop(store);
    let store = Store::open(&home.path().join("store.db")).unwrap();
    assert_eq!(store.get("a").unwrap().unwrap().value, b"1");
    assert_eq!(store.revision().unwrap(), Revision(1));
}

#[test]
fn every_file_is_for_its_owner_alone() {
    let (store, home) = in_file();
    store.put("a", "1").unwrap();
    for name in files(home.path()) {
        let mode = home.path().join(&name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
    }
}

#[test]
fn a_second_opener_is_refused_and_the_first_goes_on() {
    let (store, home) = in_file();
    let error = Store::open(&home.path().join("store.db")).unwrap_err();
    assert!(matches!(error, StoreError::InUse(_)), "{error:?}");
    assert_eq!(Failure::from(error).kind, Kind::Locked);
    store.put("a", "1").unwrap();
}

#[test]
fn an_older_file_is_copied_and_then_migrated() {
    let (store, home) = in_file();
    let path = home.path().join("store.db");
    store.put("a", "1").unwrap();
    drop(store);
    let store = Store::open_with(&path, V2).unwrap();
    assert_eq!(store.get("a").unwrap().unwrap().value, b"1");
    store.put("a", "2").unwrap();
    drop(store);

    let copy = home.path().join("store.db.before-v2");
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let before = Store::open(&copy).unwrap();
    assert_eq!(before.get("a").unwrap().unwrap().value, b"1");
    drop(before);

    // And this build, which knows version 1 only, refuses what the newer one made.
    let bytes = std::fs::read(&path).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 2, known: 1, .. }), "{error:?}");
    let failure = Failure::from(error);
    assert_eq!(failure.kind, Kind::Usage);
    assert!(failure.hints[0].contains("store.db.before-v2"), "{failure}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "a refused file is not touched");
}

#[test]
fn a_migration_that_fails_changes_nothing() {
    let (store, home) = in_file();
    let path = home.path().join("store.db");
    store.put("a", "1").unwrap();
    drop(store);
    let broken = [MIGRATIONS[0], "ALTER TABLE entry ADD COLUMN note TEXT; SELECT nonsense"];
    for _ in 0..2 {
        let error = Store::open_with(&path, &broken).unwrap_err();
        assert!(error.to_string().starts_with("failed to migrate"), "{error}");
    }
    let store = Store::open(&path).unwrap();
    assert_eq!(store.get("a").unwrap().unwrap().value, b"1");
}

#[test]
fn what_is_not_a_store_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.db");
    std::fs::write(&path, "not a database, but long enough to look at").unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Damaged { .. })));

    std::fs::remove_file(&path).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
    drop(other);
    assert!(matches!(Store::open(&path), Err(StoreError::Foreign(_))));

    let missing = home.path().join("no/store.db");
    let error = Store::open(&missing).unwrap_err();
    assert!(matches!(error, StoreError::Disk(_)), "{error:?}");
}

#[test]
fn damage_is_found_when_the_file_is_opened() {
    let (store, home) = in_file();
    let path = home.path().join("store.db");
    for number in 0..200 {
        store.put(&format!("key/{number}"), vec![b'v'; 100]).unwrap();
    }
    drop(store);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    assert!(pages > 4);
    file.write_all_at(&[0xAA; 4096], (pages - 2) * 4096).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
}
