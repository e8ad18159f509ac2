//! Foreground sessions: what `skep up` deploys is up while its client's connection is.
//!
//! The connection is the lease. What a session owns is in the store: its deploys name it, and so
//! does the app as long as what serves was made by it ([`deploy::AppRecord::session`]). So it
//! outlives the agent: the next one waits [`REATTACH_WITHIN`] for the client to hold the session
//! again, and ends it otherwise. Ending is cancelling its deploy if that can be, and then a stop of
//! the app, if what serves is still the session's when that stop's turn comes. A newer release of
//! somebody else's, or a `skep deploy` that finds no change, makes the app permanent.
//!
//! No client outlives its machine's boot: what a session of another boot owned is not started again
//! ([`end_of_other_boots`]).

use std::time::Duration;

use api::DeployStarted;
use deploy::records::{Intent, Phase, Session};
use deploy::{AppRecord, DeployError, DeployRecord, Feed, Node};
use report::{Failure, Kind};

use crate::state::{Agent, Concern, RETRY_PAUSE};

/// How long the client of a session may take to come back after the agent was restarted. It tries
/// every few milliseconds and gives up after ten seconds, so that whoever comes later is nobody.
pub(crate) const REATTACH_WITHIN: Duration = Duration::from_secs(15);

/// Longest id that a client may choose for its session; a UUID has 36.
const MAX_ID_BYTES: usize = 64;

/// Holds a session; its end is the session's, unless another one holds it too.
#[derive(Debug)]
pub(crate) struct Lease {
    agent: Agent,
    app: String,
    session: Session,
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The next agent waits for the client.
        if self.agent.is_ending() || !self.agent.inner.registry.release_session(&self.session.id) {
            return;
        }
        let agent = self.agent.clone();
        let (app, session) = (self.app.clone(), self.session.clone());
        tokio::spawn(async move { agent.end_session(&app, session).await });
    }
}

/// Refuses an id that could not stand in a path.
pub(crate) fn check_id(id: &str) -> Result<(), Failure> {
    let good = (1..=MAX_ID_BYTES).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if good { Ok(()) } else { Err(Failure::new(Kind::Usage, "no id of a session")) }
}

fn over() -> Failure {
    Failure::new(Kind::Locked, "this session is over: nothing that runs belongs to it")
        .hint("skep ps")
}

impl Agent {
    /// Holds a session; with what is told of its deploy.
    pub(crate) fn attach(&self, id: &str) -> Result<(Lease, Feed), Failure> {
        let (app, session) = self.inner.registry.hold_session(id).ok_or_else(over)?;
        // Of a deploy that ended long ago nothing is told any more.
        let feed = self.feed(&session.deploy).ok().flatten().unwrap_or_default();
        Ok((Lease { agent: self.clone(), app, session }, feed))
    }

    /// Stops what serves if it belongs to this session: its client asks, and waits for the end.
    pub(crate) fn close_session(&self, id: &str) -> Result<DeployStarted, Failure> {
        let (app, session) = self.inner.registry.session(id).ok_or_else(over)?;
        // What it deploys is its own at the end; the stop waits for that.
        let going_on = self.node().journal().deploy(&app)?;
        let deploys = going_on.is_some_and(|deploy| deploy.session.as_ref() == Some(&session));
        if deploys || self.is_of_session(&app, &session)? {
            return self.stop_for(&app, &session);
        }
        let message = Some(format!("{app} is not this session's any more, and goes on"));
        Ok(DeployStarted { id: None, app, message })
    }

    /// Enters the sessions that the store knows of an app: their clients may come back.
    pub(crate) fn enter_sessions(&self, app: &AppRecord) -> Result<(), DeployError> {
        let journal = self.node().journal();
        let mut deploys = journal.waiting(&app.name)?;
        deploys.extend(journal.deploy(&app.name)?);
        let (ends, owned): (Vec<_>, Vec<_>) =
            deploys.into_iter().partition(|deploy| matches!(deploy.intent, Intent::Stop { .. }));
        let owners = owned.into_iter().filter_map(|deploy| deploy.session);
        for session in owners.chain(app.session.clone()) {
            // One that is being stopped is over already.
            let is_over = ends.iter().any(|end| end.session.as_ref() == Some(&session));
            if !is_over {
                self.inner.registry.enter(&app.name, &session);
            }
        }
        Ok(())
    }

    /// Waits for the clients of the sessions that were entered, and ends those that nobody comes for.
    pub(crate) fn await_sessions(&self) {
        for (app, session) in self.inner.registry.unheld() {
            let agent = self.clone();
            let rebooted = session.boot_id != agent.node().boot_id;
            let patience = if rebooted { Duration::ZERO } else { REATTACH_WITHIN };
            tokio::spawn(async move {
                let registry = &agent.inner.registry;
                let held = tokio::time::timeout(patience, registry.held(&session.id)).await;
                if held.is_err() && registry.expire(&session.id) {
                    agent.end_session(&app, session).await;
                }
            });
        }
    }

    /// Returns whether what serves of an app belongs to a session.
    pub(crate) fn is_of_session(&self, app: &str, session: &Session) -> Result<bool, DeployError> {
        let owner = self.node().journal().app(app)?.and_then(|app| app.session);
        Ok(owner.is_some_and(|owner| owner.id == session.id))
    }

    async fn end_session(&self, app: &str, session: Session) {
        tracing::info!(app, deploy = session.deploy, "a foreground session is over");
        let registry = &self.inner.registry;
        registry.not_held(app).await;
        // Too late for it: then it is stopped below.
        let _ = self.cancel(&session.deploy);
        // Nobody is there for whom its release would be watched.
        registry.with(app, |queue| {
            if let Some(running) = queue.running.as_ref().filter(|r| r.id == session.deploy) {
                running.hurry.send_replace(true);
            }
        });
        registry.over(app, &session.deploy).await;
        while let Err(failure) = self.stop_if_of_session(app, &session).await {
            let text =
                format!("{app}: its foreground session is over, it was not stopped: {failure}");
            self.problem(Concern::Session(app.to_owned()), Some(text));
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        self.problem(Concern::Session(app.to_owned()), None);
    }

    /// Returns when nothing that serves is the session's, or why that could not be brought about.
    async fn stop_if_of_session(&self, app: &str, session: &Session) -> Result<(), Failure> {
        if self.is_of_session(app, session)? {
            let stop = self.stop_for(app, session)?;
            if let Some(id) = stop.id {
                self.inner.registry.over(app, &id.0).await;
            }
            if self.is_of_session(app, session)? {
                let text = format!("{app} could not be stopped");
                return Err(Failure::new(Kind::Failed, text).hint(format!("skep ps {app}")));
            }
            return Ok(());
        }
        // What served before, or what somebody deployed since.
        tracing::info!(app, deploy = session.deploy, "what serves is not the session's: it stays");
        Ok(())
    }

    /// Stops an app for its session; one stop is enough, whoever asks again.
    fn stop_for(&self, app: &str, session: &Session) -> Result<DeployStarted, Failure> {
        let journal = self.node().journal();
        let is_stop = |deploy: &DeployRecord| {
            matches!(deploy.intent, Intent::Stop { .. }) && deploy.session.as_ref() == Some(session)
        };
        let known = journal.deploy(app)?.into_iter().chain(journal.waiting(app)?).find(is_stop);
        if let Some(stop) = known {
            let (id, app) = (Some(api::DeployId(stop.id)), app.to_owned());
            return Ok(DeployStarted { id, app, message: None });
        }
        let id = format!("d{}", self.node().journal().count("deploy")?);
        let mut record = self.record(id, app, Intent::Stop { service: None }, &session.who);
        record.session = Some(session.clone());
        self.enqueue(record, &deploy::Caller::default())
    }
}

/// Takes what sessions of another boot owned out of what is to run. Where a deploy is to be finished
/// first that is left to its end.
pub(crate) fn end_of_other_boots(node: &Node) -> Result<(), DeployError> {
    let journal = node.journal();
    for app in journal.apps()? {
        let Some(session) = app.session.filter(|session| session.boot_id != node.boot_id) else {
            continue;
        };
        let finishes = |going: DeployRecord| (Phase::Switch..Phase::Undo).contains(&going.phase);
        let finishes = journal.deploy(&app.name)?.is_some_and(finishes);
        if finishes {
            continue;
        }
        tracing::info!(app = app.name, deploy = session.deploy, "its session ended with its boot");
        journal.change_app(&app.name, |app| {
            app.serving = app.serving.as_ref().map(|serving| deploy::plan::stopped(serving, None));
            app.session = None;
        })?;
    }
    Ok(())
}
