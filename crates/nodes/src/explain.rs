//! Why a group is as it is: each of its values with who gave it and what it hides.

use serde::Serialize;

use crate::group::Group;
use crate::value::{Data, Origin, Value, join};

/// One value of a resolved group: a key, an item of a list, or a key of a dict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fact {
    /// Which: `instance_type`, `run_list[0]`, `default_attributes.nginx.port`.
    pub path: String,
    /// Its value.
    pub value: serde_json::Value,
    /// Who gave it.
    #[serde(flatten)]
    pub origin: Origin,
    /// What it is there instead of, nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hides: Vec<Hidden>,
}

/// A value of a parent that is not in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hidden {
    /// The value.
    pub value: serde_json::Value,
    /// Who gave it.
    #[serde(flatten)]
    pub origin: Origin,
}

/// Returns every value of a group, in the order of their paths.
///
/// Items of a key's list are values of their own, and so are keys of dicts at any depth; lists
/// inside dicts, and what is empty, are one value. A dict that hides something is told itself as
/// well, before its keys.
pub fn explain(group: &Group) -> Vec<Fact> {
    let mut facts = Vec::new();
    for (key, value) in &group.keys {
        match &value.data {
            Data::List(values) if !values.is_empty() => {
                for (index, value) in values.iter().enumerate() {
                    facts.push(fact(format!("{key}[{index}]"), value));
                }
            }
            _ => walk(key, value, &mut facts),
        }
    }
    facts
}

/// Adds a value, or what is in it.
fn walk(path: &str, value: &Value, facts: &mut Vec<Fact>) {
    let entries = value.as_map().filter(|entries| !entries.is_empty());
    if entries.is_none() || value.hides.is_some() {
        facts.push(fact(path.to_owned(), value));
    }
    for (key, entry) in entries.into_iter().flatten() {
        walk(&join(path, key), &entry.value, facts);
    }
}

fn fact(path: String, value: &Value) -> Fact {
    Fact { path, value: value.to_json(), origin: value.origin.clone(), hides: hides(value) }
}

fn hides(value: &Value) -> Vec<Hidden> {
    let mut hidden = Vec::new();
    let mut next = &value.hides;
    while let Some(value) = next {
        hidden.push(Hidden { value: value.to_json(), origin: value.origin.clone() });
        next = &value.hides;
    }
    hidden
}
