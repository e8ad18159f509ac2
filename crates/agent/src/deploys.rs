//! One deploy an app at a time; the newest waiting one replaces older waiting ones.

use std::collections::BTreeMap;

use api::{DeployEvent, DeployId, DeployKind, DeployRequest, DeployStarted};
use deploy::executor::{self, Signals};
use deploy::records::{DeployRecord, End, Intent, Phase};
use deploy::{BuildCancel, Executor, Feed};
use report::{Failure, Kind};
use tokio::sync::watch;

use crate::registry::{Cancelled, MAX_WAITING, Running, Waiting};
use crate::state::Agent;

impl Agent {
    /// Takes on a request: it runs now, or waits for its turn.
    pub(crate) fn submit(&self, request: DeployRequest) -> Result<DeployStarted, Failure> {
        let app = Self::app_of(&request)?;
        let journal = self.node().journal();
        if !matches!(request.kind, DeployKind::Deploy { .. }) {
            self.app(&app)?;
        }
        let intent = match request.kind {
            DeployKind::Deploy { directory, force } => Intent::Deploy { directory, force },
            DeployKind::Rollback { to } => Intent::Rollback { to },
            DeployKind::Restart { service } => Intent::Restart { service },
            DeployKind::Stop { service } => Intent::Stop { service },
            DeployKind::Start { service } => Intent::Start { service },
            DeployKind::Scale { targets } => Intent::Scale { targets },
            DeployKind::Environment { .. } => {
                let text = "variables are changed at their own path";
                return Err(Failure::new(Kind::Usage, text));
            }
        };
        let listener = request.listen.as_deref().map(executor::parse_listener).transpose()?;
        let id = format!("d{}", journal.count("deploy")?);
        let mut record = self.record(id, &app, intent, &request.who);
        record.listener = listener.map(|address| address.to_string());
        self.enqueue(Waiting {
            record,
            feed: Feed::default(),
            build_environment: request.build_environment,
        })
    }

    pub(crate) fn record(&self, id: String, app: &str, intent: Intent, who: &str) -> DeployRecord {
        DeployRecord {
            id,
            app: app.to_owned(),
            intent,
            who: who.to_owned(),
            at: deploy::node::now(),
            boot_id: self.node().boot_id.clone(),
            phase: Phase::Queued,
            from: None,
            release: None,
            from_listener: None,
            listener: None,
            stages: Vec::new(),
            stage: 0,
            release_slot: None,
            end: None,
        }
    }

    fn app_of(request: &DeployRequest) -> Result<String, Failure> {
        match (&request.kind, &request.app) {
            (DeployKind::Deploy { directory, .. }, named) => {
                let app = app::load(directory.as_ref()).map_err(Failure::from)?;
                match named {
                    Some(named) if *named != app.name => {
                        let text = format!("`{directory}` is the app {}, not {named}", app.name);
                        Err(Failure::new(Kind::Usage, text))
                    }
                    _ if app.name == "skep" => {
                        let text = "`skep` is the name of Skep's own services";
                        Err(Failure::new(Kind::Usage, text).hint("choose another `app` name"))
                    }
                    _ => Ok(app.name),
                }
            }
            (_, Some(app)) => Ok(app.clone()),
            (_, None) => Err(Failure::new(Kind::Usage, "no app was named")),
        }
    }

    pub(crate) fn enqueue(&self, waiting: Waiting) -> Result<DeployStarted, Failure> {
        let app = waiting.record.app.clone();
        let id = waiting.record.id.clone();
        let feed = waiting.feed.clone();
        let superseded = self.inner.registry.with(&app, |queue| {
            let is_deploy = |intent: &Intent| matches!(intent, Intent::Deploy { .. });
            let stays = queue.waiting.iter().filter(|other| {
                !(is_deploy(&waiting.record.intent) && is_deploy(&other.record.intent))
            });
            let stays = stays.count();
            // Before anything is taken out of the queue: a refused request replaces nobody.
            if stays >= MAX_WAITING {
                return Err(stays);
            }
            let mut superseded = Vec::new();
            if is_deploy(&waiting.record.intent) {
                let (older, kept) = std::mem::take(&mut queue.waiting)
                    .into_iter()
                    .partition(|other| is_deploy(&other.record.intent));
                superseded = Vec::from(older);
                queue.waiting = kept;
            }
            if let Some(running) = &queue.running {
                running.hurry.send_replace(true);
                feed.step(
                    api::StepName::Queue,
                    api::StepState::Running,
                    format!("behind {}", running.id),
                );
            } else if queue.is_taken_over {
                feed.step(
                    api::StepName::Queue,
                    api::StepState::Running,
                    "behind the agent's own start",
                );
            }
            queue.waiting.push_back(waiting);
            Ok(superseded)
        });
        let superseded = superseded.map_err(|count| {
            Failure::new(Kind::Locked, format!("{count} requests wait for {app} already"))
                .hint(format!("skep ps {app}"))
        })?;
        self.inner.registry.keep(&id, feed);
        for older in superseded {
            self.end_unbegun(&older, End::Superseded, "superseded");
        }
        self.next(&app);
        Ok(DeployStarted { id: Some(DeployId(id)), app, message: None })
    }

    fn end_unbegun(&self, waiting: &Waiting, end: End, state: &str) {
        let failure = match end {
            End::Superseded => {
                Some(Failure::new(Kind::Locked, "a newer deploy of this app took its place"))
            }
            _ => Some(Failure::new(Kind::Interrupted, "cancelled before it began")),
        };
        if let Err(error) = self.node().journal().end(&waiting.record, end) {
            tracing::error!(%error, "failed to record a deploy's end");
        }
        let deploy = executor::summary(&waiting.record, None, state);
        waiting.feed.push(DeployEvent::Ended { deploy, failure });
    }

    /// Begins the next deploy of an app if none is going on.
    fn next(&self, app: &str) {
        let begun = self.inner.registry.with(app, |queue| {
            if queue.running.is_some() || queue.is_taken_over {
                return None;
            }
            let waiting = queue.waiting.pop_front()?;
            let signals = signals(&waiting.record.id).map(|(running, signals)| {
                queue.running = Some(running);
                signals
            });
            Some((waiting, signals))
        });
        let Some((waiting, signals)) = begun else { return };
        if waiting.feed.has_step() {
            waiting.feed.step(api::StepName::Queue, api::StepState::Done, "");
        }
        let begun = signals.and_then(|signals| {
            self.node().journal().begin(&waiting.record)?;
            Ok(signals)
        });
        match begun {
            Ok(signals) => self.spawn(waiting, signals),
            Err(failure) => {
                let deploy = executor::summary(&waiting.record, None, "failed");
                waiting.feed.push(DeployEvent::Ended { deploy, failure: Some(failure) });
                self.inner.registry.with(app, |queue| queue.running = None);
                self.next(app);
            }
        }
    }

    fn spawn(&self, waiting: Waiting, signals: Signals) {
        let agent = self.clone();
        let app = waiting.record.app.clone();
        let executor = Executor::new(
            self.node().clone(),
            self.inner.readiness.clone(),
            waiting.record,
            waiting.feed,
            signals,
            waiting.build_environment,
        );
        tokio::spawn(async move {
            // In a task of its own, so that a defect in it does not block the app's queue for ever.
            let about = format!("deploy {app}");
            match tokio::spawn(executor.run()).await {
                // Something could not be ended or put back: once more, with what the store wants.
                Ok(End::Failed(failure))
                    if matches!(failure.kind, Kind::Leftovers | Kind::Partial) =>
                {
                    let repaired = crate::start::put_in_order(&agent, &app).await;
                    let trouble = repaired.err().map(|error| Failure::from(error).to_string());
                    agent.problem(&about, trouble);
                }
                Ok(_) => agent.problem(&about, None),
                Err(error) => agent.problem(&about, Some(format!("a deploy broke: {error}"))),
            }
            agent.inner.registry.with(&app, |queue| queue.running = None);
            agent.next(&app);
        });
    }

    /// Keeps what is asked for an app waiting while the agent takes it over: what ends slots that
    /// no record names must not meet a deploy that starts some. Whoever watched the deploy that was
    /// going on may attach to it from now on.
    pub(crate) fn hold(&self, app: &str, going_on: Option<&DeployRecord>) {
        if let Some(record) = going_on {
            let feed = Feed::default();
            feed.notice("the agent was restarted in the middle of this deploy");
            self.inner.registry.keep(&record.id, feed);
        }
        self.inner.registry.set_taken_over(app, true);
    }

    /// Ends [`Agent::hold`].
    pub(crate) fn let_go(&self, app: &str) {
        self.inner.registry.set_taken_over(app, false);
        self.next(app);
    }

    /// Returns what is told of a deploy; of one that ended before this agent began, its end.
    pub(crate) fn feed(&self, id: &str) -> Result<Option<Feed>, Failure> {
        if let Some(feed) = self.inner.registry.feed(id) {
            return Ok(Some(feed));
        }
        let Some(record) = self.node().journal().ended(id)? else { return Ok(None) };
        let (state, failure) = match record.end.clone() {
            None | Some(End::Done) => ("done", None),
            Some(End::Failed(failure)) => ("failed", Some(*failure)),
            Some(End::Cancelled) => {
                ("cancelled", Some(Failure::new(Kind::Interrupted, "it was cancelled")))
            }
            Some(End::Superseded) => {
                let text = "a newer deploy of this app took its place";
                ("superseded", Some(Failure::new(Kind::Locked, text)))
            }
        };
        let feed = Feed::default();
        let deploy = executor::summary(&record, None, state);
        feed.push(DeployEvent::Ended { deploy, failure });
        Ok(Some(feed))
    }

    /// Goes on with a deploy that the agent before this one had begun.
    pub(crate) fn resume(&self, record: DeployRecord) -> Result<(), Failure> {
        let (running, signals) = signals(&record.id)?;
        let feed = self.inner.registry.feed(&record.id).unwrap_or_default();
        feed.notice("it goes on where it was");
        self.inner.registry.with(&record.app, |queue| queue.running = Some(running));
        let build_environment = BTreeMap::new();
        self.spawn(Waiting { record, feed, build_environment }, signals);
        Ok(())
    }

    /// Cancels a deploy before its switch.
    pub(crate) fn cancel(&self, id: &str) -> Result<(), Failure> {
        let journal = self.node().journal();
        for app in journal.apps()? {
            let deploy = journal.deploy(&app.name)?;
            if deploy.is_some_and(|deploy| deploy.id == id && deploy.phase >= Phase::Switch) {
                let text = "the new release serves already: it cannot be cancelled any more";
                return Err(
                    Failure::new(Kind::Locked, text).hint(format!("skep rollback {}", app.name))
                );
            }
        }
        match self.inner.registry.cancel(id) {
            Some(Cancelled::Running) => Ok(()),
            Some(Cancelled::Waiting(waiting)) => {
                self.end_unbegun(&waiting, End::Cancelled, "cancelled");
                Ok(())
            }
            None => Err(Failure::new(Kind::Usage, format!("no deploy `{id}` is going on"))),
        }
    }

    /// Returns whether what an app serves was made by this deploy.
    pub(crate) fn made_what_serves(&self, app: &str, id: &str) -> bool {
        let ended = self.node().journal().ended(id).ok().flatten();
        let made = ended.filter(|record| record.end == Some(End::Done));
        let made = made.and_then(|record| record.release);
        let serving = self.app(app).ok().and_then(|app| app.serving);
        made.is_some() && made == serving.map(|serving| serving.release)
    }

    /// Returns whether nothing of an app is to run.
    pub(crate) fn is_down(&self, app: &str) -> bool {
        let serving = self.app(app).ok().and_then(|app| app.serving);
        serving.is_none_or(|serving| serving.services.values().all(|found| found.stopped))
    }

    /// Waits for the end of a deploy.
    pub(crate) async fn ended(&self, id: &str) {
        let Some(feed) = self.inner.registry.feed(id) else { return };
        let mut seen = 0;
        while !feed.is_over() {
            seen += feed.after(seen).await.len();
        }
    }
}

fn signals(id: &str) -> Result<(Running, Signals), Failure> {
    let (cancel, cancelled) = watch::channel(false);
    let (hurry, hurried) = watch::channel(false);
    let build = BuildCancel::new().map_err(|error| Failure::from_error(Kind::Temporary, &error))?;
    let running = Running { id: id.to_owned(), cancel, hurry, build: build.clone() };
    Ok((running, Signals { cancel: cancelled, hurry: hurried, build }))
}
