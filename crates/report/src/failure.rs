//! A failure as a person reads it, or as `--json` prints it.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::exit::Kind;
use crate::source::Excerpt;

/// A failure with everything needed to act on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its kind; decides the exit code.
    pub kind: Kind,
    /// What was tried on what: one line.
    pub message: String,
    /// Why, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// Places in the user's files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excerpts: Vec<Excerpt>,
    /// Labelled facts, for example `probes` or `log`; a value may have several lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<(String, String)>,
    /// What to do next, usually a command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

impl Failure {
    /// Returns a failure that so far has only its kind and message.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            causes: Vec::new(),
            excerpts: Vec::new(),
            details: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Returns `error` and its chain of sources as a failure.
    pub fn from_error(kind: Kind, error: &(dyn Error + 'static)) -> Self {
        let mut texts = chain(error).into_iter();
        let message = texts.next().unwrap_or_default();
        Self { causes: texts.collect(), ..Self::new(kind, message) }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds a cause behind those it has.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds `error` and its chain as causes.
    #[must_use]
    pub fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        self.causes.extend(chain(error));
        self
    }

    /// Adds a labelled fact.
    #[must_use]
    pub fn detail(mut self, label: impl Into<String>, text: impl Into<String>) -> Self {
        self.details.push((label.into(), text.into()));
        self
    }

    /// Adds a place in a file of the user's.
    #[must_use]
    pub fn excerpt(mut self, excerpt: Excerpt) -> Self {
        self.excerpts.push(excerpt);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        for cause in &self.causes {
            write!(f, "\n  caused by: {cause}")?;
        }
        for excerpt in &self.excerpts {
            write!(f, "\n{excerpt}")?;
        }
        let width = self.details.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        for (label, text) in &self.details {
            for (number, line) in text.lines().enumerate() {
                let label = if number == 0 { label.as_str() } else { "" };
                write!(f, "\n  {label:width$}  {line}")?;
            }
        }
        for hint in &self.hints {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl Error for Failure {}

/// Returns the texts of an error and its sources, outermost first, without repetitions.
pub fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        next = error.source();
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_from_what_to_why_to_next() {
        let failure = Failure::new(Kind::Failed, "shop v15 never became ready")
            .cause("exit 3")
            .detail("probes", "GET /: no answer ×31\nnothing accepts on the socket")
            .detail("log", "KeyError")
            .hint("skep env:set STRIPE_KEY");
        assert_eq!(
            failure.to_string(),
            "error: shop v15 never became ready\n  caused by: exit 3\n  \
             probes  GET /: no answer ×31\n          nothing accepts on the socket\n  \
             log     KeyError\nhint: skep env:set STRIPE_KEY"
        );
        assert_eq!(failure.kind.exit_code(), 1);
    }
}
