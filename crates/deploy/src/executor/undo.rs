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
            _ => Ok(()),
        };
        self.close_listener().await;
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
            Phase::Watch | Phase::Ended => StepName::Watch,
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
        if let Some(before) = before {
            self.remove_slots(&replaced).await?;
            let old: Vec<&PlannedSlot> =
                roll.replaced.iter().filter_map(|(old, _)| old.as_ref()).collect();
            for slot in &old {
                self.start_again(slot, before, releases).await?;
            }
            boot::follow(
                &self.node,
                &self.readiness,
                &app,
                before,
                &releases.0,
                boot::Known::AsIs,
            )?;
            boot::publish(&self.node, &app, || self.section(before, releases)).await?;
        } else {
            self.node.router.set_app(&app, routing::Section::default()).await?;
        }
        // Requests may have reached them if the switch itself failed half-way.
        let endpoints = self.endpoints_of(&started, releases)?;
        let limit = std::time::Duration::from_secs(30);
        let progress = tokio::sync::watch::Sender::new(Vec::new());
        self.node.router.drain(endpoints, limit, progress).await?;
        self.remove_slots(&started).await
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
        let spec = prepared.slot(&self.node, &slot.service, slot.number, placed)?;
        let name = crate::spec::service_name(&self.record.app, &slot.service)?;
        let handle = self.node.supervisor.service(&name);
        handle.ensure_shim().await?;
        handle.start(spec).await?;
        Ok(())
    }

    /// Closes the public socket that this deploy opened, if nobody else has use for it.
    async fn close_listener(&self) {
        let Some(listener) = self.record.listener.as_deref().filter(|_| self.opened_listener)
        else {
            return;
        };
        let in_use = self.node.journal().apps().is_ok_and(|apps| {
            apps.iter()
                .any(|app| app.serving.is_some() && app.listener.as_deref() == Some(listener))
        });
        if !in_use {
            boot::close_listener(&self.node, listener).await;
        }
    }
}
