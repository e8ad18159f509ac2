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
            if let Err(error) = take_over_one(&agent, &app, deploy).await {
                order::failed(&agent, &app.name, error);
            }
            agent.let_go(&app.name);
        });
    }
    Ok(())
}

/// Reads what is left of an app's deploys and sessions, and queues what waits.
fn queue(agent: &Agent, app: &AppRecord) -> Result<Option<DeployRecord>, DeployError> {
    let journal = agent.node().journal();
    let deploy = journal.deploy(&app.name)?;
    agent.reload(deploy.as_ref(), journal.waiting(&app.name)?)?;
    agent.enter_sessions(app)?;
    Ok(deploy)
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
    deploy: Result<Option<DeployRecord>, DeployError>,
) -> Result<(), DeployError> {
    // Not knowing what a deploy has started is no reason to end it.
    let deploy = deploy?;
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
        agent.resume(record).map_err(DeployError::from)?;
        return up;
    }
    let text = if rebooted {
        "the machine was restarted before the new release served"
    } else {
        "the agent was restarted before the new release served"
    };
    let failure = Failure::new(Kind::Failed, text).hint("skep deploy");
    let journal = node.journal();
    if let Some(number) = record.release {
        let mut release = journal.release(&app.name, number)?;
        release.state = ReleaseState::Failed;
        release.failure = Some(failure.message.clone());
        journal.put_release(&app.name, &release)?;
    }
    let mut brought_up = order::bring_up(agent, app).await;
    if brought_up.is_ok() {
        // A shim that had died too has come back with all that it was expected to keep.
        brought_up = executor::remove_unclaimed(node, app).await;
    }
    let end = End::Failed(Box::new(failure));
    agent.record_end(&app.name, || journal.end(&record, end.clone()).map(drop)).await;
    agent.tell_end(&record, &end);
    brought_up
}
