//! The nodes file, read and checked: what it says, and what each group inherits.

mod read;

use std::collections::{BTreeMap, BTreeSet};

use report::{Excerpt, Failure, Kind, SourceText, did_you_mean};

use crate::group::Group;
use crate::merge::{Depth, hiding, merge};
use crate::value::{Entry, Origin, Value};

pub use read::parse;

/// Most groups. Each is resolved with all that it inherits, so this bounds what a file of
/// [`crate::MAX_FILE_BYTES`] can be blown up to.
pub const MAX_GROUPS: usize = 512;

/// A nodes file without mistakes.
#[derive(Debug, Clone)]
pub struct NodesFile {
    /// Its name as the user knows it.
    pub file: String,
    /// `[settings]`.
    pub settings: Settings,
    /// `[stages.NAME]`.
    pub stages: BTreeMap<String, Stage>,
    base: BTreeMap<String, Entry>,
    groups: BTreeMap<String, Written>,
    source: SourceText,
}

/// `[settings]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Stands before a group's name in the name of its role.
    pub role_prefix: String,
    /// How dicts are merged.
    pub merge: Depth,
}

impl Default for Settings {
    fn default() -> Self {
        Self { role_prefix: "role-".to_owned(), merge: Depth::One }
    }
}

/// `[stages.NAME]`: attributes above those of every role.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// What it is for.
    pub description: String,
    /// Default attributes, if it has any.
    pub default_attributes: Option<Value>,
    /// Override attributes, if it has any.
    pub override_attributes: Option<Value>,
}

/// A group as it is written, without what it inherits.
#[derive(Debug, Clone)]
struct Written {
    name: Origin,
    keys: BTreeMap<String, Entry>,
}

/// A name that no group has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{file}` has no group `{name}`")]
pub struct UnknownGroup {
    /// The name.
    pub name: String,
    /// The file.
    pub file: String,
    /// What was probably meant.
    pub meant: Option<String>,
}

impl From<UnknownGroup> for Failure {
    fn from(error: UnknownGroup) -> Self {
        let failure = Failure::new(Kind::Usage, error.to_string());
        match error.meant {
            Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
            None => failure.hint("skep group:list"),
        }
    }
}

impl NodesFile {
    /// Returns the names of the groups, without `__base__`, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// Returns a group with all that it inherits.
    pub fn group(&self, name: &str) -> Result<Group, UnknownGroup> {
        match self.groups.get(name) {
            Some(written) => Ok(self.resolve(name, written)),
            None => Err(UnknownGroup {
                name: name.to_owned(),
                file: self.file.clone(),
                meant: did_you_mean(name, self.names()).map(str::to_owned),
            }),
        }
    }

    /// Returns every group with all that it inherits, one at a time.
    pub fn groups(&self) -> impl Iterator<Item = Group> {
        self.groups.iter().map(|(name, written)| self.resolve(name, written))
    }

    /// Returns the group that a `role[…]` of this name means: one of that name, else one whose role
    /// has it as its inner name.
    pub fn group_of_role(&self, role: &str) -> Option<&str> {
        let known = |name: &str| self.groups.get_key_value(name).map(|(name, _)| name.as_str());
        known(role).or_else(|| known(role.strip_prefix(&self.settings.role_prefix)?))
    }

    /// Returns the line that a value stands on, with the value underlined.
    pub fn excerpt(&self, origin: &Origin, label: impl Into<String>) -> Excerpt {
        self.source.excerpt(origin.span.clone(), label)
    }

    fn resolve(&self, name: &str, written: &Written) -> Group {
        let names: BTreeSet<&String> = self.base.keys().chain(written.keys.keys()).collect();
        let keys =
            names.into_iter().filter_map(|key| Some((key.clone(), self.value(written, key)?)));
        Group { name: name.to_owned(), origin: written.name.clone(), keys: keys.collect() }
    }

    /// Returns what a group has for one key.
    fn value(&self, written: &Written, key: &str) -> Option<Value> {
        let parent = self.base.get(key).map(|entry| entry.value.clone());
        // Two spellings of one question: the answer of a child is the answer.
        let other = match key {
            "source_ami" => "source_image",
            "source_image" => "source_ami",
            _ => "",
        };
        let Some(own) = written.keys.get(key) else {
            return parent.filter(|_| !written.keys.contains_key(other));
        };
        let mut value = own.value.clone();
        if let Some(parent) = parent {
            value = merge(parent, value, self.settings.merge);
        }
        if let Some(other) = self.base.get(other) {
            value = hiding(value, other.value.clone());
        }
        Some(value)
    }

    /// Returns whose image a group's own starts from, without resolving the group.
    fn source_image(&self, name: &str) -> Option<&str> {
        let own = &self.groups.get(name)?.keys;
        let image = match own.get("source_image") {
            None if own.contains_key("source_ami") => None,
            None => self.base.get("source_image"),
            image => image,
        };
        image?.value.as_text()
    }
}
