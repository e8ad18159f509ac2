//! The proxy's upgrade: another one beside it, on the same public sockets, and then it leaves.
//!
//! ```text
//!   successor written ─► started ─► serves ─► switched ─► others told to leave
//!                           │                                     │
//!                           └─ never serves: removed,             └─ drained, or the limit is
//!                              the current one goes on               over: stopped, removed
//! ```
//!
//! The same is done where the current one can be reached no more, except that it cannot be told to
//! leave: its shim stops it.
//!
//! Each step looks at what is there first, so that an agent that was killed anywhere is followed by
//! one that goes on: before *switched* the current proxy accepts and is never told to leave, after
//! it the successor is the current one and what is left to do is to end others. A reboot ends all of
//! them, and only the current one is started again.

use std::time::Duration;

use control::SlotId;
use control::shim::{Phase, SlotState};
use supervise::{ServiceView, WaitError, wait_for};

use super::{GRACE, Proxies};
use crate::state::{Agent, Concern};

/// How long a new proxy may take until it serves. It takes some milliseconds; one that crashes is
/// given some starts.
const READY_PATIENCE: Duration = Duration::from_secs(20);

/// How long a proxy that was told to leave may take: longer than its clients may be idle, so that
/// only what is in flight is in the way of its end.
const LEAVE_LIMIT: Duration = Duration::from_secs(90);

/// How long a proxy may take to end when it is stopped: its grace, and the kill of its tree.
const STOP_PATIENCE: Duration = GRACE.saturating_add(Duration::from_secs(15));

/// A step of an upgrade that did not come about.
#[derive(Debug, thiserror::Error)]
enum UpgradeError {
    #[error("the new one, {slot}, was removed, and that of the build before goes on: {why}")]
    NeverServed { slot: SlotId, why: String },
    #[error("{slot} does not serve, so that no other may leave: {why}")]
    NotServing { slot: SlotId, why: String },
    #[error(transparent)]
    Supervise(#[from] supervise::SuperviseError),
    #[error(transparent)]
    Wait(#[from] WaitError),
    #[error("failed to note which proxies there are")]
    Store(#[from] store::StoreError),
}

impl Proxies {
    /// Makes sure that one proxy of this build serves and no other is left; returns whether it is so.
    pub(crate) async fn upgrade(&mut self, agent: &Agent) -> bool {
        let replaced = self.replace(agent).await;
        let done = match replaced {
            Ok(()) => self.end_others(agent).await,
            failed => failed,
        };
        let text = done.err().map(|error| {
            format!("the proxy was not upgraded: {}", report::chain(&error).join(": "))
        });
        let is_done = text.is_none();
        agent.problem(Concern::Upgrade, text);
        is_done
    }

    /// Replaces the current proxy if it is of another build, or cannot be reached.
    async fn replace(&mut self, agent: &Agent) -> Result<(), UpgradeError> {
        let current = self.places.current();
        let is_lost = self.is_lost(current);
        if self.places.build(current) == self.build() && !is_lost {
            return Ok(());
        }
        let build = self.build().to_owned();
        let generation = self.places.successor(&build);
        self.places.write(&self.store)?;
        let slot = slot(generation);
        let (from, to) = (self.places.build(current), &build);
        tracing::info!(%slot, from, to, is_lost, "the proxy is being replaced");
        // It may have been removed with the socket's file.
        let place = disk::create_directory(&self.home.slots(), home::RUN_MODE);
        let started = match place {
            Ok(()) => self.handle.start(self.recipe_of(generation)).await.map_err(|e| words(&e)),
            Err(error) => Err(words(&error)),
        };
        let started = match started {
            Ok(()) => self.serves(agent, slot).await,
            failed => failed,
        };
        if let Err(why) = started {
            self.remove(generation).await?;
            return Err(UpgradeError::NeverServed { slot, why });
        }
        self.places.switch(generation);
        self.places.write(&self.store)?;
        tracing::info!(%slot, "the new proxy serves");
        Ok(())
    }

    /// Lets every proxy but the current one leave, and removes its slot when it has. One that cannot
    /// be told is stopped by its shim; requests that run there still end.
    async fn end_others(&mut self, agent: &Agent) -> Result<(), UpgradeError> {
        let others = self.places.others();
        if others.is_empty() {
            return Ok(());
        }
        let current = slot(self.places.current());
        // What an agent before us found serving may have gone since.
        let serving = self.serves(agent, current).await;
        serving.map_err(|why| UpgradeError::NotServing { slot: current, why })?;
        for generation in &others {
            agent.node().router.leave(slot(*generation)).await;
        }
        for generation in others {
            let slot = slot(generation);
            if self.is_lost(generation) {
                tracing::warn!(%slot, "the old proxy cannot be reached and is stopped");
                self.remove(generation).await?;
                continue;
            }
            match wait_for(&self.handle, LEAVE_LIMIT, |view| has_ended(view, slot)).await {
                Ok(()) => tracing::info!(%slot, "the old proxy has left"),
                Err(WaitError::TooLate { .. }) => {
                    let limit_s = LEAVE_LIMIT.as_secs();
                    tracing::warn!(%slot, limit_s, "the old proxy is still busy and is stopped");
                }
                Err(error) => return Err(error.into()),
            }
            self.remove(generation).await?;
        }
        Ok(())
    }

    /// Returns when a proxy serves, or why it does not.
    async fn serves(&self, agent: &Agent, slot: SlotId) -> Result<(), String> {
        let given_up =
            wait_for(&self.handle, READY_PATIENCE, |view| view.slots.get(&slot).and_then(given_up));
        tokio::select! {
            biased;
            served = agent.node().router.serves(slot) => served.map_err(|error| error.to_string()),
            ended = given_up => Err(ended.unwrap_or_else(|_| {
                format!("it did not acknowledge the routes within {} s", READY_PATIENCE.as_secs())
            })),
        }
    }

    /// Stops a proxy and removes its slot; what is gone already is fine.
    async fn remove(&mut self, generation: u64) -> Result<(), UpgradeError> {
        let slot = slot(generation);
        if self.handle.view().slots.contains_key(&slot) {
            self.handle.stop(slot).await?;
            wait_for(&self.handle, STOP_PATIENCE, |view| has_ended(view, slot)).await?;
            self.handle.remove(slot).await?;
        }
        self.places.forget(generation);
        self.places.write(&self.store)?;
        Ok(())
    }
}

fn words(error: &(dyn std::error::Error + 'static)) -> String {
    report::chain(error).join(": ")
}

/// Returns the slot of a generation.
pub(super) fn slot(generation: u64) -> SlotId {
    SlotId::new(generation, 0)
}

/// Says so when no process of a slot can be alive.
fn has_ended(view: &ServiceView, slot: SlotId) -> Option<()> {
    let state = view.slots.get(&slot);
    state.is_none_or(|state| is_over(state.phase)).then_some(())
}

/// Returns whether a slot has no process and will have none.
pub(super) fn is_over(phase: Phase) -> bool {
    matches!(phase, Phase::Stopped | Phase::Finished | Phase::Failed)
}

/// Returns why a slot will hardly serve any more.
fn given_up(state: &SlotState) -> Option<String> {
    let last = state.last_exit.map(|exit| exit.status.to_string()).unwrap_or_default();
    match state.phase {
        Phase::CrashLoop { .. } => Some(format!("it crashed {} times: {last}", state.starts)),
        Phase::Failed => Some(state.status_text.clone().unwrap_or_else(|| "no start".to_owned())),
        Phase::Finished | Phase::Stopped => Some(format!("it ended: {last}")),
        Phase::Running | Phase::Clearing | Phase::Backoff { .. } | Phase::Stopping => None,
    }
}
