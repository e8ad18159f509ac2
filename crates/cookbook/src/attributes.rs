//! Attributes: values that recipes are written against, merged from levels.
//!
//! | level, lowest first | given by |
//! |---|---|
//! | cookbook | `attributes/default.toml` of each cookbook, what it depends on first |
//! | role | `default_attributes` of a group, or of a role's file |
//! | stage | `default_attributes` of `[stages.NAME]` |
//! | node | `--node-attributes`, and everything but the run list of a DNA file |
//!
//! Above all of them are `override_attributes`, first the role's, then the stage's: that is what the
//! word says, and what Chef does.
//!
//! Across levels dicts are merged at every depth; anything else, lists too, replaces what was there.
//! (Within a role, base and group were merged before, once, by the rule of the nodes file.) Nothing is
//! forgotten: [`Attributes::why`] returns what every level says of a path.

use std::collections::BTreeMap;

use nodes::Origin;
use resource::Value;
use serde::{Serialize, Serializer};

use crate::value::plain;

/// How high attributes stand; later ones win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A cookbook's own.
    Cookbook,
    /// A role's.
    Role,
    /// A stage's.
    Stage,
    /// The node's.
    Node,
    /// A role's overrides.
    RoleOverride,
    /// A stage's overrides.
    StageOverride,
}

impl Level {
    /// Returns the name that people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cookbook => "cookbook",
            Self::Role => "role",
            Self::Stage => "stage",
            Self::Node => "node",
            Self::RoleOverride => "role, override",
            Self::StageOverride => "stage, override",
        }
    }
}

/// What one file or group gives.
#[derive(Debug, Clone)]
pub struct Layer {
    /// On which level.
    pub level: Level,
    /// Who: the cookbook, the role, the stage; for the node its file.
    pub giver: String,
    /// What: a dict.
    pub value: nodes::Value,
}

/// All attributes of a run.
#[derive(Debug, Clone)]
pub struct Attributes {
    layers: Vec<Layer>,
    merged: Value,
}

/// What one layer says of a path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Said {
    /// On which level.
    pub level: Level,
    /// Who.
    pub giver: String,
    /// What.
    pub value: serde_json::Value,
    /// Which file.
    pub file: String,
    /// Which line of it.
    pub line: usize,
    /// What it comes to.
    pub effect: Effect,
}

/// What becomes of what a layer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is the value.
    Wins,
    /// It is a dict, and its keys are among the value's, as far as higher levels do not have them.
    Merged,
    /// Something higher replaces it.
    Hidden,
}

/// An attribute with what every level says of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Why {
    /// The path, `nginx.port`.
    pub path: String,
    /// What recipes get; absent if there is none.
    #[serde(serialize_with = "shown", skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Every layer that says something, the winner first.
    pub said: Vec<Said>,
}

#[allow(clippy::ref_option, reason = "what serde calls")]
fn shown<S: Serializer>(value: &Option<Value>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(Value::to_shown_json).serialize(serializer)
}

impl Attributes {
    /// Merges layers; those of one level in the order in which they come, the last one wins.
    pub fn new(mut layers: Vec<Layer>) -> Self {
        layers.sort_by_key(|layer| layer.level);
        let merged = layers
            .iter()
            .fold(Value::Map(BTreeMap::new()), |below, layer| merge(below, plain(&layer.value)));
        Self { layers, merged }
    }

    /// Returns what recipes get: a dict.
    pub fn merged(&self) -> &Value {
        &self.merged
    }

    /// Returns all layers, the lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Returns what every layer says of a path, the highest first.
    pub fn why(&self, path: &str) -> Why {
        let names: Vec<&str> = path.split('.').collect();
        let value = names.iter().try_fold(&self.merged, |value, name| match value {
            Value::Map(members) => members.get(*name),
            _ => None,
        });
        let mut said: Vec<Said> = Vec::new();
        // Whether something higher is no dict, so that nothing below can be seen.
        let mut closed = false;
        for layer in self.layers.iter().rev() {
            let Some(found) = find(&layer.value, &names) else { continue };
            let effect = match (closed, found.is_dict && found.whole) {
                (true, _) => Effect::Hidden,
                (false, true) => Effect::Merged,
                // A text where a dict would be hides the path without giving it a value.
                (false, false) if !found.whole => Effect::Hidden,
                (false, false) if said.iter().any(|said| said.effect == Effect::Merged) => {
                    Effect::Hidden
                }
                (false, false) => Effect::Wins,
            };
            closed |= !found.is_dict;
            said.push(Said {
                level: layer.level,
                // Of a role, the group that gave it: itself or what it inherits from.
                giver: match layer.level {
                    Level::Role | Level::RoleOverride => found.origin.group.to_string(),
                    _ => layer.giver.clone(),
                },
                value: found.value,
                file: found.origin.file.to_string(),
                line: found.origin.position.line,
                effect,
            });
        }
        Why { path: path.to_owned(), value: value.cloned(), said }
    }

    /// Returns the path of every value that is no dict, with what the highest layer that has it says.
    pub fn leaves(&self) -> Vec<(String, Said)> {
        let mut paths = Vec::new();
        leaves(&self.merged, "", &mut paths);
        let said = |path: String| {
            let said = self.why(&path).said.into_iter().next()?;
            Some((path, said))
        };
        paths.into_iter().filter_map(said).collect()
    }

    /// Returns the names that a path of this beginning can go on with, whole, for suggestions.
    pub fn names_beside(&self, path: &str) -> Vec<String> {
        let above = path.rsplit_once('.').map_or("", |(above, _)| above);
        let steps = above.split('.').filter(|name| !name.is_empty());
        let mut at = &self.merged;
        for name in steps {
            match at {
                Value::Map(members) if members.contains_key(name) => at = &members[name],
                _ => return Vec::new(),
            }
        }
        let Value::Map(members) = at else { return Vec::new() };
        let whole = |name: &String| match above {
            "" => name.clone(),
            above => format!("{above}.{name}"),
        };
        members.keys().map(whole).collect()
    }
}

fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Map(members) if !members.is_empty() => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(value, &path, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

struct Found {
    value: serde_json::Value,
    origin: Origin,
    is_dict: bool,
    /// Whether the whole path was there, as opposed to: something above it is no dict.
    whole: bool,
}

/// Returns what a layer has at a path, or what of it hides the path.
fn find(root: &nodes::Value, names: &[&str]) -> Option<Found> {
    let mut at = root;
    let mut whole = true;
    for name in names {
        if at.as_map().is_none() {
            whole = false;
            break;
        }
        at = at.get(name)?;
    }
    let is_dict = at.as_map().is_some();
    Some(Found { value: at.to_json(), origin: at.origin.clone(), is_dict, whole })
}

/// Returns what a higher level makes of a lower one's value.
fn merge(below: Value, above: Value) -> Value {
    match (below, above) {
        (Value::Map(mut members), Value::Map(more)) => {
            for (name, value) in more {
                let value = match members.remove(&name) {
                    Some(lower) => merge(lower, value),
                    None => value,
                };
                members.insert(name, value);
            }
            Value::Map(members)
        }
        (_, above) => above,
    }
}
