//! Back to what was, when a deploy fails before its switch.

use api::{StepName, StepState};
use report::{Failure, Kind};
use store::Txn;

use super::roll::Releases;
use super::{Executor, boot};
use crate::error::DeployError;
use crate::plan::{PlannedSlot, Roll};
use crate::records::{End, Intent, Phase, ReleaseState, Serving};

impl Executor {
    /// Undoes what was begun and says how the deploy ended.
    pub(super) async fn failed(&mut self, error: DeployError) -> End {
        let cancelled = matches!(error, DeployError::Cancelled);
        let failure = Failure::from(error);
        let phase = self.record.phase;
        tracing::info!(deploy = self.record.id, ?phase, %failure, "a deploy failed");
        if !cancelled {
            let step = self.step_of(phase);
            self.feed.step(step, StepState::Failed, failure.message.clone());
        }
        let undone = match phase {
            Phase::Start | Phase::Switch => self.undo().await,
            Phase::Drain | Phase::Watch | Phase::Retire => return self.partly(failure),
            Phase::Undo => Err(DeployError::from(failure.clone())),
            Phase::Queued | Phase::Build | Phase::Check | Phase::Release | Phase::Ended => Ok(()),
        };
        boot::close_unused_listeners(&self.node, Some(&self.record.app)).await;
        if let Err(error) = self.mark_release(ReleaseState::Failed, Some(&failure.message)) {
            tracing::error!(%error, "failed to mark a release as failed");
        }
        match undone {
            Ok(()) if cancelled => End::Cancelled,
            Ok(()) => End::Failed(Box::new(failure)),
            Err(error) => {
                let left = Failure::from(error);
                let failure = Failure { kind: Kind::Leftovers, ..failure }
                    .detail("undo", left.to_string())
                    .hint(format!("skep ps {} shows what is left", self.record.app));
                End::Failed(Box::new(failure))
            }
        }
    }

    /// The new release serves; what went wrong is the old one's end.
    fn partly(&self, failure: Failure) -> End {
        if let Err(error) = self.mark_release(ReleaseState::Good, None) {
            tracing::error!(%error, "failed to mark a release as good");
        }
        let app = &self.record.app;
        let serves =
            self.record.release.map_or_else(String::new, |number| format!("v{number} serves"));
        let failure = Failure { kind: Kind::Partial, ..failure }
            .detail("new", serves)
            .hint(format!("skep ps {app} shows which old slots are left; they are ended later"));
        End::Failed(Box::new(failure))
    }

    /// Returns the step whose failure a failure in this phase is.
    fn step_of(&self, phase: Phase) -> StepName {
        match phase {
            Phase::Queued => StepName::Queue,
            Phase::Build if matches!(self.record.intent, Intent::Deploy { .. }) => StepName::Build,
            // What builds nothing is looked at in that phase.
            Phase::Build | Phase::Check => StepName::Check,
            Phase::Release => StepName::Release,
            Phase::Start => StepName::Start,
            Phase::Switch => StepName::Switch,
            Phase::Drain => StepName::Drain,
            Phase::Watch | Phase::Retire | Phase::Ended => StepName::Watch,
            Phase::Undo => StepName::Undo,
        }
    }

    /// Stops what the present stage started and starts again what it stopped.
    async fn undo(&mut self) -> Result<(), DeployError> {
        let (roll, _, releases) = self.roll()?;
        let before = self.before_stage().cloned();
        self.feed.step(StepName::Undo, StepState::Running, "stopping what was started");
        self.advance(Phase::Undo, Txn::new())?;
        self.put_back(&roll, before.as_ref(), &releases).await?;
        let text = match &before {
            Some(before) => format!("v{} serves as before", before.release),
            None => "nothing is left".to_owned(),
        };
        self.feed.step(StepName::Undo, StepState::Done, text);
        Ok(())
    }

    /// Routes to what was before, ends what the roll started, starts what it had stopped.
    pub(super) async fn put_back(
        &mut self,
        roll: &Roll,
        before: Option<&Serving>,
        releases: &Releases,
    ) -> Result<(), DeployError> {
        let app = self.record.app.clone();
        let started: Vec<PlannedSlot> = roll.started().cloned().collect();
        // Those replaced in place go first: their predecessors must not meet them.
        let replaced: Vec<PlannedSlot> =
            roll.replaced.iter().filter_map(|(_, new)| new.clone()).collect();
        self.forget(&started)?;
        // Whatever fails, the rest is done: each part that comes back serves somebody.
        let mut outcome = Ok(());
        let mut note = |done: Result<(), DeployError>| {
            if let Err(error) = done {
                tracing::error!(app, %error, "a part of an undo failed");
                outcome = Err(error);
            }
        };
        if let Some(before) = before {
            note(self.remove_slots(&replaced).await);
            let aside = roll.replaced.iter().filter_map(|(old, _)| old.as_ref());
            let old: Vec<PlannedSlot> = roll.retired.iter().chain(aside).cloned().collect();
            for slot in &old {
                note(self.start_again(slot, before, releases).await);
            }
            note(self.await_ready(&old, before, releases).await.map(drop));
            note(boot::follow(
                &self.node,
                &self.readiness,
                &app,
                before,
                &releases.0,
                boot::Known::Running,
            ));
            let listener = self.listener_before();
            let published =
                boot::publish(&self.node, &app, || self.section(before, listener, releases)).await;
            note(published.map(drop));
        } else {
            let nothing = routing::Section::default();
            note(self.node.router.set_app(&app, nothing).await.map(drop).map_err(Into::into));
        }
        // Requests may have reached them if the switch itself failed half-way.
        let endpoints = self.endpoints_of(&started, releases)?;
        let limit = std::time::Duration::from_secs(30);
        let progress = tokio::sync::watch::Sender::new(Vec::new());
        match self.node.router.drain(endpoints, limit, progress).await {
            Ok(cut) => self.count_cut(&cut),
            Err(error) => note(Err(error.into())),
        }
        note(self.remove_slots(&started).await);
        outcome
    }

    fn forget(&self, slots: &[PlannedSlot]) -> Result<(), DeployError> {
        let mut endpoints = Vec::new();
        for slot in slots {
            let service = crate::spec::service_name(&self.record.app, &slot.service)?;
            let slot = crate::spec::slot_id(slot);
            endpoints.push(control::proxy::EndpointId { service, slot });
        }
        self.readiness.forget(&endpoints);
        Ok(())
    }

    fn endpoints_of(
        &self,
        slots: &[PlannedSlot],
        releases: &Releases,
    ) -> Result<Vec<control::proxy::EndpointId>, DeployError> {
        let to = self.stage()?;
        let Some(prepared) = releases.0.get(&to.release) else { return Ok(Vec::new()) };
        let listens = |slot: &&PlannedSlot| {
            let service = prepared.app().services.get(&slot.service);
            service.is_some_and(|service| service.listen != app::model::Listen::None)
        };
        slots
            .iter()
            .filter(listens)
            .map(|slot| {
                let service = crate::spec::service_name(&self.record.app, &slot.service)?;
                let slot = crate::spec::slot_id(slot);
                Ok(control::proxy::EndpointId { service, slot })
            })
            .collect()
    }

    async fn start_again(
        &self,
        slot: &PlannedSlot,
        before: &Serving,
        releases: &Releases,
    ) -> Result<(), DeployError> {
        let placed = before.services.get(&slot.service).and_then(|p| p.slots.get(&slot.number));
        let Some(placed) = placed else { return Ok(()) };
        let Some(prepared) = releases.0.get(&placed.release) else { return Ok(()) };
        let name = crate::spec::service_name(&self.record.app, &slot.service)?;
        let handle = self.node.supervisor.service(&name);
        boot::start(&self.node, &handle, prepared, &slot.service, slot.number, placed).await
    }
}
