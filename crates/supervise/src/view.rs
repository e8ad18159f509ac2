//! What is known of one service.

use std::collections::BTreeMap;

use control::SlotId;
use control::shim::{Containment, SharedListener, SlotState};

/// The last known state of a service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceView {
    /// Its shim. The rest is current only while this is [`ShimState::Connected`], and as last known
    /// otherwise.
    pub shim: ShimState,
    /// Slots the shim keeps.
    pub slots: BTreeMap<SlotId, SlotState>,
    /// Processes of an earlier shim that nobody has claimed yet, with their main process.
    pub adoptable: BTreeMap<SlotId, u32>,
    /// Shared listeners by name.
    pub listeners: BTreeMap<String, SharedListener>,
    /// Log bytes that could not be written.
    pub logs_dropped: Option<LogsDropped>,
}

impl ServiceView {
    /// Returns whether the rest of the view is current.
    pub fn is_connected(&self) -> bool {
        matches!(self.shim, ShimState::Connected { .. })
    }
}

/// How it stands with a service's shim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ShimState {
    /// There is none and none is wanted.
    #[default]
    Gone,
    /// Being started, greeted or given what its predecessor held.
    Connecting,
    /// In contact.
    Connected {
        /// Its process.
        pid: u32,
        /// What holds each start's processes together.
        containment: Containment,
    },
    /// There is one and it does not answer, or must not be talked to. Its processes live on; it is
    /// never killed and never doubled.
    Unresponsive(String),
    /// It could not be started or died again and again; it is tried ever more slowly.
    Failing(String),
}

impl ShimState {
    /// Returns why no request can be sent now, if so.
    pub fn trouble(&self) -> Option<&str> {
        match self {
            Self::Unresponsive(text) | Self::Failing(text) => Some(text),
            Self::Gone | Self::Connecting | Self::Connected { .. } => None,
        }
    }
}

/// Log bytes that a shim could not write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogsDropped {
    /// How many, since the shim started.
    pub bytes: u64,
    /// The last error's text.
    pub reason: String,
}
