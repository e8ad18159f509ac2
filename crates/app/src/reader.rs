//! Reads one table of a TOML document against its key table.
//!
//! Opening a [`Section`] reports the keys it should not have; each typed method reports a value of
//! the wrong kind or out of range and then behaves as if the key were absent, so that one reading
//! finds every mistake.

use std::ops::Range;

use report::did_you_mean;
use toml_edit::{Item, TableLike};

use crate::problem::{Problems, Show};
use crate::schema::{Key, Kind, MAX_ENTRIES, MAX_TEXT_BYTES};
use report::quantity::{QuantityError, duration_text, parse_duration, parse_signal, parse_size};

/// Where something stands in the text.
pub(crate) type Span = Range<usize>;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// One table of the document, or none at all: then every key is absent.
pub(crate) struct Section<'a> {
    keys: &'static [Key],
    table: Option<&'a dyn TableLike>,
    span: Span,
    problems: &'a Problems,
    show: Show,
}

impl<'a> Section<'a> {
    /// Opens a table; `name` is what messages call it, `show` whether its lines may be secrets.
    pub(crate) fn open(
        name: &str,
        keys: &'static [Key],
        table: &'a dyn TableLike,
        span: Span,
        problems: &'a Problems,
        show: Show,
    ) -> Self {
        for (found, item) in table.iter() {
            if item.is_none() || keys.iter().any(|key| key.name == found) {
                continue;
            }
            let place = key_span(table, found).unwrap_or_else(|| span.clone());
            let meant = did_you_mean(found, keys.iter().map(|key| key.name));
            let label = match meant {
                Some(meant) => format!("unknown key in {name}; did you mean `{meant}`?"),
                None => format!("unknown key in {name}"),
            };
            if meant.is_none() {
                let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
                problems.hint(format!("keys of {name}: {}", known.join(", ")));
            }
            problems.add_shown(place, label, show);
        }
        Self { keys, table: Some(table), span, problems, show }
    }

    /// Returns a section in which every key is absent.
    pub(crate) fn absent(keys: &'static [Key], span: Span, problems: &'a Problems) -> Self {
        Self { keys, table: None, span, problems, show: Show::Line }
    }

    /// Returns where the table itself stands.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    pub(crate) fn problems(&self) -> &'a Problems {
        self.problems
    }

    /// Returns where a key stands, if it is there.
    pub(crate) fn key(&self, name: &str) -> Option<Span> {
        let table = self.table?;
        table.get(name).filter(|item| !item.is_none())?;
        Some(key_span(table, name).unwrap_or_else(|| self.span()))
    }

    pub(crate) fn text(&self, name: &str) -> Option<Spanned<String>> {
        let (item, span) = self.item(name)?;
        self.text_of(item, span)
    }

    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        let (item, span) = self.item(name)?;
        let value = item.as_bool();
        if value.is_none() {
            self.expected("`true` or `false`", item, span);
        }
        value
    }

    /// Returns an integer, or the default that the key table has.
    pub(crate) fn integer(&self, name: &str) -> Option<u64> {
        let key = self.schema(name);
        let default = || key.default_text().and_then(|text| text.parse().ok());
        let Some((item, span)) = self.item(name) else { return default() };
        let Kind::Integer { min, max } = key.kind else { return default() };
        match item.as_integer() {
            Some(value) if (min..=max).contains(&value) => u64::try_from(value).ok(),
            Some(_) => {
                self.add(span, format!("expected a number from {min} to {max}"));
                default()
            }
            None => {
                self.expected(&format!("a whole number from {min} to {max}"), item, span);
                default()
            }
        }
    }

    /// Returns a duration in milliseconds, or the default that the key table has.
    pub(crate) fn duration_ms(&self, name: &str) -> u64 {
        let key = self.schema(name);
        let default =
            || key.default_text().and_then(|text| parse_duration(text).ok()).unwrap_or_default();
        let Some((item, span)) = self.item(name) else { return default() };
        let min_ms = if let Kind::Duration { min_ms } = key.kind { min_ms } else { 0 };
        let parsed = match (item.as_str(), item.as_integer()) {
            (Some(text), _) => parse_duration(text),
            (None, Some(number)) => Err(QuantityError::NoUnit(number.to_string())),
            (None, None) => {
                self.expected("a duration such as `\"30s\"`", item, span);
                return default();
            }
        };
        match parsed {
            Ok(ms) if ms >= min_ms => return ms,
            Ok(_) => self.add(span, format!("must be at least `{}`", duration_text(min_ms))),
            Err(error) => self.add(span, error.to_string()),
        }
        default()
    }

    /// Returns a size in bytes, or the default that the key table has.
    pub(crate) fn size_bytes(&self, name: &str) -> u64 {
        let key = self.schema(name);
        let default =
            || key.default_text().and_then(|text| parse_size(text).ok()).unwrap_or_default();
        let Some((item, span)) = self.item(name) else { return default() };
        let parsed = match (item.as_str(), item.as_integer()) {
            (Some(text), _) => parse_size(text),
            (None, Some(number)) => u64::try_from(number).map_err(|_| QuantityError::NotASize),
            (None, None) => {
                self.expected("a size such as `\"100MB\"`", item, span);
                return default();
            }
        };
        parsed.unwrap_or_else(|error| {
            self.add(span, error.to_string());
            default()
        })
    }

    pub(crate) fn signal(&self, name: &str) -> Option<i32> {
        let text = self.text(name)?;
        match parse_signal(&text.value) {
            Ok(number) => Some(number),
            Err(error) => {
                self.add(text.span, error.to_string());
                None
            }
        }
    }

    /// Returns one of the key's choices, or its default.
    pub(crate) fn choice(&self, name: &str) -> &'static str {
        let key = self.schema(name);
        let default = key.default_text().unwrap_or_default();
        let Kind::Choice(choices) = key.kind else { return default };
        let Some(text) = self.text(name) else { return default };
        if let Some(choice) = choices.iter().find(|choice| **choice == text.value) {
            return choice;
        }
        let known: Vec<String> = choices.iter().map(|choice| format!("`\"{choice}\"`")).collect();
        let label = match did_you_mean(&text.value, choices.iter().copied()) {
            Some(meant) => format!("did you mean `\"{meant}\"`?"),
            None => format!("expected one of {}", known.join(", ")),
        };
        self.add(text.span, label);
        default
    }

    /// Returns a list of strings; a lone string is refused with the list to write.
    pub(crate) fn texts(&self, name: &str) -> Vec<Spanned<String>> {
        let Some((item, span)) = self.item(name) else { return Vec::new() };
        let Some(array) = item.as_array() else {
            match item.as_str() {
                Some(_) => self.add(span, "expected a list; put it in `[` `]`"),
                None => self.expected("a list of strings", item, span),
            }
            return Vec::new();
        };
        if array.len() > MAX_ENTRIES {
            self.add(span, format!("more than {MAX_ENTRIES} entries"));
            return Vec::new();
        }
        let mut texts = Vec::with_capacity(array.len());
        for value in array {
            let span = value.span().unwrap_or_else(|| span.clone());
            match value.as_str() {
                Some(text) => texts.extend(self.checked(text, span)),
                None => self.add(span, format!("expected a string, found {}", value.type_name())),
            }
        }
        texts
    }

    /// Opens the table of a key; absent, every key of it is.
    pub(crate) fn table(&self, name: &'static str) -> Section<'a> {
        let keys = match self.schema(name).kind {
            Kind::Table(keys) => keys,
            _ => &[],
        };
        match self.entries(name) {
            Some((table, span)) => {
                Section::open(&format!("[{name}]"), keys, table, span, self.problems, self.show)
            }
            None => Section::absent(keys, self.span(), self.problems),
        }
    }

    /// Returns the table of a key whose names are the user's.
    pub(crate) fn entries(&self, name: &str) -> Option<(&'a dyn TableLike, Span)> {
        let (item, span) = self.item(name)?;
        let Some(table) = item.as_table_like() else {
            self.expected("a table", item, span);
            return None;
        };
        if table.len() > MAX_ENTRIES {
            self.add(span, format!("more than {MAX_ENTRIES} entries"));
            return None;
        }
        Some((table, span))
    }

    /// Returns the text of a value that must be one.
    pub(crate) fn text_of(&self, item: &Item, span: Span) -> Option<Spanned<String>> {
        if let Some(text) = item.as_str() {
            return self.checked(text, span);
        }
        match item.as_value().map(ToString::to_string) {
            // `python = 3.10` is the number 3.1: the text as it was written helps.
            Some(text) if item.is_integer() || item.is_float() || item.is_bool() => {
                self.add(span, format!("expected a string; write `\"{}\"`", text.trim()));
            }
            _ => self.expected("a string", item, span),
        }
        None
    }

    pub(crate) fn add(&self, span: Span, label: impl Into<String>) {
        self.problems.add_shown(span, label, self.show);
    }

    fn checked(&self, text: &str, span: Span) -> Option<Spanned<String>> {
        if text.contains('\0') {
            self.add(span, "holds a NUL character");
            return None;
        }
        Some(Spanned { value: text.to_owned(), span })
    }

    fn expected(&self, what: &str, item: &Item, span: Span) {
        self.add(span, format!("expected {what}, found {}", item.type_name()));
    }

    fn item(&self, name: &str) -> Option<(&'a Item, Span)> {
        debug_assert!(self.keys.iter().any(|key| key.name == name), "no such key: {name}");
        let table = self.table?;
        let item = table.get(name).filter(|item| !item.is_none())?;
        // Tables made by headers or dotted keys span their header, or nothing.
        let span = item.span().or_else(|| key_span(table, name)).unwrap_or_else(|| self.span());
        Some((item, span))
    }

    fn schema(&self, name: &str) -> &'static Key {
        let found = self.keys.iter().find(|key| key.name == name);
        found.expect("keys are read only under names of the key table; the sample file reads all")
    }
}

/// Returns where the key of an entry stands.
pub(crate) fn key_span(table: &dyn TableLike, name: &str) -> Option<Span> {
    table.key(name).and_then(toml_edit::Key::span)
}

/// Returns whether a text is short and printable enough to be a path, a host or a name.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TEXT_BYTES && !text.chars().any(char::is_control)
}
