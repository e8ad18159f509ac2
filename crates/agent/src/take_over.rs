//! Taking over what the agent before this one left: routes first, then what is missing, then the
//! deploys that were going on and those that wait.
//!
//! Every name that something is left of is taken over: apps, apps whose first deploy is going on
//! or waits (they have no record yet), and apps of which only a shim is there (they were removed
//! while it could not be reached). Each is held until it is in order; what is asked for it waits.

use std::collections::BTreeMap;

use deploy::executor;
use deploy::records::{End, Phase, ReleaseState};
use deploy::{AppRecord, DeployError, DeployRecord};
use report::{Failure, Kind};
use routing::Section;
use supervise::Discovered;

use crate::order;
use crate::state::{Agent, Concern, RETRY_PAUSE};

/// Takes over what runs. Returns when the routes are those of the store, as far as the proxies have
/// acknowledged them; the rest goes on.
pub(crate) async fn take_over(
    agent: &Agent,
    apps: Vec<AppRecord>,
    shims: &[Discovered],
) -> Result<(), DeployError> {
    let mut all: BTreeMap<String, AppRecord> =
        apps.into_iter().map(|app| (app.name.clone(), app)).collect();
    let shims = shims.iter().map(|found| found.service.app().to_owned());
    let others = agent.node().journal().deploying()?.into_iter().chain(shims);
    for name in others.filter(|name| name != app::RESERVED_APP) {
        let nothing = AppRecord { name: name.clone(), ..AppRecord::default() };
        all.entry(name).or_insert(nothing);
    }
    let mut left = Vec::new();
    let mut sections = Vec::new();
    for (name, app) in all {
        agent.hold(&name);
        let deploy = queue(agent, &app);
        match order::routes_of(agent, &app) {
            Ok(section) => sections.push((name, section)),
            // Told and tried again when its turn comes.
            Err(error) => tracing::error!(app = name, %error, "failed to make routes"),
        }
        left.push((app, deploy));
    }
    acknowledge(agent, sections).await;
    for (app, deploy) in left {
        let agent = agent.clone();
        tokio::spawn(async move {
            let deploy = match deploy {
                Ok(deploy) => deploy,
                Err(error) => queue_later(&agent, &app, error).await,
            };
            if let Err(error) = take_over_one(&agent, &app, deploy).await {
                order::failed(&agent, &app.name, error);
            }
            agent.let_go(&app.name);
        });
    }
    Ok(())
}

/// Reads what is left of an app's deploys and sessions, and queues what waits: all of it, or nothing
/// where something of it cannot be read.
fn queue(agent: &Agent, app: &AppRecord) -> Result<Option<DeployRecord>, DeployError> {
    let journal = agent.node().journal();
    let deploy = journal.deploy(&app.name)?;
    let waiting = agent.still_wanted(journal.waiting(&app.name)?)?;
    agent.enter_sessions(app)?;
    agent.reload(deploy.as_ref(), waiting);
    Ok(deploy)
}

/// Does so as soon as it can be done. Until then the app stays held, and runs as it does: not knowing
/// what a deploy has started is no reason to end it, and none to begin another one.
async fn queue_later(
    agent: &Agent,
    app: &AppRecord,
    mut error: DeployError,
) -> Option<DeployRecord> {
    let concern = Concern::Record(app.name.clone());
    loop {
        let failure = Failure::from(error);
        let text = format!("{}: its deploys cannot be read: {failure}", app.name);
        agent.problem(concern.clone(), Some(text));
        tokio::time::sleep(RETRY_PAUSE).await;
        match queue(agent, app) {
            Ok(deploy) => {
                agent.problem(concern, None);
                agent.await_sessions();
                return deploy;
            }
            Err(again) => error = again,
        }
    }
}

/// Gives the proxies the whole table. While none has it in force that is a problem, and tried again.
async fn acknowledge(agent: &Agent, sections: Vec<(String, Section)>) {
    let note = |agent: &Agent, error: Option<&routing::RoutingError>| {
        agent.problem(Concern::Table, error.map(|error| format!("routes: {error}")));
    };
    let begun = agent.node().router.begin(sections).await;
    note(agent, begun.as_ref().err());
    if begun.is_ok() {
        return;
    }
    let agent = agent.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(RETRY_PAUSE).await;
            // Any change is acknowledged with the table it belongs to; this one changes nothing.
            let told = agent.node().router.set_app(app::RESERVED_APP, Section::default()).await;
            note(&agent, told.as_ref().err());
            if told.is_ok() {
                return;
            }
        }
    });
}

async fn take_over_one(
    agent: &Agent,
    app: &AppRecord,
    deploy: Option<DeployRecord>,
) -> Result<(), DeployError> {
    let published = match app.serving {
        Some(_) => order::publish(agent, app).await,
        None => Ok(()),
    };
    match deploy {
        Some(record) => finish_or_undo(agent, app, record).await,
        None => order::bring_up(agent, app).await,
    }
    .and(published)
}

/// Goes on with a deploy, or ends it. One that has not begun to do anything is begun; after a restart
/// of the machine what it had started is gone, so before its switch it is undone.
async fn finish_or_undo(
    agent: &Agent,
    app: &AppRecord,
    record: DeployRecord,
) -> Result<(), DeployError> {
    let node = agent.node();
    let rebooted = record.boot_id != node.boot_id;
    let begun_in_vain = rebooted && (Phase::Build..Phase::Switch).contains(&record.phase);
    if record.phase != Phase::Undo && !begun_in_vain {
        // What it replaces must run until it has switched.
        let up = executor::bring_up_beside(node, &agent.inner.readiness, app, &record).await;
        agent.resume(record).await;
        return up;
    }
    let text = if rebooted {
        "the machine was restarted before the new release served"
    } else {
        "the agent was restarted before the new release served"
    };
    let failure = Failure::new(Kind::Failed, text).hint("skep deploy");
    if let Err(error) = mark_failed(agent, &record, &failure.message) {
        // Once more with its end.
        tracing::error!(deploy = record.id, %error, "failed to mark a release as failed");
    }
    let mut brought_up = order::bring_up(agent, app).await;
    if brought_up.is_ok() {
        // A shim that had died too has come back with all that it was expected to keep.
        brought_up = executor::remove_unclaimed(node, app).await;
    }
    // Whatever became of the rest: a deploy that nobody carries out must not be the one going on.
    let journal = node.journal();
    let message = failure.message.clone();
    let end = End::Failed(Box::new(failure));
    let write = || {
        mark_failed(agent, &record, &message)?;
        journal.end(&record, end.clone()).map(drop)
    };
    agent.record_end(&app.name, write).await;
    agent.tell_end(&record, &end);
    brought_up
}

/// Writes that the release of a deploy never served. One that cannot be read is left as it is.
fn mark_failed(agent: &Agent, record: &DeployRecord, why: &str) -> Result<(), DeployError> {
    let journal = agent.node().journal();
    let release = record.release.and_then(|number| journal.release(&record.app, number).ok());
    match release {
        Some(mut release) if release.state != ReleaseState::Failed => {
            release.state = ReleaseState::Failed;
            release.failure = Some(why.to_owned());
            journal.put_release(&record.app, &release)
        }
        _ => Ok(()),
    }
}
