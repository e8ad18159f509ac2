//! TOML text as a [`Value`].
//!
//! `toml_edit` keeps the places and refuses a key that is there twice. What JSON, and with it a
//! role, cannot say is refused: dates, times, `inf` and `nan`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Number;
use toml_edit::{Document, Item, TableLike, Value as Node};

use crate::document::{Givers, MAX_DEPTH};
use crate::problem::Reading;
use crate::value::{Data, Entry, Value};

/// Reads a text; what is wrong with it is added to `reading`.
pub(crate) fn read(reading: &Reading<'_>, givers: &Givers) -> Option<Value> {
    match Document::parse(reading.text) {
        Ok(document) => {
            let walk = Walk { reading, givers };
            Some(walk.table(document.as_table(), 0..0, &givers.root(), 0))
        }
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            reading.add(span, error.message().trim().replace('\n', "; "));
            None
        }
    }
}

struct Walk<'a, 't> {
    reading: &'a Reading<'t>,
    givers: &'a Givers,
}

impl Walk<'_, '_> {
    fn table(
        &self,
        table: &dyn TableLike,
        span: Range<usize>,
        group: &Arc<str>,
        depth: usize,
    ) -> Value {
        let mut entries = BTreeMap::new();
        if self.is_too_deep(&span, depth) {
            return self.value(Data::Null, group, span);
        }
        for (name, item) in table.iter() {
            let key = table
                .key(name)
                .and_then(toml_edit::Key::span)
                .or_else(|| item.span())
                .unwrap_or_else(|| span.clone());
            let giver = self.givers.below(depth, name, group);
            let value = match item {
                Item::None => continue,
                Item::Value(node) => self.node(node, &key, &giver, depth + 1),
                // A header or dotted keys: the key is the only thing to point at.
                Item::Table(table) => self.table(table, key.clone(), &giver, depth + 1),
                Item::ArrayOfTables(tables) => {
                    let values = tables
                        .iter()
                        .map(|table| {
                            let span = table.span().unwrap_or_else(|| key.clone());
                            self.table(table, span, &giver, depth + 2)
                        })
                        .collect();
                    self.value(Data::List(values), &giver, key.clone())
                }
            };
            entries.insert(name.to_owned(), Entry { key, value });
        }
        self.value(Data::Map(entries), group, span)
    }

    fn node(&self, node: &Node, key: &Range<usize>, group: &Arc<str>, depth: usize) -> Value {
        let span = node.span().unwrap_or_else(|| key.clone());
        let data = match node {
            Node::String(text) => Data::Text(text.value().clone()),
            Node::Integer(number) => Data::Number((*number.value()).into()),
            Node::Boolean(value) => Data::Boolean(*value.value()),
            Node::Float(number) => match Number::from_f64(*number.value()) {
                Some(number) => Data::Number(number),
                None => self.refused(&span, "JSON has no `inf` and no `nan`"),
            },
            Node::Datetime(_) => self.refused(&span, "JSON has no dates; write it as a string"),
            Node::InlineTable(table) => return self.table(table, span, group, depth),
            Node::Array(_) if self.is_too_deep(&span, depth) => Data::Null,
            Node::Array(array) => Data::List(
                array.iter().map(|node| self.node(node, &span, group, depth + 1)).collect(),
            ),
        };
        self.value(data, group, span)
    }

    fn is_too_deep(&self, span: &Range<usize>, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            self.reading.add(span.clone(), format!("nested deeper than {MAX_DEPTH}"));
        }
        depth > MAX_DEPTH
    }

    fn refused(&self, span: &Range<usize>, label: &str) -> Data {
        self.reading.add(span.clone(), label);
        Data::Null
    }

    fn value(&self, data: Data, group: &Arc<str>, span: Range<usize>) -> Value {
        Value { data, origin: self.reading.origin(group, span), hides: None }
    }
}
