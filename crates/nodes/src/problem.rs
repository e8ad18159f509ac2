//! Everything that is wrong with one file, collected so that it is told at once.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use report::{Excerpt, Failure, Kind, SourceText};

use crate::locate::Locator;
use crate::value::Origin;

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

/// One file that is being read: its text, and what was found wrong with it so far.
#[derive(Debug)]
pub(crate) struct Reading<'t> {
    pub(crate) file: Arc<str>,
    pub(crate) text: &'t str,
    source: SourceText,
    locator: Locator<'t>,
    found: RefCell<Found>,
}

#[derive(Debug, Default)]
struct Found {
    excerpts: Vec<Excerpt>,
    omitted: usize,
    hints: Vec<String>,
}

impl<'t> Reading<'t> {
    pub(crate) fn new(file: &str, text: &'t str) -> Self {
        Self {
            file: file.into(),
            text,
            source: SourceText::new(file, text),
            locator: Locator::new(text),
            found: RefCell::default(),
        }
    }

    /// Returns the origin of what `group` wrote at `span`.
    pub(crate) fn origin(&self, group: &Arc<str>, span: Range<usize>) -> Origin {
        Origin {
            group: group.clone(),
            file: self.file.clone(),
            position: self.locator.position(span.start),
            span,
        }
    }

    pub(crate) fn add(&self, span: Range<usize>, label: impl Into<String>) {
        let mut found = self.found.borrow_mut();
        if found.excerpts.len() == MAX_PROBLEMS {
            found.omitted += 1;
            return;
        }
        let excerpt = self.source.excerpt(span, label);
        // What a group inherits is checked with each group.
        if !found.excerpts.contains(&excerpt) {
            found.excerpts.push(excerpt);
        }
    }

    pub(crate) fn hint(&self, hint: impl Into<String>) {
        let hint = hint.into();
        let mut found = self.found.borrow_mut();
        if found.hints.len() < MAX_PROBLEMS && !found.hints.contains(&hint) {
            found.hints.push(hint);
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.found.borrow().excerpts.is_empty()
    }

    /// Returns the problems, or `value` if there are none.
    pub(crate) fn into_result<T>(self, value: Option<T>) -> Result<T, ParseErrors> {
        let Found { mut excerpts, omitted, hints } = self.found.into_inner();
        match value {
            Some(value) if excerpts.is_empty() => Ok(value),
            _ => {
                excerpts.sort_by_key(|excerpt| excerpt.position);
                Err(ParseErrors { file: self.file.to_string(), excerpts, omitted, hints })
            }
        }
    }
}
