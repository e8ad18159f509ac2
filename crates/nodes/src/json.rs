//! JSON text as a [`Value`].
//!
//! Two parsers read it. `serde_json` says whether it is JSON at all (RFC 8259, nothing more): no
//! comments, no trailing commas, no control characters in strings. `jsonc-parser` says where
//! everything stands; its leniencies are switched off, and what it would still let pass the other
//! has refused. A key that is there twice is refused here: readers differ in which one they take.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::ops::Range;
use std::sync::Arc;

use jsonc_parser::ast::{ObjectPropName, Value as Node};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, parse_to_ast};
use serde_json::Number;

use crate::document::{Givers, MAX_DEPTH};
use crate::problem::Reading;
use crate::value::{Data, Entry, Value};

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Reads a text; what is wrong with it is added to `reading`.
pub(crate) fn read(reading: &Reading<'_>, givers: &Givers) -> Option<Value> {
    // Not `IgnoredAny`, which looks less closely and points less exactly.
    if let Err(error) = serde_json::from_str::<serde_json::Value>(reading.text) {
        let offset = offset(reading.text, error.line(), error.column());
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or(&text);
        reading.add(offset..offset + 1, format!("not JSON: {what}"));
        return None;
    }
    let collect = CollectOptions { comments: CommentCollectionStrategy::Off, tokens: false };
    match parse_to_ast(reading.text, &collect, &STRICT) {
        Ok(parsed) => {
            let node = parsed.value?;
            let group = givers.root();
            Some(convert(reading, &node, &group, givers, 0))
        }
        Err(error) => {
            let what = error.kind().to_string().to_lowercase();
            reading.add(span(&error.range()), format!("not JSON: {what}"));
            None
        }
    }
}

fn convert(
    reading: &Reading<'_>,
    node: &Node<'_>,
    group: &Arc<str>,
    givers: &Givers,
    depth: usize,
) -> Value {
    let range = span(&node.range());
    let data = match node {
        Node::Array(_) | Node::Object(_) if depth > MAX_DEPTH => {
            reading.add(range.start..range.start + 1, format!("nested deeper than {MAX_DEPTH}"));
            Data::Null
        }
        Node::NullKeyword(_) => Data::Null,
        Node::BooleanLit(literal) => Data::Boolean(literal.value),
        Node::StringLit(literal) => Data::Text(literal.value.clone().into_owned()),
        Node::NumberLit(literal) => number(reading, literal.value, range.clone()),
        Node::Array(array) => Data::List(
            array
                .elements
                .iter()
                .map(|element| convert(reading, element, group, givers, depth + 1))
                .collect(),
        ),
        Node::Object(object) => {
            let mut entries = BTreeMap::new();
            for property in &object.properties {
                let (name, key) = match &property.name {
                    ObjectPropName::String(name) => (name.value.as_ref(), span(&name.range)),
                    ObjectPropName::Word(name) => (name.value, span(&name.range)),
                };
                let giver = givers.below(depth, name, group);
                match entries.entry(name.to_owned()) {
                    Slot::Occupied(_) => reading.add(key, "this key is there twice"),
                    Slot::Vacant(slot) => {
                        let value = convert(reading, &property.value, &giver, givers, depth + 1);
                        slot.insert(Entry { key, value });
                    }
                }
            }
            Data::Map(entries)
        }
    };
    Value { data, origin: reading.origin(group, range), hides: None }
}

/// Reads a number so that it is written again as it was meant: `serde_json` rounds some doubles by
/// a digit, and an integer that fits neither `i64` nor `u64` would silently become a double.
fn number(reading: &Reading<'_>, text: &str, range: Range<usize>) -> Data {
    if text.contains(['.', 'e', 'E']) || text == "-0" {
        if let Some(number) = text.parse().ok().and_then(Number::from_f64) {
            return Data::Number(number);
        }
        reading.add(range, "a number that is too large; write it as a string");
        return Data::Null;
    }
    let whole = text.parse::<i64>().map(Number::from);
    if let Ok(number) = whole.or_else(|_| text.parse::<u64>().map(Number::from)) {
        return Data::Number(number);
    }
    reading.add(range, "a whole number beyond 64 bits; write it as a string");
    Data::Null
}

fn span(range: &jsonc_parser::common::Range) -> Range<usize> {
    range.start..range.end
}

/// Returns the byte that `serde_json` points at: it counts columns in bytes, and a line's end is
/// column 0 of the next.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start = match line {
        0 | 1 => 0,
        _ => text.match_indices('\n').nth(line - 2).map_or(text.len(), |(newline, _)| newline + 1),
    };
    (start + column.saturating_sub(1)).min(text.len())
}
