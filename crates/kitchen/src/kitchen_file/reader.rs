//! Reads tables of the kitchen file, and collects what is wrong with it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use report::{Excerpt, Failure, Kind, SourceText, did_you_mean};
use toml_edit::{Item, TableLike, Value};

/// Most problems told at once; a screen is full.
const MAX_PROBLEMS: usize = 20;

/// Deepest nesting of attributes, as in the nodes file.
const MAX_DEPTH: usize = 32;

/// What is wrong with the file.
pub(super) struct Problems {
    file: String,
    source: SourceText,
    found: RefCell<(Vec<Excerpt>, usize, Vec<String>)>,
}

impl Problems {
    pub(super) fn new(file: &str, text: &str) -> Self {
        let source = SourceText::new(file, text);
        Self { file: file.to_owned(), source, found: RefCell::default() }
    }

    pub(super) fn add(&self, span: Range<usize>, label: impl Into<String>) {
        let (excerpts, count, _) = &mut *self.found.borrow_mut();
        *count += 1;
        if excerpts.len() < MAX_PROBLEMS {
            excerpts.push(self.source.excerpt(span, label));
        }
    }

    pub(super) fn hint(&self, hint: impl Into<String>) {
        self.found.borrow_mut().2.push(hint.into());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.borrow().1 == 0
    }

    pub(super) fn into_failure(self) -> Failure {
        let (excerpts, count, hints) = self.found.into_inner();
        let errors = if count == 1 { "error" } else { "errors" };
        let mut failure =
            Failure::new(Kind::Usage, format!("`{}` has {count} {errors}", self.file));
        (failure.excerpts, failure.hints) = (excerpts, hints);
        failure
    }
}

/// One table.
pub(super) struct Section<'a> {
    table: &'a dyn TableLike,
    span: Range<usize>,
}

impl<'a> Section<'a> {
    /// Opens a table; `name` is what messages call it.
    pub(super) fn open(
        name: &str,
        keys: &[&'static str],
        table: &'a dyn TableLike,
        span: Range<usize>,
        problems: &Problems,
    ) -> Self {
        let section = Self { table, span };
        for (found, _) in table.iter().filter(|(found, _)| !keys.contains(found)) {
            let place = section.place(found);
            if let Some(meant) = did_you_mean(found, keys.iter().copied()) {
                let label = format!("unknown key in {name}; did you mean `{meant}`?");
                problems.add(place, label);
            } else {
                problems.add(place, format!("unknown key in {name}"));
                problems.hint(format!("keys of {name}: {}", keys.join(", ")));
            }
        }
        section
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Says that a key should be there.
    pub(super) fn missing(&self, name: &str, problems: &Problems) {
        problems.add(self.span(), format!("`{name}` is missing"));
    }

    fn place(&self, name: &str) -> Range<usize> {
        let key = self.table.key(name).and_then(toml_edit::Key::span);
        key.or_else(|| self.table.get(name).and_then(Item::span)).unwrap_or_else(|| self.span())
    }

    fn get(&self, name: &str) -> Option<(&'a Item, Range<usize>)> {
        let item = self.table.get(name).filter(|item| !item.is_none())?;
        Some((item, item.span().unwrap_or_else(|| self.place(name))))
    }

    /// Returns the tables below a key.
    pub(super) fn tables(
        &self,
        name: &str,
        problems: &Problems,
    ) -> Vec<(String, Range<usize>, &'a dyn TableLike)> {
        let Some((item, span)) = self.get(name) else { return Vec::new() };
        let Some(all) = item.as_table_like() else {
            problems.add(span, "expected a table");
            return Vec::new();
        };
        let own = Section { table: all, span };
        let mut found = Vec::new();
        for (key, item) in all.iter() {
            match item.as_table_like() {
                Some(table) => found.push((key.to_owned(), own.place(key), table)),
                None => problems.add(own.place(key), "expected a table"),
            }
        }
        found
    }

    pub(super) fn text(&self, name: &str, problems: &Problems) -> Option<(String, Range<usize>)> {
        let (item, span) = self.get(name)?;
        let text = item.as_str().filter(|text| !text.is_empty() && !text.contains('\0'));
        if text.is_none() {
            problems.add(span.clone(), "expected text");
        }
        Some((text?.to_owned(), span))
    }

    pub(super) fn texts(&self, name: &str, problems: &Problems) -> Option<Vec<String>> {
        let (item, span) = self.get(name)?;
        let Some(items) = item.as_array() else {
            problems.add(span, "expected a list of texts");
            return Some(Vec::new());
        };
        let mut texts = Vec::new();
        for item in items {
            match item.as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => problems.add(item.span().unwrap_or_else(|| span.clone()), "expected text"),
            }
        }
        Some(texts)
    }

    pub(super) fn text_map(&self, name: &str, problems: &Problems) -> BTreeMap<String, String> {
        let Some((item, span)) = self.get(name) else { return BTreeMap::new() };
        let Some(table) = item.as_table_like() else {
            problems.add(span, "expected a table of texts");
            return BTreeMap::new();
        };
        let section = Section { table, span };
        let names = table.iter().map(|(name, _)| name.to_owned());
        names
            .filter_map(|name| {
                let text = section.text(&name, problems)?.0;
                Some((name, text))
            })
            .collect()
    }

    pub(super) fn values(
        &self,
        name: &str,
        problems: &Problems,
    ) -> serde_json::Map<String, serde_json::Value> {
        let Some((item, span)) = self.get(name) else { return serde_json::Map::new() };
        let values = match item.as_table_like() {
            Some(table) => json_table(table),
            None => Err("expected a table".to_owned()),
        };
        values.unwrap_or_else(|label| {
            problems.add(span, label);
            serde_json::Map::new()
        })
    }
}

/// Returns an item as JSON.
fn json_item(item: &Item) -> Result<serde_json::Value, String> {
    match item {
        Item::None => Ok(serde_json::Value::Null),
        Item::Value(value) => json(value, 0),
        Item::Table(table) => json_table(table).map(serde_json::Value::Object),
        Item::ArrayOfTables(tables) => {
            let tables = tables.iter().map(|table| json_table(table).map(Into::into));
            tables.collect::<Result<Vec<_>, _>>().map(serde_json::Value::Array)
        }
    }
}

fn json(value: &Value, depth: usize) -> Result<serde_json::Value, String> {
    if depth > MAX_DEPTH {
        return Err(format!("nested deeper than {MAX_DEPTH}"));
    }
    Ok(match value {
        Value::String(text) => text.value().as_str().into(),
        Value::Integer(number) => (*number.value()).into(),
        Value::Boolean(value) => (*value.value()).into(),
        Value::Float(number) => serde_json::Number::from_f64(*number.value())
            .map(serde_json::Value::Number)
            .ok_or("attributes have no `inf` and no `nan`")?,
        Value::Datetime(_) => return Err("attributes have no dates; write it as text".into()),
        Value::Array(items) => {
            let items = items.iter().map(|item| json(item, depth + 1));
            serde_json::Value::Array(items.collect::<Result<_, _>>()?)
        }
        Value::InlineTable(table) => {
            let members =
                table.iter().map(|(name, value)| Ok((name.to_owned(), json(value, depth + 1)?)));
            serde_json::Value::Object(members.collect::<Result<_, String>>()?)
        }
    })
}

/// Returns the table's entries as JSON, for attributes.
fn json_table(table: &dyn TableLike) -> Result<serde_json::Map<String, serde_json::Value>, String> {
    table.iter().map(|(name, item)| Ok((name.to_owned(), json_item(item)?))).collect()
}
