//! JSON with stable bytes.
//!
//! Written here and not by `serde_json`, whose text of doubles has changed between versions: the
//! rules, those of [`crate::role`], must outlive any library (docs/decisions/0015).

use std::fmt::Write as _;

use serde_json::Value as Json;

const INDENT: &str = "    ";

/// Appends a dict, its entries in the order in which they come.
pub(crate) fn dict<'v>(
    text: &mut String,
    entries: impl IntoIterator<Item = (&'v str, &'v Json)>,
    depth: usize,
) {
    block(text, ['{', '}'], entries, depth, |text, (key, value)| {
        string(text, key);
        text.push_str(": ");
        any(text, value, depth + 1);
    });
}

fn any(text: &mut String, value: &Json, depth: usize) {
    match value {
        Json::Null => text.push_str("null"),
        Json::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Json::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            // Debug is the shortest text that reads back, always with a point or an exponent.
            // Writing to a String cannot fail, here and below.
            Some(double) => {
                let _ = write!(text, "{double:?}");
            }
            None => {
                let _ = write!(text, "{number}");
            }
        },
        Json::String(value) => string(text, value),
        Json::Array(values) => {
            block(text, ['[', ']'], values, depth, |text, value| any(text, value, depth + 1));
        }
        Json::Object(entries) => {
            // Sorted here as well: whether a `Map` is depends on a feature of `serde_json`.
            let mut sorted: Vec<(&str, &Json)> =
                entries.iter().map(|(key, value)| (key.as_str(), value)).collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            dict(text, sorted, depth);
        }
    }
}

fn block<T>(
    text: &mut String,
    [open, close]: [char; 2],
    entries: impl IntoIterator<Item = T>,
    depth: usize,
    write: impl Fn(&mut String, T),
) {
    text.push(open);
    let mut separator = "\n";
    for entry in entries {
        text.push_str(separator);
        text.push_str(&INDENT.repeat(depth + 1));
        write(text, entry);
        separator = ",\n";
    }
    if separator == ",\n" {
        text.push('\n');
        text.push_str(&INDENT.repeat(depth));
    }
    text.push(close);
}

fn string(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            control if control < ' ' => {
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}
