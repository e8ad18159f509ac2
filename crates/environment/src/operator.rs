//! The operator's variables: numbered, immutable versions, sealed.
//!
//! A version holds all variables, not a difference: a release names one number and has everything,
//! whatever was changed, rolled back or forgotten since. Version 0 is empty and always there.
//!
//! | key | value |
//! |---|---|
//! | `apps/<app>/env/head` | JSON: which version is current, and the highest number given out |
//! | `apps/<app>/env/versions/<10 digits>` | sealed JSON: value, who and when by name |
//!
//! A change is a draft first: [`draft`] writes a version and makes nothing current. The deploy that
//! runs with it does so, in its own transaction, once the release is good ([`make_current`]); if
//! it fails the draft is left, and [`prune`] takes it with everything else that no release names.
//! Numbers are never given out twice, so a release's record cannot come to mean something else.

use std::collections::{BTreeMap, BTreeSet};

use report::{Failure, Kind, Secret};
use serde::{Deserialize, Serialize};
use store::{Outcome, Store, StoreError, Txn};

use crate::check::{ENVIRONMENT_LIMIT_BYTES, Refusal, check, json_bytes};
use crate::key::{Key, KeyError};

/// One variable that an operator set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorVariable {
    /// Its value.
    pub value: Secret,
    /// Who set it.
    pub who: String,
    /// When, RFC 3339.
    pub at: String,
}

/// All variables of one version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables {
    by_name: BTreeMap<String, OperatorVariable>,
}

/// A wanted change of one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// Its new value; absent: it is unset.
    pub value: Option<Secret>,
}

/// How one variable differs between two versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// Only the newer one has it.
    Added,
    /// They have different values.
    Changed,
    /// Only the older one has it.
    Removed,
}

/// Which versions there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The version that the next release uses.
    pub current: u64,
    /// The highest number given out.
    pub last: u64,
}

/// A version that is written and not current yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its number; that of the base if nothing differs.
    pub version: u64,
    /// Its variables.
    pub variables: Variables,
    /// What differs from its base, by name.
    pub differences: BTreeMap<String, Difference>,
}

/// Why variables cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum VariablesError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// They cannot be sealed or opened.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A change cannot be made.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// All of them together would be too large.
    #[error(
        "the variables of {app} would have {bytes} bytes, the limit is {ENVIRONMENT_LIMIT_BYTES}"
    )]
    TooLarge {
        /// The app.
        app: String,
        /// How many they would have, as JSON.
        bytes: usize,
    },
    /// There is no such version.
    #[error("{app} has no variables of version {version}")]
    NoVersion {
        /// The app.
        app: String,
        /// The version.
        version: u64,
    },
    /// Opened, they are not what this build writes.
    #[error("failed to read {what}")]
    Malformed {
        /// What was opened.
        what: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Somebody else changed them at the same time.
    #[error("the variables of {app} were changed by somebody else at the same time")]
    Conflict {
        /// The app.
        app: String,
    },
    /// The system gave no random bytes.
    #[error("failed to draw a value for `{name}`")]
    Random {
        /// The variable.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl From<VariablesError> for Failure {
    fn from(error: VariablesError) -> Self {
        let kind = match error {
            VariablesError::Store(error) => return error.into(),
            VariablesError::Key(error) => return (&error).into(),
            VariablesError::Refused(refusal) => return (&refusal).into(),
            VariablesError::TooLarge { .. } => Kind::Usage,
            VariablesError::Conflict { .. } => Kind::Temporary,
            _ => Kind::Failed,
        };
        Self::from_error(kind, &error)
    }
}

impl Variables {
    /// Returns them by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OperatorVariable)> {
        self.by_name.iter().map(|(name, variable)| (name.as_str(), variable))
    }

    /// Returns one of them.
    pub fn get(&self, name: &str) -> Option<&OperatorVariable> {
        self.by_name.get(name)
    }

    /// Returns them with `changes` made. One that gets the value it has keeps who set it, and when.
    pub fn with(&self, changes: &[Change], who: &str, at: &str) -> Result<Self, Refusal> {
        let mut by_name = self.by_name.clone();
        for Change { name, value } in changes {
            check(name, value.as_ref().map_or("", Secret::reveal))?;
            match value {
                None => {
                    by_name.remove(name);
                }
                Some(value) if by_name.get(name).is_some_and(|old| old.value == *value) => {}
                Some(value) => {
                    let (value, who, at) = (value.clone(), who.to_owned(), at.to_owned());
                    by_name.insert(name.clone(), OperatorVariable { value, who, at });
                }
            }
        }
        Ok(Self { by_name })
    }

    /// Returns how `newer` differs from these, by name.
    pub fn differences(&self, newer: &Self) -> BTreeMap<String, Difference> {
        let names: BTreeSet<&String> = self.by_name.keys().chain(newer.by_name.keys()).collect();
        let difference = |name: &str| match (self.get(name), newer.get(name)) {
            (None, _) => Some(Difference::Added),
            (_, None) => Some(Difference::Removed),
            (Some(old), Some(new)) => (old.value != new.value).then_some(Difference::Changed),
        };
        names.into_iter().filter_map(|name| Some((name.clone(), difference(name)?))).collect()
    }
}

/// Returns the prefix of everything that is kept about an app's variables, sealed as it is: what
/// an archive of the app takes along and its removal deletes.
pub fn prefix(app: &str) -> String {
    format!("apps/{app}/env/")
}

fn head_key(app: &str) -> String {
    format!("{}head", prefix(app))
}

fn versions_prefix(app: &str) -> String {
    format!("{}versions/", prefix(app))
}

fn version_key(app: &str, version: u64) -> String {
    // As many digits as make the order of keys the order of versions.
    format!("{}{version:010}", versions_prefix(app))
}

fn described(app: &str, version: u64) -> String {
    format!("version {version} of the variables of {app}")
}

/// Returns which versions an app has.
pub fn head(store: &Store, app: &str) -> Result<Head, VariablesError> {
    Ok(store.get_json(&head_key(app))?.map(|json| json.value).unwrap_or_default())
}

/// Returns the variables of one version.
pub fn read(
    store: &Store,
    key: &Key,
    app: &str,
    version: u64,
) -> Result<Variables, VariablesError> {
    if version == 0 {
        return Ok(Variables::default());
    }
    let entry = store
        .get(&version_key(app, version))?
        .ok_or_else(|| VariablesError::NoVersion { app: app.to_owned(), version })?;
    let what = described(app, version);
    let plain = key.unseal(&what, &entry.value)?;
    decode(&plain).map_err(|source| VariablesError::Malformed { what, source })
}

/// Returns version `base` with `changes` made, as [`draft`] would write it, and writes nothing: its
/// number is the base's.
pub fn sketch(
    store: &Store,
    key: &Key,
    app: &str,
    base: u64,
    changes: &[Change],
    (who, at): (&str, &str),
) -> Result<Draft, VariablesError> {
    let old = read(store, key, app, base)?;
    let variables = old.with(changes, who, at)?;
    let differences = old.differences(&variables);
    let bytes = json_bytes(variables.iter().map(|(name, v)| (name, v.value.reveal())));
    if bytes > ENVIRONMENT_LIMIT_BYTES && !differences.is_empty() {
        return Err(VariablesError::TooLarge { app: app.to_owned(), bytes });
    }
    Ok(Draft { version: base, variables, differences })
}

/// Writes `changes` of version `base` as a new version, which is not current yet. Changes that
/// change nothing write nothing.
pub fn draft(
    store: &Store,
    key: &Key,
    app: &str,
    base: u64,
    changes: &[Change],
    (who, at): (&str, &str),
) -> Result<Draft, VariablesError> {
    let sketched = sketch(store, key, app, base, changes, (who, at))?;
    if sketched.differences.is_empty() {
        return Ok(sketched);
    }
    let Draft { variables, differences, .. } = sketched;
    let head_key = head_key(app);
    let found = store.get_json::<Head>(&head_key)?;
    let unchanged = found.as_ref().map(|json| json.mod_revision).unwrap_or_default();
    let head = found.map(|json| json.value).unwrap_or_default();
    let head = Head { last: head.last + 1, ..head };
    let version = head.last;
    let sealed = key.seal(&described(app, version), &encode(&variables))?;
    let txn = Txn::new()
        .if_unchanged(&head_key, unchanged)
        .put_json(&head_key, &head)
        .put(version_key(app, version), sealed);
    commit(store, app, &txn)?;
    Ok(Draft { version, variables, differences })
}

/// Adds to `txn` that `version` becomes the current one: a deploy does it together with making its
/// release current.
pub fn make_current(
    txn: Txn,
    store: &Store,
    app: &str,
    version: u64,
) -> Result<Txn, VariablesError> {
    let head_key = head_key(app);
    let Some(found) = store.get_json::<Head>(&head_key)? else {
        return match version {
            0 => Ok(txn),
            _ => Err(VariablesError::NoVersion { app: app.to_owned(), version }),
        };
    };
    let head = Head { current: version, ..found.value };
    let txn = txn.if_unchanged(&head_key, found.mod_revision).put_json(&head_key, &head);
    Ok(if version == 0 { txn } else { txn.if_exists(version_key(app, version)) })
}

/// Deletes the versions that neither `in_use` names (those of the releases that are kept, and of a
/// deploy that is going on) nor are current. Returns their numbers.
pub fn prune(store: &Store, app: &str, in_use: &BTreeSet<u64>) -> Result<Vec<u64>, VariablesError> {
    let head = head(store, app)?;
    // What is newer than everything in use is a draft whose deploy waits for its turn.
    let newest = in_use.last().copied().unwrap_or(0).max(head.current);
    let prefix = versions_prefix(app);
    let unused: Vec<(String, u64)> = store
        .range(&prefix)?
        .into_iter()
        .filter_map(|entry| {
            let version = entry.key.strip_prefix(&prefix)?.parse().ok()?;
            Some((entry.key, version))
        })
        .filter(|(_, version)| *version < newest)
        .filter(|(_, version)| *version != head.current && !in_use.contains(version))
        .collect();
    // One by one: nobody minds a half-done pruning, and a transaction has a size.
    for (key, _) in &unused {
        store.delete(key)?;
    }
    Ok(unused.into_iter().map(|(_, version)| version).collect())
}

pub(crate) fn commit(store: &Store, app: &str, txn: &Txn) -> Result<(), VariablesError> {
    match store.commit(txn)? {
        Outcome::Committed(_) => Ok(()),
        Outcome::Conflict { .. } => Err(VariablesError::Conflict { app: app.to_owned() }),
    }
}

/// A variable inside the seal. [`Secret`] does not serialize, on purpose; this is the one place
/// where values are written out.
#[derive(Serialize, Deserialize)]
struct Sealed {
    value: String,
    who: String,
    at: String,
}

fn encode(variables: &Variables) -> Vec<u8> {
    let sealed: BTreeMap<&str, Sealed> = variables
        .iter()
        .map(|(name, variable)| {
            let OperatorVariable { value, who, at } = variable.clone();
            (name, Sealed { value: value.reveal().to_owned(), who, at })
        })
        .collect();
    serde_json::to_vec(&sealed).expect("strings by name are JSON")
}

fn decode(plain: &[u8]) -> Result<Variables, serde_json::Error> {
    let sealed: BTreeMap<String, Sealed> = serde_json::from_slice(plain)?;
    let by_name = sealed
        .into_iter()
        .map(|(name, Sealed { value, who, at })| {
            (name, OperatorVariable { value: Secret::new(value), who, at })
        })
        .collect();
    Ok(Variables { by_name })
}
