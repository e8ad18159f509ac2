//! The one table of exit codes.

use serde::{Deserialize, Serialize};

/// What kind of failure it is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It failed; the state before is intact.
    Failed,
    /// A part was done; the rest is listed.
    Partial,
    /// It failed and could not be undone wholly; what is left is listed.
    Leftovers,
    /// It exists already.
    Exists,
    /// Somebody else is at it, or a newer request took its place.
    Locked,
    /// The command line or a file of the user's is invalid.
    Usage,
    /// The agent, the store or a provider cannot be reached.
    Unavailable,
    /// Temporary; the same command may work later.
    Temporary,
    /// Not permitted.
    Permission,
    /// Interrupted; the message says in which state.
    Interrupted,
    /// A defect of ours, or a kind of a later version.
    #[serde(other)]
    Internal,
}

impl Kind {
    /// Returns the exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed | Self::Internal => 1,
            Self::Partial => 3,
            Self::Leftovers => 4,
            Self::Exists => 5,
            Self::Locked => 6,
            Self::Usage => 64,
            Self::Unavailable => 69,
            Self::Temporary => 75,
            Self::Permission => 77,
            Self::Interrupted => 130,
        }
    }
}
