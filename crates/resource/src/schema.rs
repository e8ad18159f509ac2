//! What a kind of resource takes: the source of its function, its reference page and its checks.

use std::path::PathBuf;

use report::quantity::parse_duration;
use report::{Secret, did_you_mean};
use serde::{Deserialize, Serialize};

use crate::declaration::Declaration;
use crate::value::Value;

/// A kind of resource, as everybody but itself knows it.
#[derive(Debug)]
pub struct Schema {
    /// Its name: that of the function that declares one.
    pub kind: &'static str,
    /// What it is, one sentence in the third person.
    pub summary: &'static str,
    /// The rule by which it is known to be as it should, for the reference.
    pub idempotence: &'static str,
    /// What is undone when its recipe leaves, for the reference.
    pub undo: &'static str,
    /// What a resource's name is: the property that is the name unless it is given itself.
    pub named: &'static str,
    /// What can be done; the first is done if nothing is said.
    pub actions: &'static [Action],
    /// What it takes, in the order of the reference.
    pub properties: &'static [Property],
    /// What a declaration needs and provides. Called after [`Schema::check`] only.
    pub relations: fn(&Declaration) -> Relations,
}

/// Something that a kind can do.
#[derive(Debug, Clone, Copy)]
pub struct Action {
    /// For example `create`.
    pub name: &'static str,
    /// What it does.
    pub text: &'static str,
}

/// Something that a kind takes.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// What it looks like.
    pub shape: Shape,
    /// Whether it must be given. The property that is the name never has to be.
    pub required: bool,
    /// Whether it may hold a secret; a secret elsewhere would be shown.
    pub secret: bool,
    /// What it means, with its default.
    pub text: &'static str,
}

/// What a value must look like.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// `True` or `False`.
    Bool,
    /// A whole number from 0.
    Count,
    /// Text that is not empty and holds no NUL.
    Text,
    /// Text or bytes, also none.
    Content,
    /// An absolute path without `..`.
    Path,
    /// Permissions: `"0644"` or `0o644`.
    Mode,
    /// A duration as text, `"30s"`.
    Duration,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A list of these; one alone stands for a list of one.
    ListOf(&'static Shape),
    /// A dict of these.
    MapOf(&'static Shape),
    /// Any value, also nested.
    Any,
}

/// Why a declaration does not fit its kind. Errors name the property; the place is the
/// declaration's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PropertyProblem {
    /// No such action.
    #[error("{kind} cannot `{action}`; it can {known}")]
    Action {
        /// The kind.
        kind: &'static str,
        /// What was asked for.
        action: String,
        /// What there is.
        known: String,
    },
    /// No such property.
    #[error("{kind} has no `{property}`{}", .meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default())]
    Unknown {
        /// The kind.
        kind: &'static str,
        /// What was given.
        property: String,
        /// What was probably meant.
        meant: Option<&'static str>,
    },
    /// Something is not there.
    #[error("{kind} needs `{property}`")]
    Missing {
        /// The kind.
        kind: &'static str,
        /// What is missing.
        property: &'static str,
    },
    /// A value of another shape.
    #[error("`{property}` of {kind} must be {expected}, not {found}")]
    Shape {
        /// The kind.
        kind: &'static str,
        /// The property.
        property: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A secret where it would be shown.
    #[error("`{property}` of {kind} cannot be a secret: it is shown in plans and lists")]
    Secret {
        /// The kind.
        kind: &'static str,
        /// The property.
        property: &'static str,
    },
}

impl Schema {
    /// Checks an action and properties.
    pub fn check(&self, declaration: &Declaration) -> Result<(), PropertyProblem> {
        let kind = self.kind;
        if !self.actions.iter().any(|action| action.name == declaration.action) {
            let known: Vec<_> = self.actions.iter().map(|a| format!("`{}`", a.name)).collect();
            let (action, known) = (declaration.action.clone(), known.join(", "));
            return Err(PropertyProblem::Action { kind, action, known });
        }
        for (name, value) in &declaration.properties {
            let Some(property) = self.property(name) else {
                let meant = did_you_mean(name, self.properties.iter().map(|p| p.name));
                return Err(PropertyProblem::Unknown { kind, property: name.clone(), meant });
            };
            let property_name = property.name;
            if value.is_secret() && !property.secret {
                return Err(PropertyProblem::Secret { kind, property: property_name });
            }
            if let Some(found) = property.shape.refuse(value) {
                let expected = property.shape.expected();
                return Err(PropertyProblem::Shape {
                    kind,
                    property: property_name,
                    expected,
                    found,
                });
            }
        }
        let missing = self.properties.iter().find(|property| {
            property.required
                && property.name != self.named
                && !declaration.properties.contains_key(property.name)
        });
        match missing {
            Some(property) => Err(PropertyProblem::Missing { kind, property: property.name }),
            // The name stands for a property, so it must look like one.
            None => self.check_name(declaration),
        }
    }

    fn check_name(&self, declaration: &Declaration) -> Result<(), PropertyProblem> {
        let given = declaration.properties.contains_key(self.named);
        let Some(property) = self.property(self.named).filter(|_| !given) else { return Ok(()) };
        match property.shape.refuse(&Value::text(&declaration.id.name)) {
            None => Ok(()),
            Some(found) => Err(PropertyProblem::Shape {
                kind: self.kind,
                property: property.name,
                expected: property.shape.expected(),
                found,
            }),
        }
    }

    /// Returns a property.
    pub fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    /// Returns the action that is meant if none is named.
    pub fn default_action(&self) -> &'static str {
        self.actions.first().map_or("", |action| action.name)
    }
}

impl Shape {
    /// Returns what a refused value looks like, or `None` if it fits.
    fn refuse(self, value: &Value) -> Option<String> {
        let fits = match (self, value) {
            (Self::Any, _)
            | (Self::Bool, Value::Bool(_))
            | (Self::Content, Value::Text(_) | Value::Bytes(_) | Value::Secret(_)) => true,
            (Self::Count, Value::Integer(count)) => *count >= 0,
            (Self::Mode, Value::Integer(mode)) => (0..=MAX_MODE).contains(mode),
            (Self::Text, Value::Secret(secret)) => is_text(secret.reveal()),
            (Self::ListOf(item), Value::List(items)) => {
                return items.iter().find_map(|value| item.refuse(value));
            }
            (Self::ListOf(item), value) => return item.refuse(value),
            (Self::MapOf(item), Value::Map(members)) => {
                return members.values().find_map(|value| item.refuse(value));
            }
            (Self::Text, Value::Text(text)) => is_text(text),
            (Self::Path, Value::Text(text)) => is_path(text),
            (Self::Mode, Value::Text(text)) => parse_mode(text).is_some(),
            (Self::Duration, Value::Text(text)) => parse_duration(text).is_ok(),
            (Self::Choice(known), Value::Text(text)) => known.contains(&&**text),
            _ => false,
        };
        if fits {
            return None;
        }
        Some(match value {
            Value::Text(text) => format!("`{text}`"),
            Value::Integer(integer) => format!("`{integer}`"),
            other => other.what().to_owned(),
        })
    }

    /// Returns what a value must be, for an error and for the reference.
    pub fn expected(self) -> String {
        match self {
            Self::Bool => "True or False".into(),
            Self::Count => "a whole number from 0".into(),
            Self::Text => "text that is not empty".into(),
            Self::Content => "text or a file's content".into(),
            Self::Path => "an absolute path without `..`".into(),
            Self::Mode => "permissions such as `\"0644\"`".into(),
            Self::Duration => "a duration such as `\"30s\"`".into(),
            Self::Choice(known) => {
                let known: Vec<_> = known.iter().map(|choice| format!("`{choice}`")).collect();
                format!("one of {}", known.join(", "))
            }
            Self::ListOf(item) => format!("a list, each {}", item.expected()),
            Self::MapOf(item) => format!("a dict, each value {}", item.expected()),
            Self::Any => "anything".into(),
        }
    }
}

/// Set-id, sticky and permission bits.
const MAX_MODE: i64 = 0o7777;

fn parse_mode(text: &str) -> Option<u32> {
    let octal = (3..=5).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let mode = octal.then(|| u32::from_str_radix(text, 8).ok()).flatten()?;
    (i64::from(mode) <= MAX_MODE).then_some(mode)
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && !text.contains('\0')
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && is_text(text) && !text.split('/').any(|part| part == "..")
}

/// Something on a machine that resources make or need.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thing {
    /// A path; whoever needs it needs the nearest one above it that somebody makes.
    Path(PathBuf),
    /// A user.
    User(String),
    /// A group.
    Group(String),
    /// A package; installing it also brings the directories and the user it comes with.
    Package(String),
    /// The lists of packages that can be had.
    PackageLists,
    /// A unit of the service manager.
    Unit(String),
}

/// What a declaration needs of others, and what it makes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relations {
    /// There when it is applied.
    pub provides: Vec<Thing>,
    /// Needed before; what nobody declares is looked for on the machine.
    pub needs: Vec<Thing>,
}

/// Typed access to checked properties. A value of another shape is taken for absent: the schema
/// has refused it.
#[derive(Debug, Clone, Copy)]
pub struct Properties<'a>(pub &'a Declaration);

impl<'a> Properties<'a> {
    /// Returns a property's value.
    pub fn get(self, name: &str) -> Option<&'a Value> {
        self.0.properties.get(name)
    }

    /// Returns the property that is the name: what was given, else the resource's name.
    pub fn named(self, schema: &Schema) -> &'a str {
        self.text(schema.named).unwrap_or(&self.0.id.name)
    }

    /// Returns text, also that of a secret.
    pub fn text(self, name: &str) -> Option<&'a str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            Value::Secret(secret) => Some(secret.reveal()),
            _ => None,
        }
    }

    /// Returns content, also that of a secret.
    pub fn content(self, name: &str) -> Option<&'a [u8]> {
        match self.get(name)? {
            Value::Bytes(bytes) => Some(bytes),
            _ => self.text(name).map(str::as_bytes),
        }
    }

    /// Returns a truth value; `otherwise` if it was not given.
    pub fn bool(self, name: &str, otherwise: bool) -> bool {
        match self.get(name) {
            Some(Value::Bool(bool)) => *bool,
            _ => otherwise,
        }
    }

    /// Returns a whole number from 0.
    pub fn count(self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Value::Integer(integer) => u64::try_from(*integer).ok(),
            _ => None,
        }
    }

    /// Returns permissions.
    pub fn mode(self, name: &str) -> Option<u32> {
        match self.get(name)? {
            Value::Integer(mode) => u32::try_from(*mode).ok(),
            Value::Text(text) => parse_mode(text),
            _ => None,
        }
    }

    /// Returns a duration in milliseconds.
    pub fn duration_ms(self, name: &str) -> Option<u64> {
        parse_duration(self.text(name)?).ok()
    }

    /// Returns a list; one alone is a list of one.
    pub fn list(self, name: &str) -> Option<&'a [Value]> {
        match self.get(name)? {
            Value::List(items) => Some(items),
            one => Some(std::slice::from_ref(one)),
        }
    }

    /// Returns a list of texts.
    pub fn texts(self, name: &str) -> Option<Vec<&'a str>> {
        let texts = self.list(name)?.iter().filter_map(|item| match item {
            Value::Text(text) => Some(&**text),
            _ => None,
        });
        Some(texts.collect())
    }

    /// Returns a dict's members.
    pub fn map(self, name: &str) -> Option<&'a std::collections::BTreeMap<String, Value>> {
        match self.get(name)? {
            Value::Map(members) => Some(members),
            _ => None,
        }
    }

    /// Returns a secret, or text that is treated as one.
    pub fn secret(self, name: &str) -> Option<Secret> {
        self.text(name).map(Secret::new)
    }
}
