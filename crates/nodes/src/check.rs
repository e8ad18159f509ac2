//! Holds values against the key table.

use std::collections::BTreeMap;
use std::ops::Range;

use report::did_you_mean;
use report::quantity::{QuantityError, duration_text, parse_duration};

use crate::item::Item;
use crate::problem::Reading;
use crate::schema::{Absent, Key, Kind};
use crate::value::{Data, Entry, Value};

/// Longest list of a group's own, or of a role. A run list of fifty is long already.
pub const MAX_ITEMS: usize = 1024;

/// Reports keys that `keys` does not have and values that are not of their kind; `name` is what
/// messages call the dict.
pub(crate) fn entries(
    reading: &Reading<'_>,
    name: &str,
    keys: &'static [Key],
    entries: &BTreeMap<String, Entry>,
) {
    for (found, entry) in entries {
        match keys.iter().find(|key| key.name == found) {
            Some(key) => of_kind(reading, key.name, key.kind, &entry.value),
            None => unknown(reading, name, keys, found, entry.key.clone()),
        }
    }
}

fn unknown(
    reading: &Reading<'_>,
    name: &str,
    keys: &'static [Key],
    found: &str,
    span: Range<usize>,
) {
    if let Some(meant) = did_you_mean(found, keys.iter().map(|key| key.name)) {
        reading.add(span, format!("unknown key in {name}; did you mean `{meant}`?"));
    } else {
        let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
        reading.add(span, format!("unknown key in {name}"));
        reading.hint(format!("keys of {name}: {}", known.join(", ")));
    }
}

/// Returns the entries of a dict, or reports that it is none.
pub(crate) fn map<'v>(
    reading: &Reading<'_>,
    what: &str,
    value: &'v Value,
) -> Option<&'v BTreeMap<String, Entry>> {
    let entries = value.as_map();
    if entries.is_none() {
        expected(reading, what, value);
    }
    entries
}

/// Reports what a dict lacks.
pub(crate) fn complete(reading: &Reading<'_>, name: &str, keys: &'static [Key], dict: &Value) {
    let required = keys.iter().filter(|key| matches!(key.absent, Absent::Required));
    let missing: Vec<&str> =
        required.map(|key| key.name).filter(|key| dict.get(key).is_none()).collect();
    if !missing.is_empty() {
        let missing = missing.join("` and `");
        reading.add(dict.origin.span.clone(), format!("`{missing}` of {name} is missing"));
    }
}

/// Reports what is no run list, and items that are none.
pub(crate) fn run_list(reading: &Reading<'_>, list: &Value) {
    of_kind(reading, "run_list", Kind::Items, list);
}

fn of_kind(reading: &Reading<'_>, name: &str, kind: Kind, value: &Value) {
    let span = || value.origin.span.clone();
    match (kind, &value.data) {
        (Kind::Text, Data::Text(text)) => printable(reading, text, span()),
        (Kind::Text, Data::Number(number)) => {
            reading.add(span(), format!("expected a string; write `\"{number}\"`"));
        }
        (Kind::Text, _) => expected(reading, "a string", value),
        (Kind::Texts | Kind::Items, Data::List(values)) if values.len() > MAX_ITEMS => {
            reading.add(span(), format!("more than {MAX_ITEMS} items"));
        }
        (Kind::Texts | Kind::Items, Data::List(values)) => {
            for value in values {
                match (&value.data, kind) {
                    (Data::Text(text), Kind::Items) => item(reading, text, value),
                    (Data::Text(text), _) => printable(reading, text, value.origin.span.clone()),
                    _ => expected(reading, "a string", value),
                }
            }
        }
        (Kind::Texts | Kind::Items, Data::Text(_)) => {
            reading.add(span(), "expected a list; put it in `[` `]`");
        }
        (Kind::Texts, _) => expected(reading, "a list of strings", value),
        (Kind::Items, _) => expected(reading, "a list of items such as `recipe[nginx]`", value),
        (Kind::Attributes, Data::Map(_))
        | (Kind::Switched(_), Data::Boolean(false))
        | (Kind::Extended, Data::Boolean(_) | Data::Map(_)) => {}
        (Kind::Attributes, _) => expected(reading, "a dict", value),
        (Kind::Choice(choices), Data::Text(text)) if choices.contains(&text.as_str()) => {}
        (Kind::Choice(choices), Data::Text(text)) => {
            let label = match did_you_mean(text, choices.iter().copied()) {
                Some(meant) => format!("did you mean `\"{meant}\"`?"),
                None => format!("expected one of {}", quoted(choices)),
            };
            reading.add(span(), label);
        }
        (Kind::Choice(choices), _) => {
            expected(reading, &format!("one of {}", quoted(choices)), value);
        }
        (Kind::Integer { min, max }, Data::Number(_)) => {
            if !value.as_integer().is_some_and(|number| (min..=max).contains(&number)) {
                reading.add(span(), format!("expected a whole number from {min} to {max}"));
            }
        }
        (Kind::Integer { .. }, _) => expected(reading, "a whole number", value),
        (Kind::Duration { min_ms }, _) => duration(reading, min_ms, value),
        (Kind::Switched(keys), Data::Map(found)) => {
            entries(reading, &format!("`{name}`"), keys, found);
        }
        (Kind::Switched(keys), _) => {
            let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
            expected(reading, &format!("`false` or a dict with {}", names.join(", ")), value);
        }
        (Kind::Extended, _) => expected(reading, "`true`, `false` or a dict", value),
    }
}

fn duration(reading: &Reading<'_>, min_ms: u64, value: &Value) {
    let parsed = match &value.data {
        Data::Text(text) => parse_duration(text),
        Data::Number(number) => Err(QuantityError::NoUnit(number.to_string())),
        _ => return expected(reading, "a duration such as `\"30m\"`", value),
    };
    let label = match parsed {
        Ok(ms) if ms >= min_ms => return,
        Ok(_) => format!("must be at least `{}`", duration_text(min_ms)),
        Err(error) => error.to_string(),
    };
    reading.add(value.origin.span.clone(), label);
}

/// Reports an item that is none, under the characters that are wrong where the text stands in the
/// file as it is.
fn item(reading: &Reading<'_>, text: &str, value: &Value) {
    if let Err(error) = text.parse::<Item>() {
        let span = value.origin.span.clone();
        let written = reading.text.get(span.start + 1..span.start + 1 + text.len());
        let span = match written {
            Some(written) if written == text => {
                span.start + 1 + error.at.start..span.start + 1 + error.at.end
            }
            _ => span,
        };
        reading.add(span, error.message);
    }
}

/// Texts of the schema end up in names, tags and tables: one printable line each.
fn printable(reading: &Reading<'_>, text: &str, span: Range<usize>) {
    if let Some(character) = text.chars().find(|c| c.is_control()) {
        reading.add(span, format!("holds the control character {character:?}"));
    }
}

fn expected(reading: &Reading<'_>, what: &str, value: &Value) {
    let span = value.origin.span.clone();
    reading.add(span, format!("expected {what}, found {}", value.data.kind()));
}

fn quoted(choices: &[&str]) -> String {
    choices.iter().map(|choice| format!("`\"{choice}\"`")).collect::<Vec<_>>().join(", ")
}
