//! One resource as a recipe declared it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// Which resource: its kind and its name, `file[/etc/motd]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceId {
    /// The kind: the function that declared it.
    pub kind: String,
    /// Its name: unique within its kind.
    pub name: String,
}

impl ResourceId {
    /// Returns an id.
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), name: name.into() }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.kind, self.name)
    }
}

/// A recipe, `nginx::default`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecipeName {
    /// Its cookbook.
    pub cookbook: String,
    /// Its name within that; the recipe of a bare cookbook is `default`.
    pub recipe: String,
}

impl RecipeName {
    /// Returns a name.
    pub fn new(cookbook: impl Into<String>, recipe: impl Into<String>) -> Self {
        Self { cookbook: cookbook.into(), recipe: recipe.into() }
    }
}

impl fmt::Display for RecipeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.cookbook, self.recipe)
    }
}

/// A place in a file of the user's, as messages name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The file, relative to the repository.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What must be true, or must not, for a resource to be looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// Whether the condition must hold (`only_if`) or must not (`not_if`).
    pub wanted: bool,
    /// What is asked.
    pub condition: Condition,
}

/// A question to the machine. All but [`Condition::Command`] are answered without starting
/// anything, and in a plan from what the plan will have done by then.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Something is at this absolute path.
    Exists(String),
    /// A package is installed.
    Installed(String),
    /// A user is known.
    User(String),
    /// A command ends with status 0. One that ends in time neither way is an error, never "no".
    Command {
        /// The program and its arguments.
        arguments: Vec<String>,
        /// As whom it runs; root if nobody is named.
        user: Option<String>,
        /// Where it runs; `/` if nothing is named.
        directory: Option<String>,
        /// How long it may take, in milliseconds.
        timeout_ms: u64,
    },
}

/// When a notified resource acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// Once, after everything else was applied.
    Delayed,
    /// Right after the resource that notifies.
    Immediate,
}

/// What happens to another resource when this one has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// The action, one of the target's kind.
    pub action: String,
    /// The resource that acts.
    pub target: ResourceId,
    /// When.
    pub timing: Timing,
}

/// One resource as a recipe declared it. Whoever makes one has it checked by
/// [`Schema::check`](crate::Schema::check); what other resources it names is checked by
/// [`ResourceList::new`](crate::ResourceList::new).
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// Which.
    pub id: ResourceId,
    /// What is to be done: one of the kind's actions.
    pub action: String,
    /// What was given, by name; what was not given is absent, and never [`Value::Null`].
    pub properties: BTreeMap<String, Value>,
    /// The recipe that owns it.
    pub recipe: RecipeName,
    /// Where it was declared, innermost call first: a custom resource has its own line and that of
    /// whoever called it.
    pub places: Vec<Place>,
    /// All must agree for the resource to be looked at.
    pub guards: Vec<Guard>,
    /// Resources that come first; if one of them fails, this one is not looked at.
    pub after: Vec<ResourceId>,
    /// What this one's change causes.
    pub notifies: Vec<Notification>,
    /// As whom what it starts runs; root if nobody is named.
    pub user: Option<String>,
    /// How often a failed apply is tried again.
    pub retries: u32,
    /// Between two of them, in milliseconds.
    pub retry_delay_ms: u64,
    /// How long one apply may take, in milliseconds; the kind's own limit if nothing is said.
    pub timeout_ms: Option<u64>,
    /// Whether the run goes on if it fails.
    pub ignore_failure: bool,
    /// Whether its content is kept out of everything that is shown, secret or not.
    pub sensitive: bool,
}

impl Declaration {
    /// Returns a declaration with nothing but what every one has.
    pub fn new(id: ResourceId, action: impl Into<String>, recipe: RecipeName, at: Place) -> Self {
        Self {
            id,
            action: action.into(),
            properties: BTreeMap::new(),
            recipe,
            places: vec![at],
            guards: Vec::new(),
            after: Vec::new(),
            notifies: Vec::new(),
            user: None,
            retries: 0,
            retry_delay_ms: 0,
            timeout_ms: None,
            ignore_failure: false,
            sensitive: false,
        }
    }

    /// Returns the declaration with one more property.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.properties.insert(name.into(), value.into());
        self
    }

    /// Returns where the user wrote it: the outermost call.
    pub fn place(&self) -> Option<&Place> {
        self.places.last()
    }

    /// Returns whether anything of it must not be shown.
    pub fn is_sensitive(&self) -> bool {
        self.sensitive || self.properties.values().any(Value::is_secret)
    }
}
