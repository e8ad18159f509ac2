//! Transactions as values: what must hold, and what is written if it does.

use crate::{Entry, Revision, StoreError};

/// Longest key in bytes. Keys are paths of names and numbers.
pub const MAX_KEY_BYTES: usize = 512;

/// Largest value in bytes; etcd refuses requests over 1.5 MiB.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// Most compares and writes in one transaction; etcd's default.
pub const MAX_OPERATIONS: usize = 128;

/// Most bytes of keys and values in one transaction; below etcd's 1.5 MiB.
pub const MAX_TXN_BYTES: usize = 5 << 18;

/// What must hold of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    Absent,
    Exists,
    Unchanged(Revision),
    Version(u64),
    Value(Vec<u8>),
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Write {
    Put { key: String, value: Vec<u8> },
    Delete { key: String },
    DeletePrefix { prefix: String },
}

/// Compares and writes that happen together or not at all.
///
/// ```
/// # use store::{Outcome, Store, Txn};
/// # let store = Store::in_memory();
/// let claim = Txn::new()
///     .if_absent("listeners/0.0.0.0:80")
///     .put("listeners/0.0.0.0:80", "shop")
///     .delete("waiting/shop");
/// match store.commit(&claim)? {
///     Outcome::Committed(revision) => println!("ours since {revision}"),
///     Outcome::Conflict { key, .. } => println!("{key} is taken"),
/// }
/// # Ok::<(), store::StoreError>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "a transaction does nothing until `Store::commit`"]
pub struct Txn {
    pub(crate) conditions: Vec<(String, Condition)>,
    pub(crate) writes: Vec<Write>,
    /// The first value that was not JSON; told by `commit`, so that building reads in one piece.
    not_json: Option<(String, serde_json::Error)>,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It happened, at this revision; the present one if it changed nothing.
    Committed(Revision),
    /// A condition did not hold; nothing happened.
    Conflict {
        /// The first key whose condition did not hold.
        key: String,
        /// What the key is now.
        found: Option<Entry>,
    },
}

impl Outcome {
    /// Returns the revision, or `None` after a conflict.
    pub fn committed(self) -> Option<Revision> {
        match self {
            Self::Committed(revision) => Some(revision),
            Self::Conflict { .. } => None,
        }
    }
}

impl Txn {
    /// Returns a transaction that does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only if the key does not exist.
    pub fn if_absent(self, key: impl Into<String>) -> Self {
        self.condition(key, Condition::Absent)
    }

    /// Only if the key exists.
    pub fn if_exists(self, key: impl Into<String>) -> Self {
        self.condition(key, Condition::Exists)
    }

    /// Only if the key was last written by this revision; revision 0: if it does not exist.
    pub fn if_unchanged(self, key: impl Into<String>, mod_revision: Revision) -> Self {
        self.condition(key, Condition::Unchanged(mod_revision))
    }

    /// Only if the key was written this often since it was created; 0: if it does not exist.
    pub fn if_version(self, key: impl Into<String>, version: u64) -> Self {
        self.condition(key, Condition::Version(version))
    }

    /// Only if the key has exactly this value.
    pub fn if_value(self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.condition(key, Condition::Value(value.into()))
    }

    /// Writes a value.
    pub fn put(mut self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.writes.push(Write::Put { key: key.into(), value: value.into() });
        self
    }

    /// Writes a value as JSON. One that cannot be written so is an error of `commit`.
    pub fn put_json<T: serde::Serialize>(mut self, key: impl Into<String>, value: &T) -> Self {
        let key = key.into();
        match serde_json::to_vec(value) {
            Ok(value) => self.put(key, value),
            Err(error) => {
                self.not_json.get_or_insert((key, error));
                self
            }
        }
    }

    /// Deletes a key; one that is not there is fine.
    pub fn delete(mut self, key: impl Into<String>) -> Self {
        self.writes.push(Write::Delete { key: key.into() });
        self
    }

    /// Deletes every key that begins with `prefix`.
    pub fn delete_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.writes.push(Write::DeletePrefix { prefix: prefix.into() });
        self
    }

    fn condition(mut self, key: impl Into<String>, condition: Condition) -> Self {
        self.conditions.push((key.into(), condition));
        self
    }

    /// Checks everything that does not depend on the store's state.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if let Some((key, error)) = &self.not_json {
            // `serde_json::Error` cannot be cloned; its text says all of it.
            let source = serde::ser::Error::custom(error);
            return Err(StoreError::Json { key: key.clone(), source });
        }
        let count = self.conditions.len() + self.writes.len();
        if count > MAX_OPERATIONS {
            return Err(StoreError::Operations { count });
        }
        let mut size = 0;
        for (key, condition) in &self.conditions {
            check_key(key)?;
            size += key.len();
            if let Condition::Value(value) = condition {
                size += check_value(key, value)?;
            }
        }
        for write in &self.writes {
            size += match write {
                Write::Put { key, value } => check_key(key)? + check_value(key, value)?,
                Write::Delete { key } => check_key(key)?,
                Write::DeletePrefix { prefix } => check_key(prefix)?,
            };
        }
        if size > MAX_TXN_BYTES {
            return Err(StoreError::Size { size });
        }
        self.check_overlap()
    }

    /// Refuses two writes of one key: which of them would count is nobody's guess.
    fn check_overlap(&self) -> Result<(), StoreError> {
        for (index, write) in self.writes.iter().enumerate() {
            let twice = self.writes[..index].iter().find_map(|earlier| overlap(earlier, write));
            if let Some(key) = twice {
                return Err(StoreError::WrittenTwice { key: key.to_owned() });
            }
        }
        Ok(())
    }
}

fn overlap<'a>(a: &'a Write, b: &'a Write) -> Option<&'a str> {
    let (a_name, a_prefix) = a.name();
    let (b_name, b_prefix) = b.name();
    let same = match (a_prefix, b_prefix) {
        (false, false) => a_name == b_name,
        (true, false) => b_name.starts_with(a_name),
        (false, true) => a_name.starts_with(b_name),
        (true, true) => a_name.starts_with(b_name) || b_name.starts_with(a_name),
    };
    same.then_some(if a_prefix { b_name } else { a_name })
}

impl Write {
    /// Returns the key or prefix, and whether it is a prefix.
    fn name(&self) -> (&str, bool) {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => (key, false),
            Self::DeletePrefix { prefix } => (prefix, true),
        }
    }
}

impl Condition {
    /// Returns whether it holds of what a key is now.
    pub(crate) fn holds(&self, found: Option<&Entry>) -> bool {
        match self {
            Self::Absent => found.is_none(),
            Self::Exists => found.is_some(),
            Self::Unchanged(revision) => {
                found.map_or(Revision(0), |entry| entry.mod_revision) == *revision
            }
            Self::Version(version) => found.map_or(0, |entry| entry.version) == *version,
            Self::Value(value) => found.is_some_and(|entry| entry.value == *value),
        }
    }
}

/// Returns the key's size, or why it is refused.
pub(crate) fn check_key(key: &str) -> Result<usize, StoreError> {
    let good = !key.is_empty()
        && key.len() <= MAX_KEY_BYTES
        && key.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(key.len()) } else { Err(StoreError::Key { key: key.chars().take(80).collect() }) }
}

fn check_value(key: &str, value: &[u8]) -> Result<usize, StoreError> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(StoreError::Value { key: key.to_owned(), size: value.len() });
    }
    Ok(value.len())
}
