//! A property's value, with the knowledge whether it is secret.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use report::Secret;

/// Deepest nesting of lists and maps: more is a mistake or an attack.
pub const MAX_DEPTH: usize = 64;

/// A value of a property, an attribute or a data bag.
#[derive(Clone, PartialEq, Default)]
pub enum Value {
    /// Nothing: as if the property were not given.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Another number; never NaN or infinite.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// Bytes that are no text, such as a file of a cookbook.
    Bytes(Arc<[u8]>),
    /// Text that must not be shown.
    Secret(Secret),
    /// Several.
    List(Vec<Value>),
    /// By name, in the order of names, so that what is printed and hashed is stable.
    Map(BTreeMap<String, Value>),
}

/// Why JSON is no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Beyond 64 bits.
    #[error("the number {0} does not fit into 64 bits")]
    Number(String),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    Depth,
}

impl Value {
    /// Returns text as a value.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().into())
    }

    /// Returns JSON as a value.
    pub fn from_json(json: serde_json::Value) -> Result<Self, ValueError> {
        Self::at_depth(json, 0)
    }

    fn at_depth(json: serde_json::Value, depth: usize) -> Result<Self, ValueError> {
        use serde_json::Value as Json;
        if depth > MAX_DEPTH {
            return Err(ValueError::Depth);
        }
        Ok(match json {
            Json::Null => Self::Null,
            Json::Bool(bool) => Self::Bool(bool),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Self::Integer(integer),
                // A whole number beyond i64 would lose its last digits in silence.
                (None, Some(float)) if !number.is_u64() && float.is_finite() => Self::Float(float),
                _ => return Err(ValueError::Number(number.to_string())),
            },
            Json::String(text) => Self::Text(text.into()),
            Json::Array(items) => {
                let items = items.into_iter().map(|item| Self::at_depth(item, depth + 1));
                Self::List(items.collect::<Result<_, _>>()?)
            }
            Json::Object(members) => {
                let members = members
                    .into_iter()
                    .map(|(key, value)| Ok((key, Self::at_depth(value, depth + 1)?)));
                Self::Map(members.collect::<Result<_, _>>()?)
            }
        })
    }

    /// Returns the value as JSON with each secret as `null` and bytes as their number, for people
    /// and for `--json`; not a way to store it.
    pub fn to_shown_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Null | Self::Secret(_) => Json::Null,
            Self::Bool(bool) => Json::Bool(*bool),
            Self::Integer(integer) => Json::from(*integer),
            Self::Float(float) => Json::from(*float),
            Self::Text(text) => Json::from(&**text),
            Self::Bytes(bytes) => Json::from(format!("{} bytes", bytes.len())),
            Self::List(items) => Json::Array(items.iter().map(Self::to_shown_json).collect()),
            Self::Map(members) => Json::Object(
                members.iter().map(|(key, value)| (key.clone(), value.to_shown_json())).collect(),
            ),
        }
    }

    /// Returns whether anything in it is secret.
    pub fn is_secret(&self) -> bool {
        match self {
            Self::Secret(_) => true,
            Self::List(items) => items.iter().any(Self::is_secret),
            Self::Map(members) => members.values().any(Self::is_secret),
            _ => false,
        }
    }

    /// Returns what it is called in an error: "text", "a list".
    pub fn what(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Secret(_) => "a secret",
            Self::List(_) => "a list",
            Self::Map(_) => "a dict",
        }
    }

    /// Feeds the value to a digest: equal values the same bytes, different ones different bytes.
    /// Secrets are fed as they are: a digest that is kept must be keyed.
    pub fn feed(&self, sink: &mut impl FnMut(&[u8])) {
        let mut sized = |tag: u8, bytes: &[u8]| {
            sink(&[tag]);
            sink(&(bytes.len() as u64).to_le_bytes());
            sink(bytes);
        };
        match self {
            Self::Null => sized(0, &[]),
            Self::Bool(bool) => sized(1, &[u8::from(*bool)]),
            Self::Integer(integer) => sized(2, &integer.to_le_bytes()),
            Self::Float(float) => sized(3, &float.to_le_bytes()),
            // The same text is the same file, secret or not.
            Self::Text(text) => sized(4, text.as_bytes()),
            Self::Secret(secret) => sized(4, secret.reveal().as_bytes()),
            Self::Bytes(bytes) => sized(5, bytes),
            Self::List(items) => {
                sized(6, &(items.len() as u64).to_le_bytes());
                for item in items {
                    item.feed(sink);
                }
            }
            Self::Map(members) => {
                sized(7, &(members.len() as u64).to_le_bytes());
                for (key, value) in members {
                    Self::text(key).feed(sink);
                    value.feed(sink);
                }
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<i64> for Value {
    fn from(integer: i64) -> Self {
        Self::Integer(integer)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(bool) => write!(f, "{bool}"),
            Self::Integer(integer) => write!(f, "{integer}"),
            Self::Float(float) => write!(f, "{float:?}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Secret(secret) => write!(f, "{secret:?}"),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Map(members) => f.debug_map().entries(members).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Integer),
            "[a-c]{0,3}".prop_map(Value::text),
            proptest::collection::vec(any::<u8>(), 0..3).prop_map(|b| Value::Bytes(b.into())),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
                proptest::collection::btree_map("[a-c]{0,2}", inner, 0..3).prop_map(Value::Map),
            ]
        })
    }

    fn fed(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        value.feed(&mut |part| bytes.extend_from_slice(part));
        bytes
    }

    proptest! {
        #[test]
        fn what_is_fed_tells_values_apart(a in any_value(), b in any_value()) {
            prop_assert_eq!(a == b, fed(&a) == fed(&b));
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let secret = Value::List(vec![Value::Secret(Secret::new("hunter2"))]);
        assert!(secret.is_secret());
        assert!(!format!("{secret:?}{}", secret.to_shown_json()).contains("hunter2"));
        assert_eq!(fed(&Value::Secret(Secret::new("x"))), fed(&Value::text("x")));
    }

    #[test]
    fn numbers_do_not_lose_digits() {
        let read = |text: &str| Value::from_json(serde_json::from_str(text).unwrap());
        assert_eq!(read("9223372036854775807"), Ok(Value::Integer(i64::MAX)));
        let too_large = ValueError::Number("9223372036854775808".into());
        assert_eq!(read("9223372036854775808"), Err(too_large));
        assert_eq!(read("0.5"), Ok(Value::Float(0.5)));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth| (0..depth).fold(serde_json::Value::Null, |v, _| vec![v].into());
        assert!(Value::from_json(nested(MAX_DEPTH)).is_ok());
        assert_eq!(Value::from_json(nested(MAX_DEPTH + 1)), Err(ValueError::Depth));
    }
}
