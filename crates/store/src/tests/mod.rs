//! One suite for both backings, and what only a file can do.

mod bounds;
mod conformance;
mod crash;
mod file;
mod model;

use tempfile::TempDir;

use crate::Store;

/// Returns an empty store in a file, and its directory.
fn in_file() -> (Store, TempDir) {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(&home.path().join("store.db")).unwrap();
    (store, home)
}

/// Runs a test on both backings.
fn both(test: impl Fn(&Store)) {
    test(&Store::in_memory());
    let (store, _home) = in_file();
    test(&store);
}
