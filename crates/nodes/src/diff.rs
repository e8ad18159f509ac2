//! The difference of two groups, as a value.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::group::Group;
use crate::value::{Data, Origin, Value, join};

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// What differs: `instance_type`, `run_list`, `default_attributes.nginx.port`.
    pub path: String,
    /// What the first has there.
    pub left: Option<Side>,
    /// What the second has there.
    pub right: Option<Side>,
}

/// What one of two groups has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// The value.
    pub value: serde_json::Value,
    /// Who gave it.
    #[serde(flatten)]
    pub origin: Origin,
}

/// Returns what differs between two groups, in the order of the paths; nothing for a group and
/// itself, and with the sides exchanged where the groups are.
///
/// Of a key's list, each item that only one side has is a difference; where both have the same items
/// in another order, the lists are. Lists inside dicts are one value, as in a merge.
pub fn diff(left: &Group, right: &Group) -> Vec<Difference> {
    let mut found = Vec::new();
    let keys: BTreeSet<&String> = left.keys.keys().chain(right.keys.keys()).collect();
    for key in keys {
        match (left.keys.get(key), right.keys.get(key)) {
            (Some(one), Some(other)) if both_lists(one, other) => {
                lists(key, one, other, &mut found);
            }
            (one, other) => compare(key.clone(), one, other, &mut found),
        }
    }
    found
}

fn compare(path: String, left: Option<&Value>, right: Option<&Value>, found: &mut Vec<Difference>) {
    let (Some(one), Some(other)) = (left, right) else {
        found.extend((left.is_some() || right.is_some()).then(|| pair(path, left, right)));
        return;
    };
    match (&one.data, &other.data) {
        (Data::Map(entries), Data::Map(others)) => {
            let keys: BTreeSet<&String> = entries.keys().chain(others.keys()).collect();
            for key in keys {
                compare(join(&path, key), one.get(key), other.get(key), found);
            }
        }
        _ if one.to_json() == other.to_json() => {}
        _ => found.push(pair(path, left, right)),
    }
}

fn both_lists(left: &Value, right: &Value) -> bool {
    matches!((&left.data, &right.data), (Data::List(_), Data::List(_)))
}

fn lists(path: &str, left: &Value, right: &Value, found: &mut Vec<Difference>) {
    let mut unmatched: Vec<(&Value, serde_json::Value)> =
        right.items().iter().map(|value| (value, value.to_json())).collect();
    let before = found.len();
    for item in left.items() {
        let json = item.to_json();
        match unmatched.iter().position(|(_, other)| *other == json) {
            Some(index) => {
                unmatched.remove(index);
            }
            None => found.push(pair(path.to_owned(), Some(item), None)),
        }
    }
    for (other, _) in unmatched {
        found.push(pair(path.to_owned(), None, Some(other)));
    }
    if found.len() == before && left.to_json() != right.to_json() {
        found.push(pair(path.to_owned(), Some(left), Some(right)));
    }
}

fn pair(path: String, left: Option<&Value>, right: Option<&Value>) -> Difference {
    let side = |value: &Value| Side { value: value.to_json(), origin: value.origin.clone() };
    Difference { path, left: left.map(side), right: right.map(side) }
}
