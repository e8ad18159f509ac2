//! Whether slots are ready: once while they start, and again after each restart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use app::model::{Listen, Ready, Service};
use control::SlotId;
use control::proxy::{EndpointAddress, EndpointId};
use control::shim::{ExitStatus, Phase, SlotState};
use routing::Router;
use supervise::{ServiceHandle, ServiceView};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::listening;
use crate::probe::{Outcome, Probe, Verdict};

/// How long one probe may take. A server that is starting is silent until it serves, so this is
/// patient: it bounds a server that accepts and never answers.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

/// Between two probes of a port or path that refuses: nobody tells when a server that binds by
/// itself begins to listen.
const PROBE_PAUSE: Duration = Duration::from_millis(25);

/// Between two probes of a server that answers and is not ready.
const ANSWERED_PAUSE: Duration = Duration::from_millis(250);

/// Exits of a starting slot after which it is given up: one may be an accident of the machine, as
/// many as this are the release.
const MAX_EXITS: u64 = 4;

/// How a slot became ready, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyReport {
    /// For example `GET / 200 in 48 ms`.
    pub text: String,
    /// Whether the slot itself answered or reported; the others were only seen to run.
    pub answered: bool,
}

/// Why a slot was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// `web.0`.
    pub slot: String,
    /// One line.
    pub reason: String,
    /// What was asked, for example `GET / (Host shop.example.com)`.
    pub asked: Option<String>,
    /// Distinct answers and how often they came.
    pub probes: Vec<(String, u32)>,
    /// The slot's state at the end.
    pub state: Option<SlotState>,
    /// Exits while it was waited for.
    pub exits: u64,
}

/// Waits until a slot is ready, for at most `patience`.
pub async fn wait(
    handle: &ServiceHandle,
    slot: SlotId,
    service: &Service,
    probe: Option<Probe>,
    patience: Duration,
) -> Result<ReadyReport, Box<NotReady>> {
    let deadline = Instant::now() + patience;
    let mut watched = Watched::new(handle, slot, probe.as_ref().map(Probe::describe));
    loop {
        let state = match watched.running(deadline).await {
            Ok(Alive::Running(state)) => state,
            Ok(Alive::Completed) if service.listen == Listen::None => {
                return Ok(ReadyReport { text: "ended with status 0".into(), answered: false });
            }
            Ok(Alive::Completed) => {
                return Err(watched.give_up("ended with status 0 instead of serving".to_owned()));
            }
            Err(reason) => return Err(watched.give_up(reason)),
        };
        match (service.ready, &probe) {
            (Ready::Http, Some(probe)) => {
                let outcome = tokio::select! {
                    outcome = probe.ask(PROBE_PATIENCE) => outcome,
                    () = watched.changed(&state) => continue,
                    () = sleep_until(deadline) => {
                        watched.note("no answer".into());
                        return Err(watched.give_up(too_late(patience)));
                    }
                };
                match probe.judge(&outcome) {
                    Verdict::Ready(text) if is_own_answer(probe, &state) => {
                        return Ok(ReadyReport { text, answered: true });
                    }
                    Verdict::Ready(_) => {
                        watched.note("another process answers on the slot's port".to_owned());
                    }
                    Verdict::NotReady(text) => watched.note(text),
                }
                let pause = match outcome {
                    Outcome::Refused => PROBE_PAUSE,
                    _ => ANSWERED_PAUSE,
                };
                let next = (Instant::now() + pause).min(deadline);
                let _ = tokio::time::timeout_at(next, watched.changed(&state)).await;
                if Instant::now() >= deadline {
                    return Err(watched.give_up(too_late(patience)));
                }
            }
            (Ready::StaysUp(ms), _) => {
                let enough = Instant::now() + Duration::from_millis(ms);
                if timeout(enough - Instant::now(), watched.changed(&state)).await.is_err() {
                    let text = match ms {
                        0 => "runs".to_owned(),
                        ms => format!("stayed up for {ms} ms"),
                    };
                    return Ok(ReadyReport { text, answered: false });
                }
            }
            // Without a socket to ask, `http` cannot be; the app file's reader refuses it.
            (Ready::Notify | Ready::Http, _) => {
                if state.notified {
                    return Ok(ReadyReport { text: "said READY=1".into(), answered: true });
                }
                let told = tokio::time::timeout_at(deadline, watched.changed(&state));
                if told.await.is_err() {
                    watched.note("no READY=1 on NOTIFY_SOCKET".into());
                    return Err(watched.give_up(too_late(patience)));
                }
            }
        }
    }
}

fn too_late(patience: Duration) -> String {
    format!("not ready after {} s", patience.as_secs_f64())
}

/// Returns whether an answer can have come from the slot: a socket that its shim made is its own,
/// a port may be anybody's. Where nobody can tell, it counts.
fn is_own_answer(probe: &Probe, state: &SlotState) -> bool {
    let EndpointAddress::Tcp(address) = probe.address else { return true };
    let ports = state.process.and_then(|process| listening::ports(process.pid));
    ports.is_none_or(|ports| ports.contains(&address.port()))
}

/// What a slot that was asked about turned out to be.
enum Alive {
    Running(SlotState),
    /// Ended by itself with status 0 and is not to be restarted: a one-shot that is done.
    Completed,
}

/// A slot under observation.
struct Watched<'a> {
    handle: &'a ServiceHandle,
    slot: SlotId,
    asked: Option<String>,
    first_starts: Option<u64>,
    exits: u64,
    probes: Vec<(String, u32)>,
}

impl<'a> Watched<'a> {
    fn new(handle: &'a ServiceHandle, slot: SlotId, asked: Option<String>) -> Self {
        Self { handle, slot, asked, first_starts: None, exits: 0, probes: Vec::new() }
    }

    /// Waits until its process runs, or says why it will not.
    async fn running(&mut self, deadline: Instant) -> Result<Alive, String> {
        let mut views = self.handle.watch();
        loop {
            let state = views.borrow_and_update().slots.get(&self.slot).cloned();
            if let Some(state) = state {
                let first = *self.first_starts.get_or_insert(state.starts);
                let down = state.phase != Phase::Running;
                self.exits = state.starts.saturating_sub(first) + u64::from(down);
                match state.phase {
                    Phase::Running if self.exits < MAX_EXITS => return Ok(Alive::Running(state)),
                    Phase::Failed => {
                        let why = state.status_text.unwrap_or_default();
                        return Err(format!("could not be started: {why}"));
                    }
                    Phase::Finished
                        if state.last_exit.is_some_and(|e| e.status == ExitStatus::Code(0)) =>
                    {
                        return Ok(Alive::Completed);
                    }
                    Phase::Finished | Phase::CrashLoop { .. } => return Err(ended(&state)),
                    Phase::Stopped | Phase::Stopping => return Err("was stopped".to_owned()),
                    _ if self.exits >= MAX_EXITS => return Err(ended(&state)),
                    Phase::Running | Phase::Backoff { .. } | Phase::Clearing => {}
                }
            }
            match tokio::time::timeout_at(deadline, views.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err("the agent is ending".to_owned()),
                Err(_) => {
                    let view = self.handle.view();
                    return Err(not_running(view.slots.get(&self.slot)));
                }
            }
        }
    }

    /// Waits until the slot is not any more what it was.
    async fn changed(&self, was: &SlotState) {
        let mut views = self.handle.watch();
        let other = |view: &ServiceView| view.slots.get(&self.slot) != Some(was);
        if views.wait_for(other).await.is_err() {
            // The supervisor is gone; the caller's deadline ends this.
            std::future::pending::<()>().await;
        }
    }

    fn note(&mut self, text: String) {
        match self.probes.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => self.probes.push((text, 1)),
        }
    }

    fn give_up(self, reason: String) -> Box<NotReady> {
        let state = self.handle.view().slots.get(&self.slot).cloned();
        Box::new(NotReady {
            slot: format!("{}.{}", self.handle.name().service(), self.slot.number),
            reason,
            asked: self.asked,
            probes: self.probes,
            state,
            exits: self.exits,
        })
    }
}

fn ended(state: &SlotState) -> String {
    let how = state.last_exit.map_or("ended".to_owned(), |exit| exit.status.to_string());
    match state.starts {
        1 => how,
        starts => format!("{how}, {starts} starts"),
    }
}

/// Says why a slot has no process when its time is over.
fn not_running(state: Option<&SlotState>) -> String {
    match state {
        Some(state) if state.last_exit.is_some() => match state.phase {
            Phase::Clearing => {
                format!("{}; what it had started is still being ended", ended(state))
            }
            _ => ended(state),
        },
        _ => "has no running process".to_owned(),
    }
}

/// Follows every routed slot: not ready as soon as its process is gone, ready again once the next
/// one answers. Tells the router and remembers.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    slots: Arc<Mutex<BTreeMap<EndpointId, Tracked>>>,
}

#[derive(Debug)]
struct Tracked {
    ready: bool,
    task: AbortHandle,
}

impl Readiness {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<EndpointId, Tracked>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a slot may be picked.
    pub fn is_ready(&self, endpoint: &EndpointId) -> bool {
        self.lock().get(endpoint).is_some_and(|tracked| tracked.ready)
    }

    /// Begins to follow a slot. `ready_start` is the start of it that is known to be ready.
    pub fn follow(
        &self,
        router: Router,
        handle: ServiceHandle,
        endpoint: EndpointId,
        service: Service,
        probe: Probe,
        ready_start: Option<u64>,
    ) {
        let mut slots = self.lock();
        if slots.contains_key(&endpoint) {
            return;
        }
        let follower = Follower {
            readiness: self.clone(),
            router,
            handle,
            endpoint: endpoint.clone(),
            service,
            probe,
        };
        let task = tokio::spawn(follower.run(ready_start)).abort_handle();
        slots.insert(endpoint, Tracked { ready: ready_start.is_some(), task });
    }

    /// Ends following slots that are not routed to any more.
    pub fn forget(&self, endpoints: &[EndpointId]) {
        let mut slots = self.lock();
        for endpoint in endpoints {
            if let Some(tracked) = slots.remove(endpoint) {
                tracked.task.abort();
            }
        }
    }

    /// Returns what is followed of an app.
    pub fn of_app(&self, app: &str) -> Vec<EndpointId> {
        self.lock().keys().filter(|endpoint| endpoint.service.app() == app).cloned().collect()
    }

    fn set(&self, endpoint: &EndpointId, ready: bool) -> bool {
        match self.lock().get_mut(endpoint) {
            Some(tracked) => std::mem::replace(&mut tracked.ready, ready) != ready,
            None => false,
        }
    }
}

struct Follower {
    readiness: Readiness,
    router: Router,
    handle: ServiceHandle,
    endpoint: EndpointId,
    service: Service,
    probe: Probe,
}

impl Follower {
    async fn run(self, mut ready_start: Option<u64>) {
        let slot = self.endpoint.slot;
        loop {
            if let Some(start) = ready_start.take() {
                let mut views = self.handle.watch();
                let lost = |view: &ServiceView| {
                    // A view that is not current says nothing: the slot serves on.
                    view.is_connected()
                        && view.slots.get(&slot).is_none_or(|state| {
                            state.starts != start || state.phase != Phase::Running
                        })
                };
                if views.wait_for(lost).await.is_err() {
                    return;
                }
                self.tell(false).await;
            }
            // However long it takes: the shim restarts it for ever, and so do we ask.
            let patience = Duration::from_secs(3600);
            let probe = Some(self.probe.clone());
            if wait(&self.handle, slot, &self.service, probe, patience).await.is_ok() {
                let view = self.handle.view();
                let state = view.slots.get(&slot);
                ready_start = state.filter(|s| s.phase == Phase::Running).map(|s| s.starts);
                if ready_start.is_some() {
                    self.tell(true).await;
                    continue;
                }
            }
            // Given up for now (a crash loop, stopped, gone again): look when it changes.
            let was = self.handle.view().slots.get(&slot).cloned();
            let mut views = self.handle.watch();
            let changed = views.wait_for(|view| view.slots.get(&slot) != was.as_ref());
            if changed.await.is_err() {
                return;
            }
        }
    }

    async fn tell(&self, ready: bool) {
        if self.readiness.set(&self.endpoint, ready) {
            let app = self.endpoint.service.app();
            self.router.set_ready(app, self.endpoint.clone(), ready).await;
        }
    }
}
