//! How a command ends.

use home::HomeError;
use report::{Failure, Kind};

/// A command that did what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done, or nothing to do.
    Done,
    /// A plan that found changes.
    Changes,
    /// A check that found problems and printed them.
    Problems,
    /// Interrupted; the state was said.
    Interrupted,
}

impl Outcome {
    /// Returns the exit code.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Problems => Kind::Failed.exit_code(),
            Self::Changes => 2,
            Self::Interrupted => Kind::Interrupted.exit_code(),
        }
    }
}

/// A command that did not.
#[derive(Debug)]
pub(crate) enum Error {
    /// With everything a person needs to act on it. Boxed: it is large, and rare.
    Failure(Box<Failure>),
    /// Whoever read our standard output is gone (`skep logs | head`): nobody is left to tell, and
    /// nothing is wrong.
    ReaderGone,
}

/// What every command returns.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failure(Box::new(failure))
    }
}

impl From<HomeError> for Error {
    fn from(error: HomeError) -> Self {
        Failure::from(error).into()
    }
}

/// Returns a failure of the command line.
pub(crate) fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Kind::Usage, message)
}
