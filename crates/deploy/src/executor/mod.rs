//! Does what a [`DeployRecord`] says, journal first.
//!
//! Each phase may be entered again after a crash of the agent: starting a slot that exists is no
//! start, switching to the table in force is no switch, draining what is gone is done. So a record
//! that is found at the agent's start is simply run again, with these exceptions:
//!
//! - before `release`: it is built again, with the same variables of its caller's;
//! - `release`: its command runs under its own shim, which knows how it ended. Where nobody can
//!   know, the deploy stops and says so: a migration is never run twice by guess;
//! - `switch`: nobody knows what became of the new slots meanwhile, so it goes back to `start`;
//! - after a reboot everything before `switch` is undone, everything from there on finished.

mod allocate;
mod artifact;
mod boot;
mod counters;
mod intended;
mod listener;
mod preview;
mod release_command;
mod roll;
mod target;
mod undo;
mod watch;

use std::time::Instant;

use api::{DeployEvent, DeployId, DeploySummary};
use report::Failure;
use store::Txn;
use tokio::sync::watch as channel;

use crate::error::DeployError;
use crate::feed::Feed;
use crate::node::Node;
use crate::readiness::Readiness;
use crate::records::{DeployRecord, End, Intent, Phase, ReleaseRecord, ReleaseState, Serving};

pub use crate::caller::Caller;
pub use boot::{
    Known, bring_up, bring_up_beside, close_listener, close_unused_listeners, drain_limit_of,
    end_shims, expected_slots, follow_serving, publish_serving, remove_unclaimed,
    remove_unreachable, section_of,
};
pub use listener::{check_claims, parse as parse_listener, proxy_service};
pub use preview::plan_of;

/// What the outside may tell a deploy that is going on.
#[derive(Debug, Clone)]
pub struct Signals {
    /// Cancel: heard before the switch only.
    pub cancel: channel::Receiver<bool>,
    /// Another deploy waits: the watch time ends early.
    pub hurry: channel::Receiver<bool>,
    /// Stops a build's processes.
    pub build: release::Cancel,
}

/// Carries out one deploy.
#[derive(Debug)]
pub struct Executor {
    node: Node,
    readiness: Readiness,
    record: DeployRecord,
    feed: Feed,
    signals: Signals,
    caller: Caller,
    begun: Instant,
    /// Request counters before anything was touched.
    before: Option<counters::Counters>,
    /// Requests ended at the drain limit.
    cut: u64,
}

impl Executor {
    /// Returns the executor of a record that is in the store.
    pub fn new(
        node: Node,
        readiness: Readiness,
        record: DeployRecord,
        feed: Feed,
        signals: Signals,
        caller: Caller,
    ) -> Self {
        Self {
            node,
            readiness,
            record,
            feed,
            signals,
            caller,
            begun: Instant::now(),
            before: None,
            cut: 0,
        }
    }

    /// Runs the deploy to its end, which is in the store and in the feed when this returns.
    pub async fn run(mut self) -> End {
        let begun = self.begin();
        self.feed.push(DeployEvent::Begun { deploy: self.summary("running") });
        self.before = Some(counters::read(&self.node.router, &self.record.app).await);
        let phases = match begun {
            Ok(()) => self.phases().await,
            Err(error) => Err(error),
        };
        let end = match phases {
            Ok(end) => end,
            Err(error) => self.failed(error).await,
        };
        let record = match self.node.journal().end(&self.record, end.clone()) {
            Ok(record) => record,
            Err(error) => {
                // The record stays where it was; whoever runs this writes the end later.
                tracing::error!(deploy = self.record.id, %error, "failed to record a deploy's end");
                self.record.clone()
            }
        };
        self.record = record;
        let (state, failure) = match &end {
            End::Done => ("done", None),
            End::Failed(failure) => ("failed", Some((**failure).clone())),
            End::Cancelled => ("cancelled", Some(self.cancelled())),
            End::Superseded => ("superseded", None),
        };
        self.feed.push(DeployEvent::Ended { deploy: self.summary(state), failure });
        end
    }

    /// Notes what runs before anything is done; a deploy that is gone on with has it.
    fn begin(&mut self) -> Result<(), DeployError> {
        if self.record.phase != Phase::Queued {
            return Ok(());
        }
        let app = self.node.journal().app(&self.record.app)?.unwrap_or_default();
        self.advance_with(Txn::new(), |record| {
            record.phase = Phase::Build;
            record.from_listener = app.listener.filter(|_| app.serving.is_some());
            record.from = app.serving;
        })
    }

    async fn phases(&mut self) -> Result<End, DeployError> {
        if self.record.phase == Phase::Switch {
            self.advance(Phase::Start, Txn::new())?;
        }
        loop {
            match self.record.phase {
                Phase::Queued | Phase::Build => {
                    if let Some(end) = self.make_target().await? {
                        return Ok(end);
                    }
                }
                Phase::Check => self.check().await?,
                Phase::Release => self.run_release_command().await?,
                Phase::Start => self.start().await?,
                Phase::Switch => self.switch().await?,
                Phase::Drain => self.drain().await?,
                Phase::Watch => {
                    if let Some(end) = self.watch().await? {
                        return Ok(end);
                    }
                }
                Phase::Retire => return self.retire().await,
                Phase::Undo => {
                    let text = "the deploy was being undone when the agent was restarted";
                    return Err(Failure::new(report::Kind::Failed, text).into());
                }
                Phase::Ended => return Ok(self.record.end.clone().unwrap_or(End::Done)),
            }
        }
    }

    /// Moves to a phase, together with whatever else changes in the store.
    fn advance(&mut self, phase: Phase, txn: Txn) -> Result<(), DeployError> {
        self.advance_with(txn, |record| record.phase = phase)
    }

    fn advance_with(
        &mut self,
        txn: Txn,
        change: impl FnOnce(&mut DeployRecord),
    ) -> Result<(), DeployError> {
        let mut next = self.record.clone();
        change(&mut next);
        next.boot_id.clone_from(&self.node.boot_id);
        self.node.journal().advance(&self.record, &next, txn)?;
        self.record = next;
        Ok(())
    }

    /// Returns what ran before the present stage.
    fn before_stage(&self) -> Option<&Serving> {
        match self.record.stage.checked_sub(1) {
            Some(previous) => self.record.stages.get(previous),
            None => self.record.from.as_ref(),
        }
    }

    /// Returns what the present stage goes to.
    fn stage(&self) -> Result<&Serving, DeployError> {
        self.record.stages.get(self.record.stage).ok_or_else(|| {
            Failure::new(report::Kind::Internal, "a deploy is behind its last stage").into()
        })
    }

    fn is_cancelled(&self) -> bool {
        *self.signals.cancel.borrow()
    }

    /// Fails with [`DeployError::Cancelled`] once somebody asked for it.
    async fn cancellation(mut cancel: channel::Receiver<bool>) -> DeployError {
        if cancel.wait_for(|asked| *asked).await.is_err() {
            // Nobody is left who could ask.
            std::future::pending::<()>().await;
        }
        DeployError::Cancelled
    }

    fn cancelled(&self) -> Failure {
        let text = match &self.record.from {
            Some(from) => format!("cancelled; v{} serves as before", from.release),
            None => "cancelled; nothing was changed".to_owned(),
        };
        Failure::new(report::Kind::Interrupted, text)
    }

    /// Returns the deploy in short, in a state's words.
    fn summary(&self, state: &str) -> DeploySummary {
        let mut summary = summary(&self.record, self.release().as_ref(), state);
        let makes_release = matches!(
            self.record.intent,
            Intent::Deploy { .. } | Intent::Rollback { .. } | Intent::Environment { .. }
        );
        let known = self.record.release.is_some() || !self.record.stages.is_empty();
        if state == "running" && makes_release && !known {
            // It gets its number when it is added: a build may yet find that nothing changed.
            summary.to = None;
        }
        summary
    }

    fn release(&self) -> Option<ReleaseRecord> {
        let number = self.record.release?;
        self.node.journal().release(&self.record.app, number).ok()
    }

    fn mark_release(&self, state: ReleaseState, failure: Option<&str>) -> Result<(), DeployError> {
        if let Some(mut release) = self.release() {
            release.state = state;
            release.failure = failure.map(str::to_owned);
            self.node.journal().put_release(&self.record.app, &release)?;
        }
        Ok(())
    }
}

/// Returns a deploy in short.
pub fn summary(
    record: &DeployRecord,
    release: Option<&ReleaseRecord>,
    state: &str,
) -> DeploySummary {
    DeploySummary {
        id: DeployId(record.id.clone()),
        app: record.app.clone(),
        kind: record.intent.word().to_owned(),
        from: record.from.as_ref().map(|from| from.release),
        to: record.release.or(record.from.as_ref().map(|from| from.release)),
        source: release.and_then(|release| release.source.clone()),
        who: record.who.clone(),
        at: record.at.clone(),
        state: state.to_owned(),
    }
}
