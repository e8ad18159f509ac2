//! Why a step could not be taken, with what a person needs to act on it.

use disk::DiskError;
use environment::{KeyError, VariablesError};
use report::{Failure, Kind};
use routing::{DrainError, RoutingError};
use store::StoreError;
use supervise::{SuperviseError, WaitError};

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The store failed; nothing was changed by this step.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody else changed the same record.
    #[error("`{key}` was changed by somebody else")]
    Conflict {
        /// The record's key.
        key: String,
    },
    /// A shim failed.
    #[error(transparent)]
    Supervise(#[from] SuperviseError),
    /// A shim did not come to the state that was waited for.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// The proxies did not acknowledge.
    #[error(transparent)]
    Routing(#[from] RoutingError),
    /// A drain ended with the agent.
    #[error(transparent)]
    Drain(#[from] DrainError),
    /// Variables could not be read.
    #[error(transparent)]
    Variables(#[from] VariablesError),
    /// The key could not be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A release is not in the store.
    #[error("{app} has no release v{number}")]
    NoRelease {
        /// The app.
        app: String,
        /// Its number.
        number: u32,
    },
    /// Something that is told to the user as it is.
    #[error("{}", .0.message)]
    Told(Box<Failure>),
    /// Cancelled on request.
    #[error("cancelled")]
    Cancelled,
}

impl From<Failure> for DeployError {
    fn from(failure: Failure) -> Self {
        Self::Told(Box::new(failure))
    }
}

impl From<DeployError> for Failure {
    fn from(error: DeployError) -> Self {
        let kind = match error {
            DeployError::Told(failure) => return *failure,
            // These know better whose fault they are, and what to type next.
            DeployError::Variables(error) => return error.into(),
            DeployError::Key(error) => return (&error).into(),
            DeployError::NoRelease { ref app, .. } => {
                let hint = format!("skep releases {app}");
                return Self::from_error(Kind::Usage, &error).hint(hint);
            }
            DeployError::Cancelled => Kind::Interrupted,
            DeployError::Conflict { .. } => Kind::Locked,
            DeployError::Store(_)
            | DeployError::Supervise(_)
            | DeployError::Wait(_)
            | DeployError::Routing(_)
            | DeployError::Drain(_)
            | DeployError::Disk(_) => Kind::Failed,
        };
        Self::from_error(kind, &error)
    }
}
