//! From values of files, which have places, to values of recipes, which may be secret.

use nodes::Data;
use resource::Value;

/// Returns a file's value as recipes see it.
pub(crate) fn plain(value: &nodes::Value) -> Value {
    match &value.data {
        Data::Null => Value::Null,
        Data::Boolean(bool) => Value::Bool(*bool),
        Data::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::Integer(integer),
            // Whole numbers beyond i64 lose digits as a float; as text they keep them.
            (None, _) if number.is_u64() => Value::text(number.to_string()),
            (None, Some(float)) => Value::Float(float),
            (None, None) => Value::text(number.to_string()),
        },
        Data::Text(text) => Value::text(text),
        Data::List(items) => Value::List(items.iter().map(plain).collect()),
        Data::Map(entries) => Value::Map(
            entries.iter().map(|(key, entry)| (key.clone(), plain(&entry.value))).collect(),
        ),
    }
}
