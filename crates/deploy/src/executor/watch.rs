//! The time after the switch, and the end of the old slots.

use std::time::Duration;

use api::{StepName, StepState};
use control::shim::Phase as SlotPhase;
use report::{Failure, Kind};
use store::Txn;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::roll::Releases;
use super::{Executor, boot};
use crate::error::DeployError;
use crate::plan::{PlannedSlot, Roll};
use crate::records::{End, Intent, Phase, ReleaseState, Serving};
use crate::spec::{service_name, slot_id};

/// Starts beyond the first in which a slot counts as crashing again and again while it is watched.
const MAX_RESTARTS: u64 = 3;

impl Executor {
    /// Watches the new slots. A crash loop swaps back, which is the deploy's end.
    pub(super) async fn watch(&mut self) -> Result<Option<End>, DeployError> {
        let (roll, to, releases) = self.roll()?;
        let limit = self.watch_time(&to, &releases);
        let watched = roll.started().next().is_some() && self.record.from.is_some();
        if watched && !limit.is_zero() {
            let text = format!("{} s: a crash loop swaps back", limit.as_secs_f64());
            self.feed.step(StepName::Watch, StepState::Running, text);
            let trouble = match self.trouble(roll.started(), limit).await? {
                None if !*self.signals.hurry.borrow() => self.unready(&roll, &to, &releases).await,
                trouble => trouble,
            };
            if let Some(trouble) = trouble {
                return self.swap_back(trouble).await.map(|f| Some(End::Failed(Box::new(f))));
            }
        }
        if watched && !limit.is_zero() {
            self.feed.step(StepName::Watch, StepState::Done, "no crash loop");
        }
        self.advance(Phase::Retire, Txn::new())?;
        Ok(None)
    }

    /// Ends the old slots.
    pub(super) async fn retire(&mut self) -> Result<End, DeployError> {
        let (roll, to, _) = self.roll()?;
        self.mark_release(ReleaseState::Good, None)?;
        let mut old = roll.retired.clone();
        old.extend(roll.replaced.iter().filter_map(|(old, _)| old.clone()));
        self.remove_slots(&old).await?;
        self.after(&to).await;
        Ok(End::Done)
    }

    /// Returns which of the new slots does not answer any more when the watch ends, and does not
    /// again within the time it may take to get ready.
    async fn unready(&self, roll: &Roll, to: &Serving, releases: &Releases) -> Option<String> {
        let slots: Vec<PlannedSlot> = roll.waves.iter().flatten().cloned().collect();
        self.await_ready(&slots, to, releases).await.err().map(|error| format!("{error}"))
    }

    fn watch_time(&self, to: &Serving, releases: &Releases) -> Duration {
        let new_release = self.record.release.is_some();
        let policy = releases.0.get(&to.release).map(|prepared| prepared.app().deploy.watch_ms);
        Duration::from_millis(policy.filter(|_| new_release).unwrap_or(0))
    }

    /// Returns what goes wrong with one of the slots within the time; the time ends early when
    /// another deploy of this app waits.
    async fn trouble<'a>(
        &self,
        slots: impl Iterator<Item = &'a PlannedSlot>,
        limit: Duration,
    ) -> Result<Option<String>, DeployError> {
        let deadline = Instant::now() + limit;
        let mut watches = JoinSet::new();
        for slot in slots {
            let handle =
                self.node.supervisor.service(&service_name(&self.record.app, &slot.service)?);
            let id = slot_id(slot);
            let label = format!("{}.{}", slot.service, slot.number);
            let first = handle.view().slots.get(&id).map_or(1, |state| state.starts);
            watches.spawn(async move {
                let mut views = handle.watch();
                let mut found = None;
                let crashing = views.wait_for(|view| {
                    let state = view.slots.get(&id).filter(|_| view.is_connected());
                    found = state.and_then(|state| match state.phase {
                        SlotPhase::CrashLoop { .. } => Some("a crash loop"),
                        SlotPhase::Failed => Some("it cannot be started again"),
                        _ if state.starts >= first + MAX_RESTARTS => Some("a crash loop"),
                        _ => None,
                    });
                    found.is_some()
                });
                let _ = crashing.await;
                found.map(|what| format!("{label}: {what}"))
            });
        }
        let mut hurry = self.signals.hurry.clone();
        loop {
            // Trouble that is there already comes before whatever ends the watch.
            tokio::select! {
                biased;
                joined = watches.join_next() => match joined {
                    Some(Ok(Some(trouble))) => return Ok(Some(trouble)),
                    Some(_) => {}
                    None => return Ok(None),
                },
                () = tokio::time::sleep_until(deadline) => return Ok(None),
                Ok(_) = hurry.wait_for(|hurry| *hurry) => return Ok(None),
            }
        }
    }

    /// Routes back to the old slots and ends the new ones. The old ones run still, unless the machine
    /// was restarted meanwhile: then they are started.
    async fn swap_back(&mut self, trouble: String) -> Result<Failure, DeployError> {
        let (roll, to, releases) = self.roll()?;
        let before = self.before_stage().cloned();
        let Some(before) = before else {
            return Err(Failure::new(Kind::Internal, "nothing to swap back to").into());
        };
        self.feed.step(StepName::Watch, StepState::Failed, trouble.clone());
        let text = format!("v{} serves again", before.release);
        self.feed.step(StepName::Undo, StepState::Running, "swapping back");
        let app = self.record.app.clone();
        let node = self.node.clone();
        let journal = node.journal();
        let (mut txn, _) = journal.with_app(Txn::new(), &app, |app| {
            app.serving = Some(before.clone());
            app.listener.clone_from(&self.record.from_listener);
        })?;
        let moved =
            matches!(self.record.intent, Intent::Rollback { .. } | Intent::Environment { .. });
        if let Some(prepared) = releases.0.get(&before.release).filter(|_| moved) {
            let version = prepared.release.env_version;
            txn = environment::operator::make_current(txn, &node.store, &app, version)?;
        }
        self.advance(Phase::Undo, txn)?;
        self.put_back(&roll, Some(&before), &releases).await?;
        self.feed.step(StepName::Undo, StepState::Done, text.clone());
        let failure = Failure::new(Kind::Failed, format!("{app} v{} was swapped back", to.release))
            .cause(trouble)
            .detail("old", text)
            .hint(format!("skep logs {app} --release v{}", to.release));
        self.mark_release(ReleaseState::Failed, Some(&failure.message))?;
        Ok(failure)
    }

    /// Removes what nobody needs any more: old artifacts, old versions of variables, a public
    /// socket that the app had before.
    async fn after(&self, to: &Serving) {
        let node = self.node.clone();
        let app = self.record.app.clone();
        let current = to.release;
        let collected =
            tokio::task::spawn_blocking(move || boot::retain(&node, &app, current)).await;
        match collected {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.feed.notice(format!("old releases were not removed: {error}")),
            Err(error) => tracing::error!(%error, "retention panicked"),
        }
        boot::close_unused_listeners(&self.node, Some(&self.record.app)).await;
        // That of the release command, of a service that was stopped or is no more.
        if let Err(error) = boot::end_shims(&self.node, &self.record.app).await {
            tracing::warn!(%error, "an idle shim did not end");
        }
    }
}
