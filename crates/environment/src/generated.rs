//! Values drawn once at random and kept: `generate` in the app file.
//!
//! One sealed record per app, `apps/<app>/env/generated`. A value is drawn when a release first
//! declares it and stays for ever, also while no release declares it: a key that signs sessions
//! must not change because of a rollback. It goes with its app. An operator's value of the same
//! name is in force over it and leaves it where it is.

use std::collections::BTreeMap;

use app::model::App;
use report::Secret;
use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};
use store::{Store, Txn};

use crate::key::Key;
use crate::operator::{VariablesError, commit, prefix};

/// A value that was drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The value.
    pub value: Secret,
    /// When it was drawn, RFC 3339.
    pub at: String,
}

/// Returns every value that was drawn for an app, by name.
pub fn read(
    store: &Store,
    key: &Key,
    app: &str,
) -> Result<BTreeMap<String, Generated>, VariablesError> {
    let Some(entry) = store.get(&record_key(app))? else { return Ok(BTreeMap::new()) };
    open(key, app, &entry.value)
}

/// Draws what `app` declares and does not have yet, and returns all that it has.
pub fn ensure(
    store: &Store,
    key: &Key,
    app: &App,
    at: &str,
) -> Result<BTreeMap<String, Generated>, VariablesError> {
    let record_key = record_key(&app.name);
    let found = store.get(&record_key)?;
    let mut values = match &found {
        Some(entry) => open(key, &app.name, &entry.value)?,
        None => BTreeMap::new(),
    };
    let before = values.len();
    for (name, variable) in &app.env {
        if let (Some(bytes), false) = (variable.generate_bytes, values.contains_key(name)) {
            let value = Secret::new(draw(name, bytes as usize)?);
            values.insert(name.clone(), Generated { value, at: at.to_owned() });
        }
    }
    if values.len() > before {
        let sealed = key.seal(&described(&app.name), &encode(&values))?;
        let unchanged = found.map(|entry| entry.mod_revision).unwrap_or_default();
        let txn = Txn::new().if_unchanged(&record_key, unchanged).put(&record_key, sealed);
        commit(store, &app.name, &txn)?;
    }
    Ok(values)
}

fn record_key(app: &str) -> String {
    format!("{}generated", prefix(app))
}

fn described(app: &str) -> String {
    format!("the generated variables of {app}")
}

fn draw(name: &str, length: usize) -> Result<String, VariablesError> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => {
                return Err(VariablesError::Random { name: name.to_owned(), source: errno.into() });
            }
        }
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A value inside the seal.
#[derive(Serialize, Deserialize)]
struct Sealed {
    value: String,
    at: String,
}

fn encode(values: &BTreeMap<String, Generated>) -> Vec<u8> {
    let sealed: BTreeMap<&str, Sealed> = values
        .iter()
        .map(|(name, Generated { value, at })| {
            (name.as_str(), Sealed { value: value.reveal().to_owned(), at: at.clone() })
        })
        .collect();
    serde_json::to_vec(&sealed).expect("strings by name are JSON")
}

fn open(
    key: &Key,
    app: &str,
    sealed: &[u8],
) -> Result<BTreeMap<String, Generated>, VariablesError> {
    let what = described(app);
    let plain = key.unseal(&what, sealed)?;
    let values: BTreeMap<String, Sealed> = serde_json::from_slice(&plain)
        .map_err(|source| VariablesError::Malformed { what, source })?;
    let generated = |Sealed { value, at }| Generated { value: Secret::new(value), at };
    Ok(values.into_iter().map(|(name, sealed)| (name, generated(sealed))).collect())
}
