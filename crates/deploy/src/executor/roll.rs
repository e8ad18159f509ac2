//! Start, switch, drain: the one mechanism of everything that changes what runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::{DeployEvent, LiveReport, StepName, StepState};
use app::model::{App, Listen, Ready};
use control::SlotId;
use control::proxy::{EndpointId, InFlight};
use report::{Failure, Kind};
use routing::{Cut, Section};
use store::Txn;
use supervise::{ServiceHandle, ServiceView, wait_for};
use tokio::sync::watch as channel;
use tokio::task::JoinSet;

use super::{Executor, boot, counters};
use crate::diagnose;
use crate::error::DeployError;
use crate::plan::{self, PlannedSlot, Roll};
use crate::probe::Probe;
use crate::readiness::{self, NotReady, ReadyReport};
use crate::records::{Intent, Phase, Serving, SlotPlacement};
use crate::section;
use crate::spec::{self, Prepared, service_name, slot_id};

/// Beyond the grace that a slot has, how long its end may take to be reported: its tree is killed
/// at the grace's end, which takes the kernel moments.
const BEYOND_GRACE: Duration = Duration::from_secs(20);

/// Releases by number, read once a phase.
pub(super) struct Releases(pub(super) BTreeMap<u32, Prepared>);

impl Releases {
    /// Returns the app files by release.
    pub(super) fn apps(&self) -> BTreeMap<u32, App> {
        self.0.iter().map(|(number, prepared)| (*number, prepared.app().clone())).collect()
    }

    fn get(&self, app: &str, number: u32) -> Result<&Prepared, DeployError> {
        self.0.get(&number).ok_or_else(|| DeployError::NoRelease { app: app.to_owned(), number })
    }
}

/// Returns the placement of a planned slot.
fn placement<'a>(serving: &'a Serving, slot: &PlannedSlot) -> Option<&'a SlotPlacement> {
    serving.services.get(&slot.service)?.slots.get(&slot.number)
}

impl Executor {
    /// Reads every release that a slot of these servings was started from.
    pub(super) fn releases(&self, servings: &[&Serving]) -> Result<Releases, DeployError> {
        boot::releases(&self.node, &self.record.app, servings).map(Releases)
    }

    fn handle(&self, service: &str) -> Result<ServiceHandle, DeployError> {
        Ok(self.node.supervisor.service(&service_name(&self.record.app, service)?))
    }

    /// Returns the present stage's roll with everything it needs.
    pub(super) fn roll(&self) -> Result<(Roll, Serving, Releases), DeployError> {
        let to = self.stage()?.clone();
        let from = self.before_stage().cloned();
        let servings: Vec<&Serving> = from.iter().chain([&to]).collect();
        let releases = self.releases(&servings)?;
        let new = releases.get(&self.record.app, to.release)?.app();
        let old = match &from {
            Some(from) => Some(releases.get(&self.record.app, from.release)?.app()),
            None => None,
        };
        Ok((Roll::between(from.as_ref(), &to, old, new), to, releases))
    }

    /// Starts the new slots and waits until each is ready.
    pub(super) async fn start(&mut self) -> Result<(), DeployError> {
        let (roll, to, releases) = self.roll()?;
        self.say_start(&to, 0);
        let mut ready = 0;
        let mut note = None;
        for wave in &roll.waves {
            for slot in wave {
                self.start_slot(slot, &to, &releases).await?;
            }
            let reports = self.await_ready(wave, &to, &releases).await?;
            ready += wave.len();
            note = telling(reports).or(note);
            self.say_start(&to, ready);
        }
        for (old, new) in &roll.replaced {
            if let Some(old) = old {
                self.step_aside(old, &releases).await?;
                self.stop_slot(old).await?;
            }
            if let Some(new) = new {
                self.start_slot(new, &to, &releases).await?;
                self.await_ready(std::slice::from_ref(new), &to, &releases).await?;
                ready += 1;
                self.say_start(&to, ready);
            }
        }
        if roll.waves.len() > 1 || !roll.replaced.is_empty() {
            // The first ones became ready a while ago: what has crashed since must not be routed to.
            let all: Vec<PlannedSlot> = roll.waves.iter().flatten().cloned().collect();
            self.await_ready(&all, &to, &releases).await?;
        }
        let text = self.counts(&to);
        match text.is_empty() {
            true => self.feed.step(StepName::Start, StepState::Skipped, "nothing to start"),
            false => self.feed.remark(StepName::Start, StepState::Done, text, note),
        }
        self.advance(Phase::Switch, Txn::new())
    }

    /// Says how many slots are ready: those of earlier stages and `ready` of this one.
    fn say_start(&self, to: &Serving, ready: usize) {
        let before = match self.record.stage {
            0 => 0,
            _ => self.before_stage().map_or(0, |before| self.added(before).len()),
        };
        let wanted = self.record.stages.last().map_or(0, |last| self.added(last).len());
        if wanted > 0 {
            let text = format!("v{}: {} of {wanted} ready", to.release, before + ready);
            self.feed.step(StepName::Start, StepState::Running, text);
        }
    }

    /// Returns the slots that all stages up to `serving` start.
    fn added(&self, serving: &Serving) -> BTreeSet<PlannedSlot> {
        plan::added(self.record.from.as_ref(), serving)
    }

    /// `web 2/2, queue 1/1`: what was started until `to`, of all that is.
    fn counts(&self, to: &Serving) -> String {
        let started = self.added(to);
        let all = self.record.stages.last().map(|last| self.added(last)).unwrap_or_default();
        let mut services: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for slot in &all {
            let (done, wanted) = services.entry(&slot.service).or_default();
            *wanted += 1;
            *done += usize::from(started.contains(slot));
        }
        let parts: Vec<String> = services
            .iter()
            .map(|(name, (done, wanted))| format!("{name} {done}/{wanted}"))
            .collect();
        parts.join(", ")
    }

    async fn start_slot(
        &self,
        slot: &PlannedSlot,
        serving: &Serving,
        releases: &Releases,
    ) -> Result<(), DeployError> {
        if self.is_cancelled() {
            return Err(DeployError::Cancelled);
        }
        let Some(placement) = placement(serving, slot) else { return Ok(()) };
        let prepared = releases.get(&self.record.app, placement.release)?;
        let handle = self.handle(&slot.service)?;
        boot::start(&self.node, &handle, prepared, &slot.service, slot.number, placement).await
    }

    /// Waits for all of a wave at once; the first that is given up ends the wait.
    pub(super) async fn await_ready(
        &self,
        wave: &[PlannedSlot],
        serving: &Serving,
        releases: &Releases,
    ) -> Result<Vec<ReadyReport>, DeployError> {
        let app = &self.record.app;
        let mut waits: JoinSet<Result<ReadyReport, Box<NotReady>>> = JoinSet::new();
        for slot in wave {
            let Some(placement) = placement(serving, slot) else { continue };
            let prepared = releases.get(app, placement.release)?;
            let Some(mut service) = prepared.app().services.get(&slot.service).cloned() else {
                continue;
            };
            if let (Intent::Rollback { .. }, Ready::StaysUp(ms)) =
                (&self.record.intent, &mut service.ready)
            {
                // It stayed up before, with these files and variables; the watch looks on.
                *ms = 0;
            }
            let address = spec::address(
                &self.node,
                app,
                &slot.service,
                service.listen,
                slot.number,
                placement,
            );
            let probe = address.map(|address| Probe::of(&service, address));
            let handle = self.handle(&slot.service)?;
            let id = slot_id(slot);
            let patience = Duration::from_millis(service.ready_timeout_ms);
            waits.spawn(
                async move { readiness::wait(&handle, id, &service, probe, patience).await },
            );
        }
        let mut reports = Vec::new();
        let mut failed: Vec<NotReady> = Vec::new();
        loop {
            let joined = tokio::select! {
                joined = waits.join_next() => joined,
                cancelled = Self::cancellation(self.signals.cancel.clone()),
                    if self.record.phase != Phase::Undo => return Err(cancelled),
            };
            match joined {
                None => break,
                Some(Ok(Ok(report))) => reports.push(report),
                Some(Ok(Err(not_ready))) => {
                    failed.push(*not_ready);
                    // The others have the same release; what they say now is as good as later.
                    waits.abort_all();
                }
                Some(Err(error)) if error.is_cancelled() => {}
                Some(Err(error)) => {
                    return Err(Failure::from_error(Kind::Internal, &error).into());
                }
            }
        }
        if failed.is_empty() {
            return Ok(reports);
        }
        for slot in wave {
            // What it wrote last explains it; it must be in the log before it is read.
            let _ = self.handle(&slot.service)?.flush_logs().await;
        }
        let prepared = releases.get(app, serving.release)?;
        let old = self.before_stage().map(|before| before.release);
        Err(diagnose::never_ready(
            &self.node.home,
            prepared,
            old,
            &failed,
            self.caller.shell.names(),
        )
        .into())
    }

    /// Lets a slot that will be stopped before its successor starts finish its requests: new ones
    /// are held by the proxy until the successor is ready.
    async fn step_aside(
        &mut self,
        slot: &PlannedSlot,
        releases: &Releases,
    ) -> Result<(), DeployError> {
        let app = &self.record.app;
        let Some(before) = self.before_stage() else { return Ok(()) };
        let Some(service) = placement(before, slot)
            .and_then(|placed| releases.0.get(&placed.release))
            .and_then(|prepared| prepared.app().services.get(&slot.service))
        else {
            return Ok(());
        };
        if service.listen == Listen::None {
            return Ok(());
        }
        let mut section = self.section(before, self.listener_before(), releases)?;
        let endpoint =
            EndpointId { service: service_name(app, &slot.service)?, slot: slot_id(slot) };
        for found in section.services.iter_mut().filter(|found| found.name == endpoint.service) {
            found.endpoints.retain(|known| known.slot != endpoint.slot);
        }
        self.readiness.forget(std::slice::from_ref(&endpoint));
        self.node.router.set_app(app, section).await?;
        let limit = Duration::from_millis(service.drain_ms);
        let progress = channel::Sender::new(Vec::new());
        let cut = self.node.router.drain(vec![endpoint], limit, progress).await?;
        self.count_cut(&cut);
        Ok(())
    }

    /// Counts and lists requests that were ended at their drain limit.
    pub(super) fn count_cut(&mut self, cut: &Cut) {
        self.cut += cut.total;
        for request in &cut.requests {
            self.feed.notice(format!(
                "ended at the drain limit: {} {} (request {}, {:.1} s)",
                request.method,
                request.path,
                request.id,
                request.age_ms as f64 / 1000.0
            ));
        }
    }

    /// Stops a slot and waits until its tree is empty.
    pub(super) async fn stop_slot(&self, slot: &PlannedSlot) -> Result<(), DeployError> {
        let handle = self.handle(&slot.service)?;
        stop(&handle, slot_id(slot)).await
    }

    /// Stops slots side by side and forgets them.
    pub(super) async fn remove_slots(&self, slots: &[PlannedSlot]) -> Result<(), DeployError> {
        let mut ends = JoinSet::new();
        for slot in slots {
            let handle = self.handle(&slot.service)?;
            let id = slot_id(slot);
            let file = format!("{}.{}", self.record.app, slot.service);
            let home = self.node.home.clone();
            ends.spawn(async move { remove(&home, &handle, &file, id).await });
        }
        let mut outcome = Ok(());
        while let Some(ended) = ends.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => outcome = Err(error),
                Err(error) => outcome = Err(Failure::from_error(Kind::Internal, &error).into()),
            }
        }
        outcome
    }

    /// Returns what the proxies are told while `serving` runs.
    pub(super) fn section(
        &self,
        serving: &Serving,
        listener: Option<&str>,
        releases: &Releases,
    ) -> Result<Section, DeployError> {
        let prepared = releases.get(&self.record.app, serving.release)?;
        section::of(&self.node, prepared.app(), &releases.apps(), listener, serving, |endpoint| {
            self.readiness.is_ready(endpoint)
        })
    }

    /// Returns the public address of what ran before the present stage.
    pub(super) fn listener_before(&self) -> Option<&str> {
        match self.record.stage {
            0 => self.record.from_listener.as_deref(),
            _ => self.record.listener.as_deref(),
        }
    }

    /// Changes the routes and, once they are acknowledged, what is current.
    pub(super) async fn switch(&mut self) -> Result<(), DeployError> {
        if self.is_cancelled() {
            return Err(DeployError::Cancelled);
        }
        let (_, to, releases) = self.roll()?;
        let app = self.record.app.clone();
        // New slots are followed from now on: they count as ready, because they just were.
        boot::follow(&self.node, &self.readiness, &app, &to, &releases.0, boot::Known::Running)?;
        self.feed.step(StepName::Switch, StepState::Running, "waiting for the proxy");
        let section = boot::publish(&self.node, &app, || {
            self.section(&to, self.record.listener.as_deref(), &releases)
        })
        .await?;
        let routed = !section.routes.is_empty();
        let node = self.node.clone();
        let journal = node.journal();
        let (serving, listener) = (to.clone(), self.record.listener.clone());
        let directory = match &self.record.intent {
            Intent::Deploy { directory, .. } => Some(directory.clone()),
            _ => None,
        };
        let (mut txn, _) = journal.with_app(Txn::new(), &app, |app| {
            app.serving = Some(serving.clone());
            app.listener.clone_from(&listener);
            if directory.is_some() {
                app.directory.clone_from(&directory);
            }
        })?;
        let version = releases.get(&app, to.release)?.release.env_version;
        if let Some(version) = self.variables_after(version)? {
            txn = environment::operator::make_current(txn, &node.store, &app, version)?;
        }
        self.advance(Phase::Drain, txn)?;
        self.show_current(&releases, &to);
        match routed {
            true => {
                self.feed.step(StepName::Switch, StepState::Done, "acknowledged by the proxy");
            }
            false => self.feed.step(StepName::Switch, StepState::Skipped, "no routes"),
        }
        Ok(())
    }

    /// Returns which version of the variables becomes current with a release that has `version`: a
    /// deploy took what was current and leaves alone what was set meanwhile, a change of variables
    /// moves forward only, a rollback goes back.
    fn variables_after(&self, version: u64) -> Result<Option<u64>, DeployError> {
        let head = environment::operator::head(&self.node.store, &self.record.app)?;
        Ok(match self.record.intent {
            Intent::Environment { .. } => Some(version.max(head.current)),
            Intent::Rollback { .. } => Some(version),
            _ => None,
        })
    }

    /// Moves the symlink for humans.
    fn show_current(&self, releases: &Releases, to: &Serving) {
        if let Some(prepared) = releases.0.get(&to.release)
            && let Err(error) = release::switch_current(&self.node.home, &prepared.release.artifact)
        {
            // Nothing runs through it.
            self.feed.notice(format!("{error}"));
        }
    }

    /// Waits for the old slots' last requests. Between stages the old slots are stopped here; the
    /// last stage's stay for the watch time.
    pub(super) async fn drain(&mut self) -> Result<(), DeployError> {
        let (roll, to, releases) = self.roll()?;
        self.feed.step(StepName::Drain, StepState::Running, "");
        let retired = self.retired_endpoints(&roll, &releases)?;
        self.readiness.forget(&retired);
        let limit = self.drain_limit(&roll, &releases);
        self.drain_endpoints(retired, limit).await?;
        if self.record.stage + 1 < self.record.stages.len() {
            self.remove_slots(&roll.retired).await?;
            let old: Vec<PlannedSlot> =
                roll.replaced.iter().filter_map(|(old, _)| old.clone()).collect();
            self.remove_slots(&old).await?;
            return self.advance_with(Txn::new(), |record| {
                record.phase = Phase::Start;
                record.stage += 1;
            });
        }
        self.live(&to, &releases).await;
        self.advance(Phase::Watch, Txn::new())
    }

    pub(super) async fn drain_endpoints(
        &mut self,
        endpoints: Vec<EndpointId>,
        limit: Duration,
    ) -> Result<(), DeployError> {
        if endpoints.is_empty() {
            self.feed.step(StepName::Drain, StepState::Skipped, "nothing to drain");
            return Ok(());
        }
        let progress = channel::Sender::new(Vec::new());
        let mut seen = progress.subscribe();
        let node = self.node.clone();
        let draining = node.router.drain(endpoints, limit, progress);
        tokio::pin!(draining);
        let cut = loop {
            tokio::select! {
                cut = &mut draining => break cut?,
                Ok(()) = seen.changed() => {
                    let in_flight = seen.borrow_and_update().clone();
                    let text = waiting_for(&in_flight, limit);
                    self.feed.step(StepName::Drain, StepState::Running, text);
                }
            }
        };
        self.count_cut(&cut);
        let text = match cut.total {
            0 => "nothing in flight".to_owned(),
            total => format!("{total} cut at {} s", limit.as_secs()),
        };
        self.feed.step(StepName::Drain, StepState::Done, text);
        Ok(())
    }

    pub(super) fn retired_endpoints(
        &self,
        roll: &Roll,
        releases: &Releases,
    ) -> Result<Vec<EndpointId>, DeployError> {
        let Some(before) = self.before_stage() else { return Ok(Vec::new()) };
        let mut endpoints = Vec::new();
        for slot in &roll.retired {
            let listens = placement(before, slot)
                .and_then(|placed| releases.0.get(&placed.release))
                .and_then(|prepared| prepared.app().services.get(&slot.service))
                .is_some_and(|service| service.listen != Listen::None);
            if listens {
                let service = service_name(&self.record.app, &slot.service)?;
                endpoints.push(EndpointId { service, slot: slot_id(slot) });
            }
        }
        Ok(endpoints)
    }

    pub(super) fn drain_limit(&self, roll: &Roll, releases: &Releases) -> Duration {
        let services = roll.retired.iter().filter_map(|slot| {
            let before = self.before_stage()?;
            let release = placement(before, slot)?.release;
            releases.0.get(&release)?.app().services.get(&slot.service)
        });
        Duration::from_millis(services.map(|service| service.drain_ms).max().unwrap_or(0))
    }

    async fn live(&mut self, to: &Serving, releases: &Releases) {
        let after = counters::read(&self.node.router, &self.record.app).await;
        let during = after.since(self.before.unwrap_or(after));
        let addresses = releases
            .0
            .get(&to.release)
            .map(|p| section::addresses(p.app(), self.record.listener.as_deref()))
            .unwrap_or_default();
        self.feed.push(DeployEvent::Live(LiveReport {
            after_ms: self.begun.elapsed().as_millis() as u64,
            addresses,
            failed: during.failed,
            held: during.held,
            held_max_ms: during.held_max_ms,
            cut: self.cut,
            undo: self.undo_command(),
        }));
    }

    /// Returns the command that leads back to what was before.
    fn undo_command(&self) -> Option<String> {
        let app = &self.record.app;
        let from = self.record.from.as_ref();
        match &self.record.intent {
            // It only started what was down.
            Intent::Deploy { .. } if self.record.release.is_none() => {
                Some(on_service("stop", app, None))
            }
            Intent::Deploy { .. } | Intent::Environment { .. } => {
                from.map(|_| format!("skep rollback {app}"))
            }
            Intent::Rollback { .. } => {
                from.map(|from| format!("skep rollback {app} --to v{}", from.release))
            }
            Intent::Restart { .. } => None,
            Intent::Stop { service } => Some(on_service("start", app, service.as_deref())),
            Intent::Start { service } => Some(on_service("stop", app, service.as_deref())),
            Intent::Scale { targets } => from.map(|from| {
                let words: Vec<String> = targets
                    .keys()
                    .map(|name| {
                        let before = from.services.get(name).map_or(0, |p| p.slots.len());
                        format!("{name}={before}")
                    })
                    .collect();
                format!("skep scale {app} {}", words.join(" "))
            }),
        }
    }
}

fn on_service(verb: &str, app: &str, service: Option<&str>) -> String {
    match service {
        Some(service) => format!("skep {verb} {app}/{service}"),
        None => format!("skep {verb} {app}"),
    }
}

/// Returns what is told of a wave: an answer says more than having stayed up.
fn telling(reports: Vec<ReadyReport>) -> Option<String> {
    let told = reports.into_iter().filter(|report| !report.text.is_empty());
    told.max_by_key(|report| report.answered).map(|report| report.text)
}

fn waiting_for(in_flight: &[InFlight], limit: Duration) -> String {
    match in_flight.first() {
        None => "0 in flight".to_owned(),
        Some(oldest) => format!(
            "{} in flight, {} {} {} s of {}",
            in_flight.len(),
            oldest.method,
            oldest.path,
            oldest.age_ms / 1000,
            limit.as_secs()
        ),
    }
}

/// Stops a slot and waits until its tree is empty; one that is not there is stopped.
pub(super) async fn stop(handle: &ServiceHandle, slot: SlotId) -> Result<(), DeployError> {
    if !handle.view().is_connected() {
        // What is not known is not stopped: its processes may have outlived their shim.
        handle.ensure_shim().await?;
    }
    let Some(state) = handle.view().slots.get(&slot).cloned() else { return Ok(()) };
    if !state.phase.is_empty() || !matches!(state.phase, control::shim::Phase::Stopped) {
        handle.stop(slot).await?;
    }
    /// The longest grace that the app file allows is below it.
    const LONGEST_GRACE: Duration = Duration::from_secs(3600);
    let empty = |view: &ServiceView| {
        let gone = view.slots.get(&slot).is_none_or(|state| {
            matches!(
                state.phase,
                control::shim::Phase::Stopped
                    | control::shim::Phase::Finished
                    | control::shim::Phase::Failed
            )
        });
        (view.is_connected() && gone).then_some(())
    };
    wait_for(handle, LONGEST_GRACE + BEYOND_GRACE, empty).await?;
    Ok(())
}

/// Stops a slot, forgets it and removes its private directory.
pub(super) async fn remove(
    home: &home::Home,
    handle: &ServiceHandle,
    service_file: &str,
    slot: SlotId,
) -> Result<(), DeployError> {
    stop(handle, slot).await?;
    if handle.view().slots.contains_key(&slot) {
        handle.remove(slot).await?;
    }
    let (generation, number) = (slot.generation.0, slot.number.0);
    disk::remove_tree(&home.slot_runtime(service_file, generation, number))?;
    // A directory, if the app bound its socket itself; else the shim has removed it.
    disk::remove_tree(&home.slot_socket(service_file, generation, number)).or_else(|error| {
        match error.kind() {
            std::io::ErrorKind::NotADirectory => {
                disk::remove_file(&home.slot_socket(service_file, generation, number))
            }
            _ => Err(error),
        }
    })?;
    Ok(())
}
