//! One deploy an app at a time; the newest waiting one replaces older waiting ones.
//!
//! A request is in the store before it is acknowledged, and from then on it is carried out or ended:
//! the next agent finds what waits ([`Agent::hold`]) and what was going on ([`Agent::resume`]). A
//! deploy whose end cannot be written stays the app's deploy that is going on until it can be
//! ([`Agent::record_end`]): nothing else begins, and nobody is told otherwise.

use api::{DeployEvent, DeployId, DeployKind, DeployRequest, DeployStarted};
use deploy::executor::{self, Signals};
use deploy::records::{DeployRecord, End, Intent, Phase, Session};
use deploy::{BuildCancel, Caller, DeployError, Executor, Feed};
use report::{Failure, Kind};
use tokio::sync::watch;

use crate::registry::{Running, Waiting};
use crate::sessions::Lease;
use crate::state::{Agent, Concern, RETRY_PAUSE};

impl Agent {
    /// Takes on a request: it runs now, or waits for its turn.
    pub(crate) fn submit(&self, request: DeployRequest) -> Result<DeployStarted, Failure> {
        let (record, caller) = self.asked(request)?;
        self.enqueue(record, &caller)
    }

    /// Takes on the deploy of a foreground session, and holds it.
    pub(crate) fn open_session(
        &self,
        request: DeployRequest,
        id: &str,
    ) -> Result<(Lease, Feed), Failure> {
        crate::sessions::check_id(id)?;
        if self.inner.registry.session(id).is_some() {
            return Err(Failure::new(Kind::Exists, "there is a session of this id already"));
        }
        let (mut record, caller) = self.asked(request)?;
        let session = Session {
            id: id.to_owned(),
            deploy: record.id.clone(),
            boot_id: record.boot_id.clone(),
            who: record.who.clone(),
        };
        record.session = Some(session.clone());
        self.enqueue(record.clone(), &caller)?;
        self.inner.registry.enter(&record.app, &session);
        self.attach(id)
    }

    /// Returns what was asked for as a record that is nowhere yet.
    fn asked(&self, request: DeployRequest) -> Result<(DeployRecord, Caller), Failure> {
        let app = Self::app_of(&request)?;
        let journal = self.node().journal();
        if !matches!(request.kind, DeployKind::Deploy { .. }) {
            self.app(&app)?;
        }
        let Some(intent) = Intent::asked(&request.kind) else {
            let text = "variables are changed at their own path";
            return Err(Failure::new(Kind::Usage, text));
        };
        let listener = request.listen.as_deref().map(executor::parse_listener).transpose()?;
        let id = format!("d{}", journal.count("deploy")?);
        let mut record = self.record(id, &app, intent, &request.who);
        record.listener = listener.map(|address| address.to_string());
        Ok((record, Caller::new(&request.build_environment, request.shell)))
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
            session: None,
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

    /// Writes a request, together with the end of those that it takes the place of, and begins it if
    /// nothing else is going on.
    pub(crate) fn enqueue(
        &self,
        record: DeployRecord,
        caller: &Caller,
    ) -> Result<DeployStarted, Failure> {
        if self.inner.registry.is_closed() {
            let text = "everything of this installation is being stopped";
            return Err(Failure::new(Kind::Temporary, text)
                .hint("after `skep agent:stop` the next command starts it again"));
        }
        let node = self.node();
        let (app, id) = (record.app.clone(), record.id.clone());
        let sealed = caller.seal(&node.key, &app, &id).map_err(DeployError::from)?;
        let feed = Feed::default();
        let superseded = self.inner.registry.with(&app, |queue| {
            // Before anything is changed: a refused request replaces nobody.
            let older = queue.admit(&record)?;
            node.journal().wait(&record, sealed, &older)?;
            let behind = match &queue.running {
                Some(running) => {
                    running.hurry.send_replace(true);
                    Some(format!("behind {}", running.id))
                }
                None => queue.is_held.then(|| BEHIND_THE_AGENT.to_owned()),
            };
            if let Some(behind) = behind {
                feed.step(api::StepName::Queue, api::StepState::Running, behind);
            }
            let superseded = queue.take(&older);
            queue.waiting.push_back(Waiting { record, feed: feed.clone() });
            Ok::<_, Failure>(superseded)
        })?;
        self.inner.registry.keep(&id, feed);
        for older in superseded {
            tell_end(&older, &End::Superseded);
        }
        self.next(&app);
        Ok(DeployStarted { id: Some(DeployId(id)), app, message: None })
    }

    /// Begins the next deploy of an app if none is going on.
    pub(crate) fn next(&self, app: &str) {
        let begun = self.inner.registry.with(app, |queue| {
            if queue.running.is_some() || queue.is_held {
                return None;
            }
            let waiting = queue.waiting.pop_front()?;
            let signals = signals(&waiting.record.id).map(|(running, signals)| {
                // Others wait behind it already.
                running.hurry.send_replace(!queue.waiting.is_empty());
                queue.running = Some(running);
                signals
            });
            Some((waiting, signals))
        });
        let Some((waiting, signals)) = begun else { return };
        if waiting.feed.has_step() {
            waiting.feed.step(api::StepName::Queue, api::StepState::Done, "");
        }
        let record = &waiting.record;
        let ended =
            record.session.as_ref().filter(|_| matches!(record.intent, Intent::Stop { .. }));
        let begun = signals.and_then(|signals| {
            if let Some(session) = ended
                && !self.is_of_session(app, session)?
            {
                return Ok(None);
            }
            self.node().journal().begin(record)?;
            Ok(Some(signals))
        });
        match begun {
            Ok(Some(signals)) => self.spawn(waiting, signals),
            // What serves is somebody else's by now.
            Ok(None) => self.end_unbegun(waiting, End::Done),
            Err(failure) => self.end_unbegun(waiting, End::Failed(Box::new(failure))),
        }
    }

    /// Ends a deploy whose turn had come, and goes on with the next one when that is written.
    fn end_unbegun(&self, waiting: Waiting, end: End) {
        let agent = self.clone();
        tokio::spawn(async move {
            let record = &waiting.record;
            let write = || agent.node().journal().end(record, end.clone()).map(drop);
            agent.record_end(&record.app, write).await;
            tell_end(&waiting, &end);
            agent.go_on(&record.app, &record.id);
        });
    }

    /// Writes a deploy's end, however long it takes until the store can be written to.
    pub(crate) async fn record_end(&self, app: &str, write: impl Fn() -> Result<(), DeployError>) {
        let concern = Concern::Record(app.to_owned());
        while let Err(error) = write() {
            let failure = Failure::from(error);
            let text = format!("{app}: the end of its deploy could not be written: {failure}");
            self.problem(concern.clone(), Some(text));
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        self.problem(concern, None);
    }

    /// Tells whoever watches a deploy how it ended.
    pub(crate) fn tell_end(&self, record: &DeployRecord, end: &End) {
        if let Some(feed) = self.inner.registry.feed(&record.id) {
            tell_end(&Waiting { record: record.clone(), feed }, end);
        }
    }

    /// Goes on with what waits behind a deploy that is over, or never became the one going on.
    fn go_on(&self, app: &str, id: &str) {
        self.inner.registry.with(app, |queue| queue.running.take_if(|running| running.id == id));
        self.next(app);
    }

    fn spawn(&self, waiting: Waiting, signals: Signals) {
        let agent = self.clone();
        let Waiting { record, feed } = waiting;
        let (app, id) = (record.app.clone(), record.id.clone());
        tokio::spawn(async move {
            // In a task of its own, so that a defect in it does not block the app's queue for ever.
            let run = agent.clone().run(record.clone(), feed.clone(), signals);
            let end = match tokio::spawn(run).await {
                Ok(end) => end,
                Err(error) => {
                    let failure =
                        Failure::new(Kind::Leftovers, "a deploy broke: a defect of Skep's")
                            .cause(error.to_string())
                            .hint("skep logs skep/agent");
                    End::Failed(Box::new(failure))
                }
            };
            // Usually it is written; then this writes nothing.
            let journal = || agent.node().journal();
            agent.record_end(&app, || journal().end_left(&app, &id, &end)).await;
            if !feed.is_over() {
                // Whoever watches is told in any case, and of what is known.
                let record = journal().ended(&id).ok().flatten().unwrap_or(record);
                tell_end(&Waiting { record, feed }, &end);
            }
            match &end {
                // Something could not be ended or put back: once more, with what the store wants.
                End::Failed(failure) if matches!(failure.kind, Kind::Leftovers | Kind::Partial) => {
                    crate::order::put_in_order(&agent, &app).await;
                }
                End::Done => agent.is_well(&app),
                End::Failed(_) | End::Cancelled | End::Superseded => {}
            }
            agent.go_on(&app, &id);
        });
    }

    /// Carries out a deploy that has begun.
    async fn run(self, record: DeployRecord, feed: Feed, signals: Signals) -> End {
        let node = self.node();
        let caller = match node.journal().caller(&node.key, &record.app, &record.id) {
            Ok(caller) => caller,
            // Without it a build may get something else than its caller saw.
            Err(error) if record.phase < Phase::Check => {
                return End::Failed(Box::new(Failure::from(error)));
            }
            Err(_) => Caller::default(),
        };
        let readiness = self.inner.readiness.clone();
        Executor::new(node.clone(), readiness, record, feed, signals, caller).run().await
    }

    /// Keeps what is asked for an app waiting while the agent puts it in order: what ends slots that
    /// no record names must not meet a deploy that starts some.
    pub(crate) fn hold(&self, app: &str) {
        self.inner.registry.with(app, |queue| queue.is_held = true);
    }

    /// Ends [`Agent::hold`].
    pub(crate) fn let_go(&self, app: &str) {
        self.inner.registry.with(app, |queue| queue.is_held = false);
        self.next(app);
    }

    /// Ends what waited for a session of another boot; returns the rest.
    ///
    /// What waits does so over a restart of the machine too: nothing was done for it yet, and nobody
    /// was told that it is not done. Only a session's deploy ends, with the session.
    pub(crate) fn still_wanted(
        &self,
        waiting: Vec<DeployRecord>,
    ) -> Result<Vec<DeployRecord>, DeployError> {
        let node = self.node();
        let is_over = |record: &DeployRecord| {
            record.session.as_ref().is_some_and(|session| session.boot_id != node.boot_id)
        };
        let (over, wanted): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_over);
        for record in over {
            node.journal().end(&record, End::Cancelled)?;
        }
        Ok(wanted)
    }

    /// Queues what waited when the agent before this one went. Whoever watched that, or the deploy
    /// that was going on, may attach to it from now on.
    pub(crate) fn reload(&self, going_on: Option<&DeployRecord>, waiting: Vec<DeployRecord>) {
        if let Some(record) = going_on {
            let feed = Feed::default();
            feed.notice("the agent was restarted in the middle of this deploy");
            self.inner.registry.keep(&record.id, feed);
        }
        for record in waiting {
            let feed = Feed::default();
            feed.notice("the agent was restarted while this waited");
            feed.step(api::StepName::Queue, api::StepState::Running, BEHIND_THE_AGENT);
            self.inner.registry.keep(&record.id, feed.clone());
            let app = record.app.clone();
            self.inner.registry.with(&app, |queue| {
                queue.waiting.push_back(Waiting { record, feed });
            });
        }
    }

    /// Returns what is told of a deploy; of one that ended before this agent began, its end.
    pub(crate) fn feed(&self, id: &str) -> Result<Option<Feed>, Failure> {
        if let Some(feed) = self.inner.registry.feed(id) {
            return Ok(Some(feed));
        }
        let Some(record) = self.node().journal().ended(id)? else { return Ok(None) };
        let feed = Feed::default();
        let end = record.end.clone().unwrap_or(End::Done);
        tell_end(&Waiting { record, feed: feed.clone() }, &end);
        Ok(Some(feed))
    }

    /// Goes on with a deploy that the agent before this one had begun, as soon as that is possible:
    /// until its end nothing else of the app may begin.
    pub(crate) async fn resume(&self, record: DeployRecord) {
        let concern = Concern::Record(record.app.clone());
        let (running, signals) = loop {
            match signals(&record.id) {
                Ok(signals) => break signals,
                Err(failure) => {
                    let text = format!("{}: its deploy cannot go on: {failure}", record.app);
                    self.problem(concern.clone(), Some(text));
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        };
        self.problem(concern, None);
        let feed = self.inner.registry.feed(&record.id).unwrap_or_default();
        feed.notice("it goes on where it was");
        self.inner.registry.with(&record.app, |queue| {
            running.hurry.send_replace(!queue.waiting.is_empty());
            queue.running = Some(running);
        });
        self.spawn(Waiting { record, feed }, signals);
    }

    /// Cancels a deploy before its switch.
    pub(crate) fn cancel(&self, id: &str) -> Result<(), Failure> {
        let (journal, registry) = (self.node().journal(), &self.inner.registry);
        // Where it waits, unless it has begun meanwhile.
        if let Some(app) = registry.app_of_waiting(id)
            && let Some(waiting) = self.withdraw(&app, id)?
        {
            tell_end(&waiting, &End::Cancelled);
            return Ok(());
        }
        for app in journal.deploying()? {
            let deploy = journal.deploy(&app)?;
            let serves = |phase| (Phase::Switch..Phase::Undo).contains(&phase);
            if deploy.is_some_and(|deploy| deploy.id == id && serves(deploy.phase)) {
                let text = "the new release serves already: it cannot be cancelled any more";
                return Err(Failure::new(Kind::Locked, text).hint(format!("skep rollback {app}")));
            }
        }
        match registry.cancel(id) {
            true => Ok(()),
            false => Err(Failure::new(Kind::Usage, format!("no deploy `{id}` is going on"))),
        }
    }

    /// Takes a waiting deploy out of its queue and writes that it was cancelled.
    fn withdraw(&self, app: &str, id: &str) -> Result<Option<Waiting>, Failure> {
        self.inner.registry.with(app, |queue| {
            let found = queue.waiting.iter().map(|waiting| &waiting.record);
            let Some(record) = found.clone().find(|record| record.id == id).cloned() else {
                return Ok(None);
            };
            self.node().journal().end(&record, End::Cancelled)?;
            Ok(queue.take(&[record]).pop())
        })
    }

    /// Cancels everything that waits for an app or is going on, and waits until it is over. What has
    /// switched goes on to its end, in a hurry.
    pub(crate) async fn clear(&self, app: &str) -> Result<(), Failure> {
        let registry = &self.inner.registry;
        registry.not_held(app).await;
        let waiting = registry.with(app, |queue| {
            if let Some(running) = &queue.running {
                running.hurry.send_replace(true);
            }
            queue.waiting.iter().map(|waiting| waiting.record.id.clone()).collect::<Vec<_>>()
        });
        for id in waiting.into_iter().chain(registry.running(app)) {
            match self.cancel(&id) {
                // Too late to be cancelled, or over.
                Err(failure) if !matches!(failure.kind, Kind::Locked | Kind::Usage) => {
                    return Err(failure);
                }
                _ => {}
            }
        }
        registry.idle(app).await;
        Ok(())
    }
}

/// Why something waits that no other deploy is in the way of.
const BEHIND_THE_AGENT: &str = "until the agent has put the app in order";

/// Tells whoever watches a deploy how it ended.
fn tell_end(deploy: &Waiting, end: &End) {
    let (state, failure) = match end {
        End::Done => ("done", None),
        End::Failed(failure) => ("failed", Some((**failure).clone())),
        End::Cancelled => {
            let text = match deploy.record.phase {
                Phase::Queued => "cancelled before it began",
                _ => "it was cancelled",
            };
            ("cancelled", Some(Failure::new(Kind::Interrupted, text)))
        }
        End::Superseded => {
            let text = "a newer deploy of this app took its place";
            ("superseded", Some(Failure::new(Kind::Locked, text)))
        }
    };
    let summary = executor::summary(&deploy.record, None, state);
    deploy.feed.push(DeployEvent::Ended { deploy: summary, failure });
}

fn signals(id: &str) -> Result<(Running, Signals), Failure> {
    let (cancel, cancelled) = watch::channel(false);
    let (hurry, hurried) = watch::channel(false);
    let build = BuildCancel::new().map_err(|error| Failure::from_error(Kind::Temporary, &error))?;
    let running = Running { id: id.to_owned(), cancel, hurry, build: build.clone() };
    Ok((running, Signals { cancel: cancelled, hurry: hurried, build }))
}
