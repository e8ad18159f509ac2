//! Why the agent could not be started or stopped.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use control::{ConnectionError, HelloError};
use control_tokio::DialError;
use disk::DiskError;
use home::HomeError;
use report::{Failure, Kind};

/// What went wrong between a command and the agent's shim.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The home cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A file failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another command is at it.
    #[error("another command has been starting or stopping the agent for {} s", patience.as_secs())]
    Locked {
        /// How long was waited for it.
        patience: Duration,
    },
    /// The agent's program cannot be executed.
    #[error("failed to start the agent `{}`", program.display())]
    Program {
        /// Its path.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The shim's program could not be started.
    #[error("failed to start the agent's shim `{}`", program.display())]
    Launch {
        /// Its path.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The shim ended before it could be reached, or never listened.
    #[error("failed to start the agent: {reason}")]
    ShimFailed {
        /// How, with its last words.
        reason: String,
    },
    /// The shim's socket cannot be reached.
    #[error("failed to reach the agent's shim")]
    Dial(#[from] DialError),
    /// The shim is there and does not answer.
    #[error("the agent's shim does not answer: {reason}")]
    Unresponsive {
        /// Its process and what it does.
        reason: String,
    },
    /// It must not be talked to.
    #[error("the agent's shim and this program do not fit together")]
    Disagreed(#[from] HelloError),
    /// The connection failed.
    #[error("lost the agent's shim")]
    Connection(#[from] ConnectionError),
    /// The connection ended.
    #[error("the agent's shim ended while it was asked to {request}")]
    Closed {
        /// What was going on.
        request: String,
    },
    /// The shim said no.
    #[error("the agent's shim refused to {request}: {reason}")]
    Refused {
        /// What was asked.
        request: String,
        /// In its words.
        reason: String,
    },
    /// The shim answered, and the state that was waited for did not come.
    #[error("the agent's shim did not {request} in time; the agent is {state}")]
    TooLate {
        /// What was asked last.
        request: String,
        /// The slot's phase.
        state: String,
    },
    /// The agent's process ended as soon as it was started.
    #[error("the agent ended at once: {reason}")]
    AgentEnded {
        /// Its exit and last status.
        reason: String,
    },
}

impl From<BootstrapError> for Failure {
    fn from(error: BootstrapError) -> Self {
        use BootstrapError as E;
        let denied = |kind: io::ErrorKind| kind == io::ErrorKind::PermissionDenied;
        let error = match error {
            E::Home(error) => return error.into(),
            other => other,
        };
        let (kind, hint) = match &error {
            E::Disk(disk) if denied(disk.kind()) => {
                (Kind::Permission, "run it as the user whose SKEP_HOME this is")
            }
            E::Dial(DialError::Connect { source, .. }) if denied(source.kind()) => {
                (Kind::Permission, "run it as the user whose SKEP_HOME this is")
            }
            E::Locked { .. } => (Kind::Locked, "try again when the other command has ended"),
            E::Disagreed(_) => (
                Kind::Unavailable,
                "use the `skep` that started this installation, or set SKEP_HOME",
            ),
            E::AgentEnded { .. } => (Kind::Failed, "skep agent:run shows why"),
            _ => (Kind::Unavailable, "skep doctor"),
        };
        Self::from_error(kind, &error).hint(hint)
    }
}
