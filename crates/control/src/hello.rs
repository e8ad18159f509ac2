//! The first frame in both directions.

use serde::{Deserialize, Serialize};

/// The protocol versions this build speaks, lowest and highest.
pub const PROTOCOL: [u32; 2] = [1, 1];

/// Which party is speaking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The node daemon.
    Agent,
    /// A command that starts or stops the agent itself.
    Command,
    /// The keeper of one service.
    Shim,
    /// The HTTP edge.
    Proxy,
    /// A role of a later version.
    #[serde(other)]
    Unknown,
}

/// Who is speaking, and what it understands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Lowest and highest protocol version the speaker understands.
    pub protocol: [u32; 2],
    /// The speaker.
    pub role: Role,
    /// Version and commit of its build, for people.
    pub build: String,
    /// The boot it runs in; state of another boot is void.
    pub boot_id: String,
    /// The installation it belongs to.
    pub installation: String,
}

/// Two parties that must not work together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// No protocol version in common.
    #[error("peer build {peer_build} speaks protocols {theirs:?}, this build {PROTOCOL:?}")]
    Protocol {
        /// The peer's range.
        theirs: [u32; 2],
        /// The peer's build.
        peer_build: String,
    },
    /// The peer belongs to another installation.
    #[error("peer belongs to installation {theirs}, not to {ours}")]
    Installation {
        /// Ours.
        ours: String,
        /// The peer's.
        theirs: String,
    },
    /// The peer is something else than expected.
    #[error("peer is a {theirs:?}, expected a {expected:?}")]
    Role {
        /// Who was expected.
        expected: Role,
        /// Who answered.
        theirs: Role,
    },
}

impl Hello {
    /// Returns the highest protocol version that both parties speak, or why they must part.
    pub fn agree(&self, peer: &Self) -> Result<u32, HelloError> {
        if self.installation != peer.installation {
            return Err(HelloError::Installation {
                ours: self.installation.clone(),
                theirs: peer.installation.clone(),
            });
        }
        let lowest = self.protocol[0].max(peer.protocol[0]);
        let highest = self.protocol[1].min(peer.protocol[1]);
        if lowest > highest {
            return Err(HelloError::Protocol {
                theirs: peer.protocol,
                peer_build: peer.build.clone(),
            });
        }
        Ok(highest)
    }

    /// Returns an error unless the peer is the expected party.
    pub fn expect_role(&self, expected: Role) -> Result<(), HelloError> {
        if self.role == expected {
            Ok(())
        } else {
            Err(HelloError::Role { expected, theirs: self.role })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(protocol: [u32; 2], installation: &str) -> Hello {
        Hello {
            protocol,
            role: Role::Shim,
            build: "0.1.0".into(),
            boot_id: "b".into(),
            installation: installation.into(),
        }
    }

    #[test]
    fn the_highest_common_version_is_taken() {
        assert_eq!(hello([1, 3], "i").agree(&hello([2, 5], "i")), Ok(3));
        assert!(hello([1, 1], "i").agree(&hello([2, 2], "i")).is_err());
        assert!(hello([1, 1], "i").agree(&hello([1, 1], "j")).is_err());
    }
}
