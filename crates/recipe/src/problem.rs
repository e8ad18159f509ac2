//! Why recipes could not be evaluated, in the user's own lines.

use report::{Excerpt, Failure, Kind};

/// An evaluation that gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to evaluate {what}")]
pub struct Problem {
    /// The recipe of the run list.
    pub what: String,
    /// What kind of failure it is.
    pub cause: Cause,
    /// Why, where no line of the user's can be blamed.
    pub reasons: Vec<String>,
    /// The place, its label being the reason, then whoever called it, outwards.
    pub excerpts: Vec<Excerpt>,
    /// What to do.
    pub hints: Vec<String>,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A file of the user's is wrong, or missing.
    Invalid,
    /// A bound of [`crate::limits`] was met.
    Limit,
    /// It was told to end.
    Cancelled,
    /// Something could not be looked up.
    Unavailable,
    /// A defect.
    Internal,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let kind = match problem.cause {
            Cause::Invalid | Cause::Limit => Kind::Usage,
            Cause::Cancelled => Kind::Interrupted,
            Cause::Unavailable => Kind::Unavailable,
            Cause::Internal => Kind::Internal,
        };
        let mut failure = Failure::new(kind, problem.to_string());
        failure.causes = problem.reasons;
        failure.excerpts = problem.excerpts;
        failure.hints = problem.hints;
        failure
    }
}
