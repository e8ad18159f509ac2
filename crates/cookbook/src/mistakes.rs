//! What is wrong with one file, collected so that it is told at once.

use std::collections::BTreeMap;
use std::ops::Range;

use nodes::{Entry, MAX_PROBLEMS, ParseErrors, Value, read_value};
use report::{SourceText, did_you_mean};

/// One file that is being checked.
#[derive(Debug)]
pub(crate) struct Mistakes {
    source: SourceText,
    errors: ParseErrors,
}

impl Mistakes {
    /// Reads a file's text; `giver` is who gives its values.
    pub(crate) fn read(file: &str, text: &str, giver: &str) -> Result<(Self, Value), ParseErrors> {
        let root = read_value(file, text, giver)?;
        let errors = ParseErrors {
            file: file.to_owned(),
            excerpts: Vec::new(),
            omitted: 0,
            hints: Vec::new(),
        };
        Ok((Self { source: SourceText::new(file, text), errors }, root))
    }

    pub(crate) fn add(&mut self, span: Range<usize>, label: impl Into<String>) {
        match self.errors.excerpts.len() {
            MAX_PROBLEMS.. => self.errors.omitted += 1,
            _ => self.errors.excerpts.push(self.source.excerpt(span, label)),
        }
    }

    pub(crate) fn hint(&mut self, hint: impl Into<String>) {
        let hint = hint.into();
        if !self.errors.hints.contains(&hint) {
            self.errors.hints.push(hint);
        }
    }

    /// Says that a value is not what it should be.
    pub(crate) fn expected(&mut self, what: &str, value: &Value) {
        let label = format!("expected {what}, found {}", value.data.kind());
        self.add(value.origin.span.clone(), label);
    }

    /// Returns the entries of a dict, after saying which of its keys are unknown.
    pub(crate) fn dict<'v>(
        &mut self,
        what: &str,
        value: &'v Value,
        known: &[&str],
    ) -> Option<&'v BTreeMap<String, Entry>> {
        let entries = self.any_dict(what, value)?;
        for (key, entry) in entries.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            if let Some(meant) = did_you_mean(key, known.iter().copied()) {
                let label = format!("unknown key in {what}; did you mean `{meant}`?");
                self.add(entry.key.clone(), label);
            } else {
                self.add(entry.key.clone(), format!("unknown key in {what}"));
                self.hint(format!("keys of {what}: {}", known.join(", ")));
            }
        }
        Some(entries)
    }

    /// Returns the entries of a dict with any keys.
    pub(crate) fn any_dict<'v>(
        &mut self,
        what: &str,
        value: &'v Value,
    ) -> Option<&'v BTreeMap<String, Entry>> {
        let entries = value.as_map();
        if entries.is_none() {
            self.expected(&format!("a dict: {what}"), value);
        }
        entries
    }

    /// Returns the text of a key, `None` if it is not there or something else.
    pub(crate) fn text<'v>(
        &mut self,
        entries: &'v BTreeMap<String, Entry>,
        key: &str,
    ) -> Option<(&'v str, &'v Value)> {
        let value = &entries.get(key)?.value;
        match value.as_text() {
            Some(text) if text.chars().any(|c| c.is_control() && c != '\n') => {
                self.add(value.origin.span.clone(), "holds a control character");
                None
            }
            Some(text) => Some((text, value)),
            None => {
                self.expected("a string", value);
                None
            }
        }
    }

    /// Returns the text of a key that has to be there.
    pub(crate) fn required<'v>(
        &mut self,
        what: &str,
        within: &'v Value,
        key: &str,
    ) -> Option<(&'v str, &'v Value)> {
        let entries = within.as_map()?;
        if !entries.contains_key(key) {
            let start = within.origin.span.start;
            self.add(start..start + 1, format!("`{key}` of {what} is missing"));
        }
        self.text(entries, key)
    }

    /// Returns the value, or what is wrong.
    pub(crate) fn into_result<T>(mut self, value: Option<T>) -> Result<T, ParseErrors> {
        match value {
            Some(value) if self.errors.excerpts.is_empty() => Ok(value),
            _ => {
                self.errors.excerpts.sort_by_key(|excerpt| excerpt.position);
                Err(self.errors)
            }
        }
    }

    /// Returns the text with its name, for later errors.
    pub(crate) fn source(&self) -> SourceText {
        self.source.clone()
    }
}
