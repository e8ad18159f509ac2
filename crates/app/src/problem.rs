//! Everything that is wrong with one file, collected so that it is told at once.

use std::cell::RefCell;
use std::ops::Range;

use report::{Excerpt, Failure, Kind, SourceText};

/// Most problems told at once; more are counted. A file with more than these has one mistake at
/// its root, and a screen is full.
pub const MAX_PROBLEMS: usize = 20;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{file}` has {} {}", self.count(), if self.count() == 1 { "error" } else { "errors" })]
pub struct ParseErrors {
    /// The file's name as the user knows it.
    pub file: String,
    /// One place for each problem, in the file's order; the label says what is wrong.
    pub excerpts: Vec<Excerpt>,
    /// Problems behind [`MAX_PROBLEMS`].
    pub omitted: usize,
    /// What to do about them.
    pub hints: Vec<String>,
}

impl ParseErrors {
    fn count(&self) -> usize {
        self.excerpts.len() + self.omitted
    }
}

impl From<ParseErrors> for Failure {
    fn from(errors: ParseErrors) -> Self {
        let mut failure = Failure::new(Kind::Usage, errors.to_string());
        failure.excerpts = errors.excerpts;
        failure.hints = errors.hints;
        if errors.omitted > 0 {
            failure = failure.hint(format!("the first {MAX_PROBLEMS} are shown"));
        }
        failure
    }
}

/// Whether a line may be shown as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// As it is.
    Line,
    /// Without what stands in quotes behind a `=`: it may be a secret.
    Masked,
    /// Without anything that stands behind a `=`, quoted or not.
    Hidden,
}

/// Collects problems of one file.
#[derive(Debug)]
pub(crate) struct Problems {
    file: String,
    source: SourceText,
    found: RefCell<Found>,
}

#[derive(Debug, Default)]
struct Found {
    excerpts: Vec<Excerpt>,
    omitted: usize,
    hints: Vec<String>,
}

impl Problems {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.to_owned(),
            source: SourceText::new(file, text),
            found: RefCell::default(),
        }
    }

    /// Returns `file:line` of an offset.
    pub(crate) fn place(&self, offset: usize) -> String {
        format!("{}:{}", self.file, self.source.position(offset).line)
    }

    pub(crate) fn add(&self, span: Range<usize>, label: impl Into<String>) {
        self.add_shown(span, label, Show::Line);
    }

    pub(crate) fn add_shown(&self, span: Range<usize>, label: impl Into<String>, show: Show) {
        let mut found = self.found.borrow_mut();
        if found.excerpts.len() == MAX_PROBLEMS {
            found.omitted += 1;
            return;
        }
        let mut excerpt = self.source.excerpt(span, label);
        match show {
            Show::Line => {}
            Show::Masked => excerpt.line = mask(&excerpt.line),
            Show::Hidden => excerpt.line = hide(&excerpt.line),
        }
        // The same is found twice where two rules see it.
        if !found.excerpts.contains(&excerpt) {
            found.excerpts.push(excerpt);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.borrow().excerpts.is_empty()
    }

    pub(crate) fn hint(&self, hint: impl Into<String>) {
        let hint = hint.into();
        let mut found = self.found.borrow_mut();
        if found.hints.len() < MAX_PROBLEMS && !found.hints.contains(&hint) {
            found.hints.push(hint);
        }
    }

    /// Returns the problems, or `value` if there are none.
    pub(crate) fn into_result<T>(self, value: Option<T>) -> Result<T, ParseErrors> {
        let Found { mut excerpts, omitted, hints } = self.found.into_inner();
        match value {
            Some(value) if excerpts.is_empty() => Ok(value),
            _ => {
                excerpts.sort_by_key(|excerpt| excerpt.position);
                Err(ParseErrors { file: self.file, excerpts, omitted, hints })
            }
        }
    }
}

/// Replaces all that stands behind the first `=`.
fn hide(line: &str) -> String {
    match line.split_once('=') {
        Some((before, value)) => format!("{before}={}", "•".repeat(value.chars().count())),
        None => line.to_owned(),
    }
}

/// Replaces what stands in quotes behind the first `=`, keeping the line's length so that the
/// caret stays where it belongs.
fn mask(line: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut value = false;
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for c in line.chars() {
        match quote {
            None => {
                value |= c == '=';
                if value && (c == '"' || c == '\'') {
                    quote = Some(c);
                }
                masked.push(c);
            }
            Some(open) if c == open && !escaped => {
                quote = None;
                masked.push(c);
            }
            Some(open) => {
                escaped = open == '"' && c == '\\' && !escaped;
                masked.push('•');
            }
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_quotes_are_masked_and_keep_their_width() {
        assert_eq!(
            mask(r#"K = { value = "a\"b", about = 'x' }"#),
            "K = { value = \"••••\", about = '•' }"
        );
        assert_eq!(mask("\"odd key\" = 1"), "\"odd key\" = 1");
    }

    #[test]
    fn problems_behind_the_bound_are_counted() {
        let text = "x\n".repeat(MAX_PROBLEMS + 3);
        let problems = Problems::new("skep.toml", &text);
        for line in 0..MAX_PROBLEMS + 3 {
            problems.add(line * 2..line * 2 + 1, "wrong");
        }
        let errors = problems.into_result(None::<()>).unwrap_err();
        assert_eq!(errors.to_string(), format!("`skep.toml` has {} errors", MAX_PROBLEMS + 3));
        let failure = Failure::from(errors);
        assert_eq!(failure.kind, Kind::Usage);
        assert_eq!(failure.hints, ["the first 20 are shown"]);
    }
}
