//! What runs now, as lists show it.

use std::collections::BTreeMap;

use api::{AppDetail, AppState, AppSummary, ProcessRow, ReleaseRow, Route, ScaleEntry, SlotPhase};
use control::proxy::EndpointId;
use control::shim::{Phase, SlotState};
use control::{ServiceName, SlotId};
use deploy::records::{AppRecord, ReleaseRecord, ReleaseState};
use deploy::{DeployError, section};

use crate::state::Agent;

impl Agent {
    /// Returns an app in short; of one whose release cannot be read what else is known.
    pub(crate) fn summary(&self, app: &AppRecord) -> AppSummary {
        let serving = app.serving.as_ref();
        let release =
            serving.map(|serving| self.node().journal().release(&app.name, serving.release));
        let release = release.and_then(Result::ok);
        let addresses = release
            .as_ref()
            .map(|release| section::addresses(&release.app, app.listener.as_deref()))
            .unwrap_or_default();
        AppSummary {
            name: app.name.clone(),
            state: self.state(app),
            release: serving.map(|serving| serving.release),
            addresses,
            directory: app.directory.clone(),
            deploy: self.inner.registry.running(&app.name).map(api::DeployId),
        }
    }

    fn state(&self, app: &AppRecord) -> AppState {
        let Some(serving) = &app.serving else { return AppState::New };
        if serving.is_down() {
            return AppState::Stopped;
        }
        let rows = self.processes(app);
        let fine = |row: &ProcessRow| {
            matches!(row.phase, SlotPhase::Ready | SlotPhase::Draining | SlotPhase::Finished)
        };
        if rows.iter().all(fine) { AppState::Running } else { AppState::Degraded }
    }

    /// Returns everything of an app.
    pub(crate) fn detail(&self, app: &AppRecord) -> Result<AppDetail, DeployError> {
        let journal = self.node().journal();
        let mut detail = AppDetail {
            summary: self.summary(app),
            routes: Vec::new(),
            scale: BTreeMap::new(),
            data_directory: self.node().home.data(&app.name).to_string_lossy().into_owned(),
            notes: Vec::new(),
        };
        if let Some(serving) = &app.serving {
            let release = journal.release(&app.name, serving.release)?;
            if let Some(listener) = &app.listener {
                let claims = section::claims(&release.app, listener).into_iter();
                detail.routes = claims
                    .map(|(listener, host, path, service)| Route {
                        listener,
                        host,
                        path,
                        service: service.to_string(),
                    })
                    .collect();
            }
            detail.scale = serving
                .services
                .iter()
                .map(|(name, placement)| (name.clone(), placement.slots.len() as u32))
                .collect();
            detail.notes = release.app.notes;
        }
        Ok(detail)
    }

    /// Returns the slots of an app, wanted ones without a shim included.
    pub(crate) fn processes(&self, app: &AppRecord) -> Vec<ProcessRow> {
        let mut rows = Vec::new();
        let mut shown = std::collections::BTreeSet::new();
        let wanted = Self::wanted(app);
        for handle in self.node().supervisor.services() {
            if handle.name().app() != app.name {
                continue;
            }
            let view = handle.view();
            for state in view.slots.values() {
                let endpoint = EndpointId { service: handle.name().clone(), slot: state.id };
                let current = wanted.get(&endpoint).copied();
                shown.insert(endpoint.clone());
                let mut row = self.row(&endpoint, state, current);
                if !view.is_connected() {
                    row.phase = SlotPhase::Unknown;
                    row.note = Some(view.shim.trouble().unwrap_or("its shim is coming").to_owned());
                }
                rows.push(row);
            }
        }
        for (endpoint, release) in wanted {
            if !shown.contains(&endpoint) {
                rows.push(ProcessRow {
                    service: endpoint.service.to_string(),
                    slot: endpoint.slot.number.0,
                    generation: endpoint.slot.generation.0,
                    release,
                    phase: SlotPhase::Unknown,
                    pid: None,
                    processes: None,
                    memory_bytes: None,
                    restarts: 0,
                    since: None,
                    note: Some("wanted, not started".to_owned()),
                });
            }
        }
        rows.sort_by(|a, b| {
            (&a.service, a.slot, a.generation).cmp(&(&b.service, b.slot, b.generation))
        });
        rows
    }

    /// Returns the slots that an app shall have, with their releases.
    fn wanted(app: &AppRecord) -> BTreeMap<EndpointId, u32> {
        let services = app.serving.iter().flat_map(|serving| &serving.services);
        services
            .filter(|(_, placement)| !placement.stopped)
            .filter_map(|(name, placement)| {
                Some((ServiceName::new(&app.name, name).ok()?, placement))
            })
            .flat_map(|(service, placement)| {
                placement.slots.iter().map(move |(number, slot)| {
                    let slot_id = SlotId::new(slot.generation, *number);
                    (EndpointId { service: service.clone(), slot: slot_id }, slot.release)
                })
            })
            .collect()
    }

    fn row(&self, endpoint: &EndpointId, state: &SlotState, wanted: Option<u32>) -> ProcessRow {
        let release = state.release.trim_start_matches('v').parse().ok();
        let routed = self.inner.readiness.of_app(endpoint.service.app()).contains(endpoint);
        let phase = match state.phase {
            Phase::Running if wanted.is_none() => SlotPhase::Draining,
            Phase::Running if routed && !self.inner.readiness.is_ready(endpoint) => {
                SlotPhase::Starting
            }
            Phase::Running => SlotPhase::Ready,
            Phase::Clearing | Phase::Backoff { .. } => SlotPhase::Backoff,
            Phase::CrashLoop { .. } => SlotPhase::CrashLoop,
            Phase::Stopping => SlotPhase::Stopping,
            Phase::Stopped => SlotPhase::Stopped,
            Phase::Finished => SlotPhase::Finished,
            Phase::Failed => SlotPhase::Failed,
        };
        let usage = self.usage(endpoint, state);
        let since = state.process.map(|process| rfc3339_ms(process.started_at_ms));
        let note = match (state.phase, state.last_exit) {
            (Phase::Failed, _) => state.status_text.clone(),
            _ if state.incomplete => {
                Some("its socket was lost; replaced at the next restart".to_owned())
            }
            (_, Some(exit)) if !exit.requested => {
                Some(format!("last: {} {}", exit.status, rfc3339_ms(exit.at_ms)))
            }
            _ => state.status_text.clone(),
        };
        ProcessRow {
            service: endpoint.service.to_string(),
            slot: endpoint.slot.number.0,
            generation: endpoint.slot.generation.0,
            release: release.or(wanted).unwrap_or_default(),
            phase,
            pid: state.process.map(|process| process.pid),
            processes: usage.map(|(processes, _)| processes),
            memory_bytes: usage.map(|(_, bytes)| bytes),
            restarts: state.starts.saturating_sub(1),
            since,
            note,
        }
    }

    fn usage(&self, endpoint: &EndpointId, state: &SlotState) -> Option<(u32, u64)> {
        state.process?;
        let base = self.inner.cgroup_base.as_ref()?;
        let leaf = base
            .join(endpoint.service.file_name())
            .join(format!("{}.{}", endpoint.slot, state.starts));
        let usage = cgroup::Leaf::open(&leaf).ok()??.usage().ok()?;
        Some((usage.processes as u32, usage.resident_bytes))
    }

    /// Returns the releases of an app, newest first.
    pub(crate) fn release_rows(&self, app: &AppRecord) -> Result<Vec<ReleaseRow>, DeployError> {
        let journal = self.node().journal();
        let current = app.serving.as_ref().map(|serving| serving.release);
        let going_on = journal.deploy(&app.name)?;
        let rows = journal.releases(&app.name)?.into_iter().rev().map(|release| {
            let state = match release.state {
                ReleaseState::Failed => api::ReleaseState::Failed,
                ReleaseState::Pending if current == Some(release.number) => {
                    api::ReleaseState::Watching
                }
                ReleaseState::Pending => {
                    let is_going_on =
                        going_on.as_ref().is_some_and(|d| d.release == Some(release.number));
                    if is_going_on { api::ReleaseState::Pending } else { api::ReleaseState::Failed }
                }
                ReleaseState::Good if current == Some(release.number) => api::ReleaseState::Current,
                ReleaseState::Good => api::ReleaseState::Good,
            };
            row_of(release, state)
        });
        Ok(rows.collect())
    }

    /// Returns today's numbers of slots.
    pub(crate) fn scale_entries(&self, app: &AppRecord) -> Result<Vec<ScaleEntry>, DeployError> {
        let journal = self.node().journal();
        let Some(serving) = &app.serving else { return Ok(Vec::new()) };
        let release = journal.release(&app.name, serving.release)?;
        let scale = journal.scale(&app.name)?;
        let entries = release.app.services.keys().map(|service| {
            let operator = scale.services.get(service);
            ScaleEntry {
                service: service.clone(),
                slots: deploy::plan::wanted(&release.app, &scale, service),
                layer: if operator.is_some() { "operator" } else { "app file" }.to_owned(),
                who: operator.map(|scaled| scaled.who.clone()),
            }
        });
        Ok(entries.collect())
    }
}

fn row_of(release: ReleaseRecord, state: api::ReleaseState) -> ReleaseRow {
    ReleaseRow {
        number: release.number,
        state,
        at: release.at,
        who: release.who,
        kind: release.kind,
        source: release.source,
        changed: release.changed,
        artifact: Some(release.artifact.id.short()),
        kept: !release.removed && release.artifact.directory.is_dir(),
        failure: release.failure,
    }
}

/// Returns milliseconds since the epoch as RFC 3339.
pub(crate) fn rfc3339_ms(ms: u64) -> String {
    jiff::Timestamp::from_millisecond(ms as i64).map_or_else(|_| String::new(), |t| t.to_string())
}

/// Returns microseconds since the epoch as RFC 3339.
pub(crate) fn rfc3339_us(us: u64) -> String {
    jiff::Timestamp::from_microsecond(us as i64).map_or_else(|_| String::new(), |t| t.to_string())
}
