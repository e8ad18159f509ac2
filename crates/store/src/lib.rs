//! The desired state of one installation: a revisioned key-value store with etcd's semantics.
//!
//! [`Store::open`] keeps it in one SQLite file, [`Store::in_memory`] nowhere; one conformance suite
//! runs on both. What needs a fleet (watches, leases) is not here yet.
//!
//! # Guarantees
//!
//! - One revision counts for the whole store. Each [`Txn`] that changes something raises it by one;
//!   every key it wrote carries that revision. It never falls, not by deleting everything either.
//! - A [`Txn`] is all or nothing, and isolated: its compares and its writes see one state.
//! - A commit that was answered is on the disk: it survives a kill and a loss of power.
//! - One process at a time: a second one is refused, not delayed.
//!
//! A commit that *failed* with [`StoreError::Database`] or [`StoreError::Full`] may still have
//! happened: read before trying again (or compare, which makes trying again safe).
//!
//! # Refusals
//!
//! Network filesystems (their locks and write order are not what SQLite needs), files of a newer
//! version, files that are not a store of ours, files that fail SQLite's own check. Keys and values
//! over the bounds in this module, a key written twice in one [`Txn`].
//!
//! # On disk
//!
//! SQLite in WAL mode, `synchronous=FULL`, locked exclusively, mode 0600. `application_id` is
//! `Skep`, `user_version` the version of the schema (1):
//!
//! ```sql
//! CREATE TABLE entry (key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL,
//!     create_revision INTEGER NOT NULL, mod_revision INTEGER NOT NULL, version INTEGER NOT NULL);
//! CREATE TABLE revision (only_row INTEGER PRIMARY KEY CHECK (only_row = 0), value INTEGER NOT NULL);
//! ```
//!
//! An older version is migrated in one transaction when it is opened, after the whole file was
//! copied to `<name>.before-v<new version>`.
//!
//! Blocking; an operation takes milliseconds. Callers on an event loop use a blocking thread.

mod entry;
mod error;
mod memory;
mod schema;
mod sqlite;
mod store;
mod transaction;

#[cfg(test)]
mod tests;

pub use entry::{Entry, Json, Revision};
pub use error::StoreError;
pub use store::Store;
pub use transaction::{
    MAX_KEY_BYTES, MAX_OPERATIONS, MAX_TXN_BYTES, MAX_VALUE_BYTES, Outcome, Txn,
};
