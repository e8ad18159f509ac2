//! The release command: once, under a shim of its own, so that its outcome outlives the agent.

use std::time::Duration;

use api::{StepName, StepState};
use control::SlotId;
use control::shim::{Exit, ExitStatus, Phase as SlotPhase};
use report::{Failure, Kind};
use store::Txn;
use supervise::{ServiceView, wait_for};

use super::Executor;
use crate::diagnose::{self, last_lines};
use crate::error::DeployError;
use crate::records::Phase;
use crate::spec::{Prepared, RELEASE_SERVICE, service_name};

/// How a release command that was started stands.
enum Outcome {
    Ended(Exit),
    NotStarted(String),
    /// Its shim does not know it any more.
    Lost,
}

fn look(view: &ServiceView, slot: SlotId) -> Option<Outcome> {
    if !view.is_connected() {
        return None;
    }
    let Some(state) = view.slots.get(&slot) else { return Some(Outcome::Lost) };
    match (state.phase, state.last_exit) {
        (SlotPhase::Finished | SlotPhase::Stopped, Some(exit)) => Some(Outcome::Ended(exit)),
        (SlotPhase::Finished | SlotPhase::Stopped, None) => Some(Outcome::Lost),
        (SlotPhase::Failed, _) => {
            Some(Outcome::NotStarted(state.status_text.clone().unwrap_or_default()))
        }
        _ => None,
    }
}

fn unknown() -> Failure {
    Failure::new(Kind::Failed, "nobody knows how the release command ended")
        .cause("its shim was lost while it ran; it may have finished, or stopped half-way")
        .hint("look at what it changes (the database), then deploy again: it runs once more")
}

impl Executor {
    pub(super) async fn run_release_command(&mut self) -> Result<(), DeployError> {
        let release = self.release().ok_or_else(|| self.no_release())?;
        let task = release.app.release.clone();
        let Some(command) = task.command.filter(|_| release.kind == "deploy") else {
            // A rollback goes back to files that once ran with this database; whether it can is
            // the app's contract, and running an old migration forward again would be no undo.
            return self.advance(Phase::Start, Txn::new());
        };
        self.feed.step(StepName::Release, StepState::Running, command.text.clone());
        let name = service_name(&release.app.name, RELEASE_SERVICE)?;
        let handle = self.node.supervisor.service(&name);
        let resumed = self.record.release_slot;
        let generation = match resumed {
            Some(generation) => generation,
            None => self.node.journal().count("generation")?,
        };
        let slot = SlotId::new(generation, 0);
        handle.ensure_shim().await?;
        if resumed.is_none() {
            if self.is_cancelled() {
                return Err(DeployError::Cancelled);
            }
            // Written before it is started: whoever finds this knows that it may have run.
            self.advance_with(Txn::new(), |record| record.release_slot = Some(generation))?;
            let prepared = Prepared::read(&self.node, release.clone())?;
            let spec = prepared.release_command(&self.node, &command, generation)?;
            handle.start(spec).await?;
        }
        let patience = Duration::from_millis(task.timeout_ms);
        let waiting = wait_for(&handle, patience, |view| look(view, slot));
        let outcome = tokio::select! {
            outcome = waiting => outcome,
            cancelled = Self::cancellation(self.signals.cancel.clone()) => {
                self.end_release_command(slot).await;
                return Err(cancelled);
            }
        };
        let _ = handle.flush_logs().await;
        let lines = last_lines(&self.node.home.logs(&name.file_name()), release.number);
        let failure = match outcome {
            Ok(Outcome::Ended(exit)) if exit.status == ExitStatus::Code(0) => {
                let note = lines.last().cloned();
                self.feed.remark(StepName::Release, StepState::Done, command.text.clone(), note);
                self.advance(Phase::Start, Txn::new())?;
                // Only now may its outcome be forgotten.
                let _ = handle.remove(slot).await;
                return Ok(());
            }
            Ok(Outcome::Ended(exit)) if exit.status == ExitStatus::Unknown => unknown(),
            Ok(Outcome::Ended(exit)) => {
                Failure::new(Kind::Failed, format!("the release command failed: {}", exit.status))
            }
            Ok(Outcome::NotStarted(why)) => {
                Failure::new(Kind::Failed, "the release command could not be started").cause(why)
            }
            Ok(Outcome::Lost) => unknown(),
            Err(_) => {
                self.end_release_command(slot).await;
                let limit = patience.as_secs();
                Failure::new(Kind::Failed, format!("the release command ran over its {limit} s"))
                    .hint("raise `timeout` in [release] of skep.toml")
            }
        };
        let _ = handle.remove(slot).await;
        let failure = failure.detail("command", command.text);
        let old = self.record.from.as_ref().map(|from| from.release);
        let prepared = Prepared::read(&self.node, release)?;
        let shell = self.caller.shell.names();
        Err(diagnose::release_failed(failure, &prepared, old, &lines, shell).into())
    }

    /// Stops a release command that nobody waits for any more, and waits for its end.
    async fn end_release_command(&self, slot: SlotId) {
        let Ok(name) = service_name(&self.record.app, RELEASE_SERVICE) else { return };
        let handle = self.node.supervisor.service(&name);
        if handle.stop(slot).await.is_ok() {
            /// Beyond the grace that it has.
            const PATIENCE: Duration = Duration::from_secs(20);
            let empty = |view: &ServiceView| {
                view.slots.get(&slot).is_none_or(|state| state.phase.is_empty()).then_some(())
            };
            let _ = wait_for(&handle, PATIENCE, empty).await;
            let _ = handle.remove(slot).await;
        }
    }
}
