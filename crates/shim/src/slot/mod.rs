//! One slot: its descriptors, its process, and where it stands.
//!
//! ```text
//!            ┌────────────── tree empty, restart at once ─────────────┐
//!            ▼                                                        │
//!  start ► Running ── main process ends ──► Clearing ── tree empty ───┤
//!            │ ▲                              │                       ├─► Waiting (backoff) ─► start
//!            │ └─ timer ── Waiting            │ stop                  ├─► Finished
//!            │ stop                           ▼                       └─► Failed (never executed)
//!            └──────────────────────────► Stopping ── tree empty ─────► Stopped
//! ```
//!
//! A tree is killed when its time is over, and again until it is empty; nothing is started before.

mod adopt;
mod descriptors;
mod life;

pub(crate) use descriptors::duplicate;

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::time::Duration;

use control::shim::{Exit, Phase, Process, SlotSpec, SlotState};

use crate::holdings::Holdings;
use crate::restart::{History, Life};
use crate::spawn::Launch;
use crate::tree::Tree;

/// One slot.
#[derive(Debug)]
pub(crate) struct Slot {
    /// In tokens.
    pub(crate) key: u32,
    pub(crate) spec: SlotSpec,
    /// Its state is to be told.
    pub(crate) is_changed: bool,
    /// Its descriptors are to be told.
    pub(crate) are_holdings_changed: bool,
    holdings: Holdings,
    stage: Stage,
    /// Until its tree is empty.
    start: Option<Start>,
    starts: u64,
    notified: bool,
    status_text: Option<String>,
    last_exit: Option<Exit>,
    incomplete: bool,
    history: History,
    /// Its listener is polled, to refuse whoever connects.
    is_refusing: bool,
}

/// A process and its tree.
#[derive(Debug)]
struct Start {
    process: Process,
    /// Since boot; for one that was adopted, when it was adopted less its age.
    began: Duration,
    /// The main process; `None`: it has ended.
    main: Option<OwnedFd>,
    tree: Tree,
    /// Tells why the program was never executed.
    launch: Option<Launch>,
    /// How long it took to say `READY=1`.
    startup: Option<Duration>,
    /// When a tree that cannot be polled is to be looked at.
    look_at: Duration,
    /// Its grace was over, which was said.
    was_killed: bool,
}

#[derive(Debug)]
enum Stage {
    Running,
    Clearing { kill_at: Duration, next: Next },
    Waiting { until: Duration, delay: Duration, is_loop: bool },
    Stopping { kill_at: Duration },
    Stopped,
    Finished,
    Failed,
}

/// What follows when a tree is empty that nobody asked to stop.
#[derive(Debug, Clone)]
enum Next {
    /// Another life, by the history's verdict on this one.
    Restart(Life),
    /// Nothing.
    Finish,
    /// Nothing, for the program was never executed.
    Fail(String),
    /// The program was not executed, which may be different later.
    Retry(String),
}

impl Slot {
    fn new(key: u32, spec: SlotSpec, holdings: Holdings) -> Self {
        Self {
            key,
            spec,
            is_changed: true,
            are_holdings_changed: true,
            holdings,
            stage: Stage::Stopped,
            start: None,
            starts: 0,
            notified: false,
            status_text: None,
            last_exit: None,
            incomplete: false,
            history: History::default(),
            is_refusing: false,
        }
    }

    /// Returns whether this is the main process of the slot, alive as far as is known, and our
    /// child.
    pub(crate) fn is_child(&self, pid: u32) -> bool {
        self.start.as_ref().is_some_and(|start| {
            start.process.pid == pid && start.main.is_some() && !start.process.adopted
        })
    }

    /// Returns whether no process of it can be alive.
    pub(crate) fn is_empty(&self) -> bool {
        self.start.is_none()
    }

    /// Returns its live processes.
    pub(crate) fn processes(&self) -> BTreeSet<u32> {
        self.start.as_ref().map(|start| start.tree.processes()).unwrap_or_default()
    }

    /// Returns whether a request to start it again is to be followed.
    pub(crate) fn can_start_again(&self) -> bool {
        matches!(self.stage, Stage::Stopped | Stage::Failed)
    }

    /// Returns everything that is known of it.
    pub(crate) fn state(&self) -> SlotState {
        let milliseconds = |time: &Duration| time.as_millis() as u64;
        SlotState {
            id: self.spec.id,
            release: self.spec.release.clone(),
            phase: match &self.stage {
                Stage::Running => Phase::Running,
                Stage::Clearing { .. } => Phase::Clearing,
                Stage::Waiting { delay, is_loop: false, .. } => {
                    Phase::Backoff { delay_ms: milliseconds(delay) }
                }
                Stage::Waiting { delay, is_loop: true, .. } => {
                    Phase::CrashLoop { delay_ms: milliseconds(delay) }
                }
                Stage::Stopping { .. } => Phase::Stopping,
                Stage::Stopped => Phase::Stopped,
                Stage::Finished => Phase::Finished,
                Stage::Failed => Phase::Failed,
            },
            process: self.start.as_ref().filter(|start| start.main.is_some()).map(|s| s.process),
            notified: self.notified,
            status_text: self.status_text.clone(),
            starts: self.starts,
            last_exit: self.last_exit,
            incomplete: self.incomplete,
        }
    }
}
