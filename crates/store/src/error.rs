//! What can go wrong, and what to do about it.

use std::error::Error;
use std::path::PathBuf;

use disk::DiskError;
use report::{Failure, Kind};

use crate::schema::copy_path;
use crate::transaction::{MAX_KEY_BYTES, MAX_OPERATIONS, MAX_TXN_BYTES, MAX_VALUE_BYTES};

/// A store that cannot be opened, or an operation that it did not do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file lies where locks and write order cannot be relied on.
    #[error("the store `{}` lies on a network filesystem", .0.display())]
    NetworkFilesystem(PathBuf),
    /// It was written by a newer version.
    #[error("the store `{}` has version {found}, this build knows up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version this build reads.
        known: u32,
    },
    /// It is a database of something else.
    #[error("`{}` is a SQLite file, but not a store of skep", .0.display())]
    Foreign(PathBuf),
    /// Another process has it open.
    #[error("the store `{}` is in use by another process", .0.display())]
    InUse(PathBuf),
    /// It is damaged.
    #[error("the store `{}` is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// SQLite's first findings.
        detail: String,
    },
    /// No space is left for it.
    #[error("no space is left for the store `{}`", .0.display())]
    Full(PathBuf),
    /// A file operation beside the database failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The database failed in another way.
    #[error("failed to {operation} the store `{}`", path.display())]
    Database {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A key is not 1 to [`MAX_KEY_BYTES`] printable ASCII characters without a space.
    #[error(
        "the store key {key:?} is not 1 to {MAX_KEY_BYTES} printable ASCII characters without space"
    )]
    Key {
        /// Its beginning.
        key: String,
    },
    /// A value is too large.
    #[error("the value of `{key}` has {size} bytes, more than {MAX_VALUE_BYTES}")]
    Value {
        /// Its key.
        key: String,
        /// Its size in bytes.
        size: usize,
    },
    /// A transaction has too many parts.
    #[error("a store transaction has {count} parts, more than {MAX_OPERATIONS}")]
    Operations {
        /// Compares and writes together.
        count: usize,
    },
    /// A transaction is too large.
    #[error("a store transaction has {size} bytes, more than {MAX_TXN_BYTES}")]
    Size {
        /// Keys and values together, in bytes.
        size: usize,
    },
    /// A transaction writes a key twice.
    #[error("a store transaction writes `{key}` twice")]
    WrittenTwice {
        /// The key.
        key: String,
    },
    /// A value is not the JSON that was expected, or cannot be written as JSON.
    #[error("the value of `{key}` is not the expected JSON")]
    Json {
        /// Its key.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let (kind, hint) = match &error {
            StoreError::NetworkFilesystem(_) => {
                (Kind::Usage, Some("set SKEP_HOME to a directory on a local disk".to_owned()))
            }
            StoreError::Newer { path, known, .. } => {
                let copy = copy_path(path, *known as usize + 1);
                let hint = format!(
                    "run the newer `skep`; or go back to the copy it made, `{}`, if there is one",
                    copy.display()
                );
                (Kind::Usage, Some(hint))
            }
            StoreError::Foreign(_) => {
                (Kind::Usage, Some("set SKEP_HOME to another directory".to_owned()))
            }
            StoreError::InUse(_) => {
                (Kind::Locked, Some("one agent runs per SKEP_HOME: skep doctor".to_owned()))
            }
            StoreError::Full(_) => {
                (Kind::Temporary, Some("free some space: skep doctor".to_owned()))
            }
            StoreError::Damaged { path, .. } => {
                let hint =
                    format!("keep a copy of `{}` and of the files beside it", path.display());
                (Kind::Failed, Some(hint))
            }
            StoreError::Disk(disk) if disk.kind() == std::io::ErrorKind::PermissionDenied => {
                (Kind::Permission, None)
            }
            StoreError::Disk(_) | StoreError::Database { .. } => (Kind::Failed, None),
            StoreError::Key { .. }
            | StoreError::Value { .. }
            | StoreError::Operations { .. }
            | StoreError::Size { .. }
            | StoreError::WrittenTwice { .. }
            | StoreError::Json { .. } => (Kind::Internal, None),
        };
        let failure = Self::from_error(kind, &error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
