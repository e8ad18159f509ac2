//! What is done for an app outside of a deploy: at the agent's start, and to clean up.

use std::collections::{BTreeMap, BTreeSet};

use control::proxy::EndpointId;
use control::shim::{Phase as SlotPhase, SlotSocket, SlotSpec};
use control::{ServiceName, SlotId};
use routing::Section;
use supervise::wait_for;

use super::listener::proxy_service;
use super::roll;
use crate::error::DeployError;
use crate::node::Node;
use crate::plan::{PlannedSlot, Roll};
use crate::probe::Probe;
use crate::readiness::{self, Readiness};
use crate::records::{AppRecord, DeployRecord, Phase, ReleaseState, Serving};
use crate::section;
use crate::spec::{self, Prepared, RELEASE_SERVICE, service_name};

/// What is known of slots when they begin to be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Those that run may be routed to: they were just seen ready, or served before this agent came.
    /// Behind a held socket a process answers when it can; for a slot that binds by itself a
    /// refused connection is tried elsewhere or held.
    Running,
    /// Nothing: they are asked first.
    Nothing,
}

/// Reads every release that a slot of these servings was started from.
pub(super) fn releases(
    node: &Node,
    app: &str,
    servings: &[&Serving],
) -> Result<BTreeMap<u32, Prepared>, DeployError> {
    let numbers: BTreeSet<u32> = servings
        .iter()
        .flat_map(|serving| {
            let slots = serving.services.values().flat_map(|placement| placement.slots.values());
            slots.map(|slot| slot.release).chain([serving.release])
        })
        .collect();
    numbers
        .into_iter()
        .map(|number| {
            let release = node.journal().release(app, number)?;
            Ok((number, Prepared::read(node, release)?))
        })
        .collect()
}

/// Begins to follow the routed slots of a serving that are not followed yet.
pub(super) fn follow(
    node: &Node,
    readiness: &Readiness,
    app: &str,
    serving: &Serving,
    releases: &BTreeMap<u32, Prepared>,
    known: Known,
) -> Result<(), DeployError> {
    for (label, placement) in serving.services.iter().filter(|(_, p)| !p.stopped) {
        let name = service_name(app, label)?;
        let handle = node.supervisor.service(&name);
        for (number, slot) in &placement.slots {
            let Some(service) =
                releases.get(&slot.release).and_then(|p| p.app().services.get(label)).cloned()
            else {
                continue;
            };
            let address = spec::address(node, app, label, service.listen, *number, slot);
            let Some(address) = address else { continue };
            let id = SlotId::new(slot.generation, *number);
            let running = handle
                .view()
                .slots
                .get(&id)
                .filter(|state| state.phase == SlotPhase::Running)
                .map(|state| state.starts);
            let ready_start = running.filter(|_| known != Known::Nothing);
            readiness.follow(
                node.router.clone(),
                handle.clone(),
                EndpointId { service: name.clone(), slot: id },
                service.clone(),
                Probe::of(&service, address),
                ready_start,
            );
        }
    }
    Ok(())
}

/// Begins to follow what an app serves, at the agent's start.
pub fn follow_serving(
    node: &Node,
    readiness: &Readiness,
    app: &AppRecord,
    known: Known,
) -> Result<(), DeployError> {
    let Some(serving) = &app.serving else { return Ok(()) };
    let releases = releases(node, &app.name, &[serving])?;
    follow(node, readiness, &app.name, serving, &releases, known)
}

/// Returns what the proxies are told of an app.
pub fn section_of(
    node: &Node,
    readiness: &Readiness,
    app: &AppRecord,
) -> Result<Section, DeployError> {
    let Some(serving) = &app.serving else { return Ok(Section::default()) };
    let releases = releases(node, &app.name, &[serving])?;
    let Some(current) = releases.get(&serving.release) else { return Ok(Section::default()) };
    let apps = releases.iter().map(|(number, p)| (*number, p.app().clone())).collect();
    section::of(node, current.app(), &apps, app.listener.as_deref(), serving, |endpoint| {
        readiness.is_ready(endpoint)
    })
}

/// Makes an app's routes and gives them to the proxies; once more when a slot's readiness has
/// changed meanwhile: what is told of it may have come before the routes that it belongs to.
pub(super) async fn publish(
    node: &Node,
    app: &str,
    make: impl Fn() -> Result<Section, DeployError>,
) -> Result<Section, DeployError> {
    /// A slot that changes with every look tells of its next change itself.
    const MAX_LOOKS: usize = 8;
    let mut section = make()?;
    for _ in 0..MAX_LOOKS {
        node.router.set_app(app, section.clone()).await?;
        let now = make()?;
        if now == section {
            break;
        }
        section = now;
    }
    Ok(section)
}

/// Gives the proxies what an app serves, at the agent's start, after [`routing::Router::begin`].
pub async fn publish_serving(
    node: &Node,
    readiness: &Readiness,
    app: &AppRecord,
) -> Result<(), DeployError> {
    if app.serving.is_some() {
        publish(node, &app.name, || section_of(node, readiness, app)).await?;
    }
    Ok(())
}

/// Returns the recipes of every slot that an app may have, by service: what it serves, and what a
/// deploy that is going on has started. Given to the supervisor before it adopts anything.
///
/// What a deploy had started before a reboot is gone, and is not to come back by being expected: a
/// new shim starts what it is told of and cannot find.
pub fn expected_slots(
    node: &Node,
    app: &AppRecord,
) -> Result<BTreeMap<ServiceName, Vec<SlotSpec>>, DeployError> {
    let journal = node.journal();
    let deploy = journal.deploy(&app.name)?.filter(|deploy| deploy.boot_id == node.boot_id);
    let stages = deploy.iter().flat_map(|deploy| deploy.from.iter().chain(&deploy.stages));
    let servings: Vec<&Serving> = app.serving.iter().chain(stages).collect();
    let releases = releases(node, &app.name, &servings)?;
    let mut expected: BTreeMap<ServiceName, Vec<SlotSpec>> = BTreeMap::new();
    for serving in servings {
        for (label, placement) in &serving.services {
            let specs = expected.entry(service_name(&app.name, label)?).or_default();
            for (number, slot) in &placement.slots {
                let id = SlotId::new(slot.generation, *number);
                if specs.iter().any(|spec| spec.id == id) {
                    continue;
                }
                if let Some(prepared) = releases.get(&slot.release) {
                    specs.push(prepared.slot(node, label, *number, slot)?);
                }
            }
        }
    }
    let running = deploy.as_ref().filter(|deploy| deploy.phase == Phase::Release);
    if let Some(deploy) = running
        && let (Some(generation), Some(number)) = (deploy.release_slot, deploy.release)
    {
        let release = journal.release(&app.name, number)?;
        if let Some(command) = release.app.release.command.clone() {
            let prepared = Prepared::read(node, release)?;
            let spec = prepared.release_command(node, &command, generation)?;
            expected.insert(service_name(&app.name, RELEASE_SERVICE)?, vec![spec]);
        }
    }
    Ok(expected)
}

/// Starts one slot of a release.
pub(super) async fn start(
    node: &Node,
    handle: &supervise::ServiceHandle,
    prepared: &Prepared,
    service: &str,
    number: u32,
    placement: &crate::records::SlotPlacement,
) -> Result<(), DeployError> {
    let spec = prepared.slot(node, service, number, placement)?;
    handle.ensure_shim().await?;
    handle.start(spec).await?;
    Ok(())
}

/// Starts everything that an app shall run and that does not: after a reboot all of it, after a
/// restart of the agent usually nothing. Waves wait for each other as long as their services may
/// take to get ready, and go on then: what does not get ready is shown, and followed.
pub async fn bring_up(
    node: &Node,
    readiness: &Readiness,
    app: &AppRecord,
) -> Result<(), DeployError> {
    bring_up_except(node, readiness, app, &BTreeSet::new()).await
}

/// The same while a deploy of the app is to be gone on with: a slot that it replaces in place is
/// left to it, because the successor may run already.
pub async fn bring_up_beside(
    node: &Node,
    readiness: &Readiness,
    app: &AppRecord,
    deploy: &DeployRecord,
) -> Result<(), DeployError> {
    let stage = match deploy.phase {
        Phase::Start | Phase::Switch => deploy.stages.get(deploy.stage),
        _ => None,
    };
    let (Some(to), Some(from)) = (stage, &app.serving) else {
        return bring_up(node, readiness, app).await;
    };
    let releases = releases(node, &app.name, &[from, to])?;
    let Some(new) = releases.get(&to.release) else {
        return bring_up(node, readiness, app).await;
    };
    let roll =
        Roll::between(Some(from), to, releases.get(&from.release).map(Prepared::app), new.app());
    let spared = roll.replaced.into_iter().filter_map(|(old, _)| old).collect();
    bring_up_except(node, readiness, app, &spared).await
}

async fn bring_up_except(
    node: &Node,
    readiness: &Readiness,
    app: &AppRecord,
    spared: &BTreeSet<PlannedSlot>,
) -> Result<(), DeployError> {
    let Some(serving) = &app.serving else { return Ok(()) };
    let releases = releases(node, &app.name, &[serving])?;
    let Some(current) = releases.get(&serving.release) else { return Ok(()) };
    let roll = Roll::between(None, serving, None, current.app());
    let replaced: Vec<_> = roll.replaced.iter().filter_map(|(_, new)| new.clone()).collect();
    let mut failed = Ok(());
    for wave in roll.waves.iter().chain([&replaced]) {
        let mut waits = tokio::task::JoinSet::new();
        for slot in wave.iter().filter(|slot| !spared.contains(slot)) {
            let placed = serving.services.get(&slot.service);
            let Some(placed) = placed.and_then(|p| p.slots.get(&slot.number)) else { continue };
            let Some(prepared) = releases.get(&placed.release) else { continue };
            let handle = node.supervisor.service(&service_name(&app.name, &slot.service)?);
            let id = spec::slot_id(slot);
            let started = start(node, &handle, prepared, &slot.service, slot.number, placed).await;
            if let Err(error) = started {
                // The others are no worse for it.
                tracing::error!(app = app.name, slot = %id, %error, "failed to start a slot");
                failed = Err(error);
                continue;
            }
            let Some(service) = prepared.app().services.get(&slot.service).cloned() else {
                continue;
            };
            let address =
                spec::address(node, &app.name, &slot.service, service.listen, slot.number, placed);
            let probe = address.map(|address| Probe::of(&service, address));
            waits.spawn(async move {
                let patience = std::time::Duration::from_millis(service.ready_timeout_ms);
                readiness::wait(&handle, id, &service, probe, patience).await
            });
        }
        follow(node, readiness, &app.name, serving, &releases, Known::Nothing)?;
        while let Some(ended) = waits.join_next().await {
            if let Ok(Err(not_ready)) = ended {
                let (slot, reason) = (&not_ready.slot, &not_ready.reason);
                tracing::warn!(app = app.name, slot, reason, "a slot did not get ready");
            }
        }
    }
    failed
}

/// Ends slots that no record names: a deploy that was undone while a shim could not be reached, an
/// app that was removed. Called when no deploy of the app is going on.
pub async fn remove_unclaimed(node: &Node, app: &AppRecord) -> Result<(), DeployError> {
    let claimed: BTreeSet<(ServiceName, SlotId)> =
        app.serving
            .iter()
            .flat_map(|serving| &serving.services)
            .filter(|(_, placement)| !placement.stopped)
            .filter_map(|(label, placement)| {
                Some((ServiceName::new(&app.name, label).ok()?, placement))
            })
            .flat_map(|(name, placement)| {
                placement.slots.iter().map(move |(number, slot)| {
                    (name.clone(), SlotId::new(slot.generation, *number))
                })
            })
            .collect();
    for handle in node.supervisor.services() {
        let name = handle.name().clone();
        // Whoever runs this is no leftover, whatever a record says.
        let own = name == supervise::bootstrap::agent_service();
        if name.app() != app.name || own {
            continue;
        }
        let slots: Vec<SlotId> = handle.view().slots.keys().copied().collect();
        for slot in slots {
            if !claimed.contains(&(name.clone(), slot)) {
                tracing::info!(service = %name, %slot, "ending a slot that no record names");
                roll::remove(&node.home, &handle, &name.file_name(), slot).await?;
            }
        }
    }
    Ok(())
}

/// Ends slots whose socket lost its file: the shim holds it, and nobody can connect. Started anew, a
/// slot gets another one at the same place.
pub async fn remove_unreachable(node: &Node, app: &AppRecord) -> Result<(), DeployError> {
    for (service, slots) in expected_slots(node, app)? {
        let handle = node.supervisor.service(&service);
        for spec in slots {
            let SlotSocket::Unix { path, .. } = &spec.socket else { continue };
            let is_lost = std::path::Path::new(path).try_exists().is_ok_and(|exists| !exists);
            if is_lost && handle.view().slots.contains_key(&spec.id) {
                tracing::warn!(%service, slot = %spec.id, path, "ending a slot without its socket");
                roll::remove(&node.home, &handle, &service.file_name(), spec.id).await?;
            }
        }
    }
    Ok(())
}

/// Ends the shims of an app whose slots are all gone.
pub async fn end_shims(node: &Node, app: &str) -> Result<(), DeployError> {
    for handle in node.supervisor.services() {
        let view = handle.view();
        let idle = view.is_connected() && view.slots.is_empty();
        let own = *handle.name() == supervise::bootstrap::agent_service();
        if handle.name().app() == app && idle && !own {
            handle.exit().await?;
            let gone = |view: &supervise::ServiceView| {
                (view.shim == supervise::ShimState::Gone).then_some(())
            };
            wait_for(&handle, std::time::Duration::from_secs(10), gone).await?;
        }
    }
    Ok(())
}

/// Returns how long requests of an app may go on when all of it is stopped.
pub fn drain_limit_of(node: &Node, app: &AppRecord) -> Result<std::time::Duration, DeployError> {
    let Some(serving) = &app.serving else { return Ok(std::time::Duration::ZERO) };
    let model = node.journal().release(&app.name, serving.release)?.app;
    let limit = model.services.values().map(|service| service.drain_ms).max().unwrap_or(0);
    Ok(std::time::Duration::from_millis(limit))
}

/// Removes artifacts and versions of variables that no kept release needs.
pub(super) fn retain(node: &Node, app: &str, current: u32) -> Result<(), DeployError> {
    let journal = node.journal();
    let releases = journal.releases(app)?;
    let keep = releases
        .iter()
        .find(|release| release.number == current)
        .map_or(5, |release| release.app.deploy.keep);
    let held: Vec<release::retention::Held> = releases
        .iter()
        .filter(|release| !release.removed)
        .map(|release| release::retention::Held {
            number: release.number,
            artifact: release.artifact.id,
            standing: match release.state {
                ReleaseState::Good => release::retention::Standing::Good,
                ReleaseState::Failed => release::retention::Standing::Failed,
                ReleaseState::Pending => release::retention::Standing::Pending,
            },
            current: release.number == current,
            pinned: false,
        })
        .collect();
    let kept = release::retention::decide(&held, keep as usize);
    release::retention::collect(&release::Artifacts::of(&node.home, app), &kept)?;
    let mut versions = BTreeSet::new();
    for release in releases {
        if release.removed {
            continue;
        }
        if kept.contains(&release.artifact.id) {
            versions.insert(release.env_version);
        } else {
            journal
                .put_release(app, &crate::records::ReleaseRecord { removed: true, ..release })?;
        }
    }
    environment::operator::prune(&node.store, app, &versions)?;
    journal.forget_releases(app)
}

/// Closes a public socket in the proxy and in its shim.
pub async fn close_listener(node: &Node, name: &str) {
    node.router.unlisten(name).await;
    if let Err(error) = node.supervisor.service(&proxy_service()).close(name).await {
        tracing::warn!(listener = name, %error, "failed to close a listener");
    }
}

/// Closes the public sockets that no app has any more. `ending` is the app whose deploy is about to
/// end: what that wanted does not count.
pub async fn close_unused_listeners(node: &Node, ending: Option<&str>) {
    let Ok(apps) = node.journal().apps() else { return };
    let used: BTreeSet<String> = apps
        .iter()
        .flat_map(|app| {
            let deploy = match ending {
                Some(ending) if ending == app.name => None,
                _ => node.journal().deploy(&app.name).ok().flatten(),
            };
            let coming = deploy.and_then(|deploy| deploy.listener);
            let own = app.listener.clone().filter(|_| app.serving.is_some());
            own.into_iter().chain(coming)
        })
        .collect();
    let open: Vec<String> =
        node.supervisor.service(&proxy_service()).view().listeners.into_keys().collect();
    for name in open {
        if !used.contains(&name) {
            close_listener(node, &name).await;
        }
    }
}
