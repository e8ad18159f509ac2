//! What is stored under a key.

use serde::de::DeserializeOwned;

use crate::StoreError;

/// A state of the whole store: rises by one with each transaction that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A key, its value and its history; the fields mean what they mean in etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// The revision that created the key (again, if it had been deleted).
    pub create_revision: Revision,
    /// The revision that last wrote it.
    pub mod_revision: Revision,
    /// How often it was written since it was created; 1 after the first time.
    pub version: u64,
}

impl Entry {
    /// Returns the value read as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, StoreError> {
        serde_json::from_slice(&self.value)
            .map_err(|source| StoreError::Json { key: self.key.clone(), source })
    }
}

/// A value read as JSON, and what is needed to write it back safely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T> {
    /// The key.
    pub key: String,
    /// The value.
    pub value: T,
    /// The revision that last wrote it; for [`crate::Txn::if_unchanged`].
    pub mod_revision: Revision,
}

impl<T: DeserializeOwned> TryFrom<Entry> for Json<T> {
    type Error = StoreError;

    fn try_from(entry: Entry) -> Result<Self, StoreError> {
        Ok(Self { value: entry.json()?, key: entry.key, mod_revision: entry.mod_revision })
    }
}
