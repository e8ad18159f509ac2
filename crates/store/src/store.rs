//! The store that callers see, over either of its backings.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::memory::Memory;
use crate::schema::MIGRATIONS;
use crate::sqlite::Sqlite;
use crate::transaction::check_key;
use crate::{Entry, Json, Outcome, Revision, StoreError, Txn};

/// A revisioned key-value store; see the crate's documentation for what it promises.
///
/// Shared by reference; callers take turns.
#[derive(Debug)]
pub struct Store {
    backing: Mutex<Backing>,
}

#[derive(Debug)]
enum Backing {
    Sqlite(Sqlite),
    Memory(Memory),
}

impl Store {
    /// Opens the store in a file; makes it if it is missing, migrates it if it is older.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, MIGRATIONS)
    }

    pub(crate) fn open_with(path: &Path, migrations: &[&str]) -> Result<Self, StoreError> {
        Ok(Self { backing: Mutex::new(Backing::Sqlite(Sqlite::open(path, migrations)?)) })
    }

    /// Returns an empty store that ends with its value.
    pub fn in_memory() -> Self {
        Self { backing: Mutex::new(Backing::Memory(Memory::default())) }
    }

    /// Returns the present revision; 0 before anything was written.
    pub fn revision(&self) -> Result<Revision, StoreError> {
        match &*self.backing() {
            Backing::Sqlite(sqlite) => sqlite.revision(),
            Backing::Memory(memory) => Ok(memory.revision()),
        }
    }

    /// Returns what is stored under a key.
    pub fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        check_key(key)?;
        match &*self.backing() {
            Backing::Sqlite(sqlite) => sqlite.get(key),
            Backing::Memory(memory) => Ok(memory.get(key)),
        }
    }

    /// Returns every entry whose key begins with `prefix`, in the order of their bytes, all of one
    /// revision.
    pub fn range(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        if !prefix.is_empty() {
            check_key(prefix)?;
        }
        match &*self.backing() {
            Backing::Sqlite(sqlite) => sqlite.range(prefix),
            Backing::Memory(memory) => Ok(memory.range(prefix)),
        }
    }

    /// Does a transaction, or nothing.
    pub fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        txn.check()?;
        match &mut *self.backing() {
            Backing::Sqlite(sqlite) => sqlite.commit(txn),
            Backing::Memory(memory) => Ok(memory.commit(txn)),
        }
    }

    /// Returns the JSON value under a key.
    pub fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<Json<T>>, StoreError> {
        self.get(key)?.map(Json::try_from).transpose()
    }

    /// Returns the JSON values of every key that begins with `prefix`.
    pub fn range_json<T: DeserializeOwned>(
        &self,
        prefix: &str,
    ) -> Result<Vec<Json<T>>, StoreError> {
        self.range(prefix)?.into_iter().map(Json::try_from).collect()
    }

    /// Writes one value, whatever was there.
    pub fn put(&self, key: &str, value: impl Into<Vec<u8>>) -> Result<Revision, StoreError> {
        self.commit_always(&Txn::new().put(key, value))
    }

    /// Writes one value as JSON, whatever was there.
    pub fn put_json<T: Serialize>(&self, key: &str, value: &T) -> Result<Revision, StoreError> {
        self.commit_always(&Txn::new().put_json(key, value))
    }

    /// Deletes one key; one that is not there is fine.
    pub fn delete(&self, key: &str) -> Result<Revision, StoreError> {
        self.commit_always(&Txn::new().delete(key))
    }

    fn commit_always(&self, txn: &Txn) -> Result<Revision, StoreError> {
        match self.commit(txn)? {
            Outcome::Committed(revision) => Ok(revision),
            Outcome::Conflict { .. } => unreachable!("a transaction without conditions"),
        }
    }

    /// A panic elsewhere cannot have left half a state: SQLite rolls back, and memory changes only
    /// after everything that may fail.
    fn backing(&self) -> MutexGuard<'_, Backing> {
        self.backing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
