//! An error on its way from one of our functions through the interpreter to the user's line.

use report::did_you_mean;
use resource::PropertyProblem;

use crate::problem::{Cause, Problem};
use crate::request::LookupError;

/// What one of our functions refuses; where it was called is added by [`crate::trace`].
#[derive(Debug, thiserror::Error)]
#[error("{label}")]
pub(crate) struct Complaint {
    pub(crate) label: String,
    pub(crate) cause: Cause,
    pub(crate) hints: Vec<String>,
    /// Which argument is to blame.
    pub(crate) argument: Option<Argument>,
    /// What failed within the call: another file, whose places come first.
    pub(crate) within: Option<Box<Problem>>,
}

/// An argument of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Argument {
    Position(usize),
    Name(String),
}

impl Complaint {
    pub(crate) fn new(label: impl Into<String>) -> Self {
        let (hints, argument) = (Vec::new(), None);
        Self { label: label.into(), cause: Cause::Invalid, hints, argument, within: None }
    }

    pub(crate) fn limit(label: impl Into<String>) -> Self {
        Self { cause: Cause::Limit, ..Self::new(label) }
    }

    /// Returns a failure of another file, which this call caused.
    pub(crate) fn within(label: impl Into<String>, problem: Problem) -> Self {
        Self { cause: problem.cause, within: Some(Box::new(problem)), ..Self::new(label) }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub(crate) fn at(mut self, argument: Argument) -> Self {
        self.argument.get_or_insert(argument);
        self
    }

    pub(crate) fn at_name(self, name: &str) -> Self {
        self.at(Argument::Name(name.to_owned()))
    }

    pub(crate) fn at_position(self, position: usize) -> Self {
        self.at(Argument::Position(position))
    }

    /// Returns "no `what` `name` `whereabouts`", with what was probably meant, or else what there
    /// is.
    pub(crate) fn missing(what: &str, name: &str, whereabouts: &str, known: &[String]) -> Self {
        let gap = if whereabouts.is_empty() { "" } else { " " };
        let label = format!("no {what} `{name}`{gap}{whereabouts}");
        let complaint = match did_you_mean(name, known.iter().map(String::as_str)) {
            Some(meant) => return Self::new(format!("{label}; did you mean `{meant}`?")),
            None => Self::new(label),
        };
        /// More names than this help nobody.
        const MAX_NAMES: usize = 12;
        match known.len() {
            1..=MAX_NAMES => {
                let mut known: Vec<&str> = known.iter().map(String::as_str).collect();
                known.sort_unstable();
                complaint.hint(format!("there is {}", known.join(", ")))
            }
            _ => complaint,
        }
    }
}

impl From<LookupError> for Complaint {
    fn from(error: LookupError) -> Self {
        let LookupError { cause, message, hints } = error;
        Self { cause, hints, ..Self::new(message) }
    }
}

impl From<PropertyProblem> for Complaint {
    fn from(problem: PropertyProblem) -> Self {
        let complaint = Self::new(problem.to_string());
        match problem {
            PropertyProblem::Action { .. } => complaint.at_name("action"),
            PropertyProblem::Unknown { property, .. } => complaint.at_name(&property),
            PropertyProblem::Shape { property, .. } | PropertyProblem::Secret { property, .. } => {
                complaint.at_name(property)
            }
            PropertyProblem::Missing { .. } => complaint,
        }
    }
}

impl From<Complaint> for starlark::Error {
    fn from(complaint: Complaint) -> Self {
        Self::new_native(complaint)
    }
}
