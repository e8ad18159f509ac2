//! A value of a file, and where it came from.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use report::Position;
use serde::{Serialize, Serializer};
use serde_json::Number;

/// Where a value was written, and who gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The group that gave it; for what belongs to no group the top-level key, for a role its file.
    #[serde(serialize_with = "shared")]
    pub group: Arc<str>,
    /// The file's name as the user knows it.
    #[serde(serialize_with = "shared")]
    pub file: Arc<str>,
    /// Line and column.
    #[serde(flatten)]
    pub position: Position,
    /// Its bytes in the file's text.
    #[serde(skip)]
    pub span: Range<usize>,
}

/// Serializes shared text like any other; serde has it behind a feature of all of its users.
fn shared<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl Origin {
    /// Returns `FILE:LINE`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.position.line)
    }
}

/// A value with its origin and with what it hides.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// What it is.
    pub data: Data,
    /// Where it was written.
    pub origin: Origin,
    /// The value of the parent that a merge put this one in place of.
    pub hides: Option<Box<Value>>,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// `null`, which only JSON has.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number from -2⁶³ to 2⁶⁴-1, or a finite double.
    Number(Number),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A dict. Sorted by key: neither the order in the file nor its format decides what a role's
    /// bytes are.
    Map(BTreeMap<String, Entry>),
}

/// One entry of a dict.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where the key stands in the file's text.
    pub key: Range<usize>,
    /// Its value.
    pub value: Value,
}

impl Data {
    /// Returns what it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a dict",
        }
    }
}

impl Value {
    /// Returns the value without its origins.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.data {
            Data::Null => serde_json::Value::Null,
            Data::Boolean(value) => (*value).into(),
            Data::Number(number) => number.clone().into(),
            Data::Text(text) => text.clone().into(),
            Data::List(values) => values.iter().map(Self::to_json).collect(),
            Data::Map(entries) => entries
                .iter()
                .map(|(key, entry)| (key.clone(), entry.value.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// Returns the text of a string.
    pub fn as_text(&self) -> Option<&str> {
        if let Data::Text(text) = &self.data { Some(text) } else { None }
    }

    /// Returns the value of a boolean.
    pub fn as_boolean(&self) -> Option<bool> {
        if let Data::Boolean(value) = self.data { Some(value) } else { None }
    }

    /// Returns a whole number.
    pub fn as_integer(&self) -> Option<i64> {
        if let Data::Number(number) = &self.data { number.as_i64() } else { None }
    }

    /// Returns the values of a list; none of anything else.
    pub fn items(&self) -> &[Self] {
        if let Data::List(values) = &self.data { values } else { &[] }
    }

    /// Returns the entries of a dict.
    pub fn as_map(&self) -> Option<&BTreeMap<String, Entry>> {
        if let Data::Map(entries) = &self.data { Some(entries) } else { None }
    }

    /// Returns the value of a key of a dict.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.get(key).map(|entry| &entry.value)
    }
}

/// Returns `path` with a key behind it, quoted where it could be misread: `a.b."c.d"`.
pub(crate) fn join(path: &str, key: &str) -> String {
    let plain =
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let key = if plain { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
