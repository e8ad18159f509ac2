//! From the template engine's errors to the user's lines.

use std::collections::BTreeMap;
use std::error::Error as _;

use minijinja::{Error, ErrorKind};
use report::{Excerpt, SourceText, did_you_mean};
use resource::Value;

use super::view::{NODE, Tracker};
use super::{Cookbook, File};
use crate::attribute;
use crate::complaint::Complaint;
use crate::limits::{MAX_RENDERED_BYTES, MAX_TEMPLATE_DEPTH, TEMPLATE_FUEL};
use crate::problem::{Cause, Problem};
use crate::secret::redact_texts;

/// What the writer says when a text is too long.
pub(super) const TOO_LONG: &str = "the text is too long";

/// Most errors that are followed: an include within an include.
const MAX_CHAIN: usize = 8;

/// Returns what the call that wanted the template says.
pub(super) fn complaint(
    error: &Error,
    cookbook: &Cookbook,
    tracker: &Tracker,
    names: &[String],
) -> Complaint {
    // The innermost error is the place, those around it are includes.
    let mut chain = vec![error];
    let mut at = error.source();
    while let Some(inner) = at {
        if let Some(inner) = inner.downcast_ref::<Error>()
            && chain.len() < MAX_CHAIN
        {
            chain.push(inner);
        }
        at = inner.source();
    }
    let innermost = chain[chain.len() - 1];
    let secrets = tracker.secrets();
    let (cause, label) = said(error, innermost);
    let mut excerpts = Vec::new();
    for (number, error) in chain.iter().rev().enumerate() {
        let label =
            if number == 0 { redact_texts(&label, &secrets) } else { "included here".into() };
        excerpts.extend(excerpt(error, &cookbook.files, label));
    }
    excerpts.dedup();
    let placed = !excerpts.is_empty();
    let problem = Problem {
        what: "a template".to_owned(),
        cause,
        reasons: if placed { Vec::new() } else { vec![redact_texts(&label, &secrets)] },
        excerpts,
        hints: hints(innermost, names, &cookbook.attributes),
    };
    Complaint::within("rendered here", problem)
}

fn said(outer: &Error, error: &Error) -> (Cause, String) {
    if is_too_long(outer) {
        return (Cause::Limit, format!("the text is longer than {MAX_RENDERED_BYTES} bytes"));
    }
    match error.kind() {
        // The engine has no kind for it; a test holds the text.
        ErrorKind::InvalidOperation if error.detail() == Some("recursion limit exceeded") => {
            (Cause::Limit, format!("includes and macros nest deeper than {MAX_TEMPLATE_DEPTH}"))
        }
        ErrorKind::OutOfFuel => (
            Cause::Limit,
            format!("more than {TEMPLATE_FUEL} steps: is there a loop that does not end?"),
        ),
        ErrorKind::UndefinedError => {
            (Cause::Invalid, error.detail().unwrap_or("a value is not defined").to_owned())
        }
        kind => match error.detail() {
            Some(detail) if kind == ErrorKind::SyntaxError => {
                (Cause::Invalid, format!("{kind}: {detail}"))
            }
            Some(detail) => (Cause::Invalid, detail.to_owned()),
            None => (Cause::Invalid, kind.to_string()),
        },
    }
}

fn is_too_long(error: &Error) -> bool {
    let mut at = error.source();
    while let Some(source) = at {
        if source.to_string() == TOO_LONG {
            return true;
        }
        at = source.source();
    }
    false
}

/// Returns what was probably meant by something that is not defined.
fn hints(error: &Error, names: &[String], attributes: &Value) -> Vec<String> {
    if error.kind() != ErrorKind::UndefinedError {
        return Vec::new();
    }
    let expression = error.detail().and_then(|detail| detail.split('`').nth(1));
    let Some(expression) = expression else { return Vec::new() };
    if let Some(path) = expression.strip_prefix(NODE).and_then(|rest| rest.strip_prefix('.')) {
        let missing = attribute::find(attributes, path).err();
        return missing.map(|missing| missing.label).into_iter().collect();
    }
    let name = expression.split(['.', '[', '(']).next().unwrap_or_default();
    match did_you_mean(name, names.iter().map(String::as_str)) {
        _ if names.iter().any(|known| known == name) => Vec::new(),
        Some(meant) => vec![format!("did you mean `{meant}`?")],
        None => {
            vec![format!("templates see `vars` by their names, and attributes as `{NODE}.…`")]
        }
    }
}

fn excerpt(error: &Error, files: &BTreeMap<String, File>, label: String) -> Option<Excerpt> {
    let file = files.get(error.name()?)?;
    let text = file.text.as_ref().ok()?;
    let source = SourceText::new(&file.name, text);
    let span = error.range().or_else(|| {
        let line = error.line()?;
        let start: usize =
            text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let length = text[start..].lines().next().map_or(0, str::len);
        Some(start..start + length)
    });
    Some(source.excerpt(span?, label))
}
