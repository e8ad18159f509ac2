//! Following a deploy, and leaving it.
//!
//! | Ctrl-C | of a deploy | of `up` in the foreground |
//! |---|---|---|
//! | before the switch | the agent is asked to cancel; we wait for the end | the same |
//! | after it | we leave, the deploy goes on | the app is stopped; we wait until it is drained |
//! | once more | we leave, the agent goes on | we leave, the agent drains |
//!
//! An agent that is replaced in the middle of a deploy resumes it; we attach again, at most
//! [`ATTACHMENTS_MAX`] times in a row. A foreground session outlives its deploy and ends with its
//! connection; where the agent is replaced we hold the session again by its id, which the new agent
//! waits for. On Ctrl-C the app is stopped *before* the connection is closed, so that the draining
//! can be shown; what somebody else deployed since is not stopped.

use std::time::{Duration, Instant};

use api::{AppDetail, DeployEvent, DeployId, DeployStarted, LogLine, path};
use report::{Failure, Kind};
use tokio::time::{Interval, MissedTickBehavior};

use super::screen::Screen;
use crate::client::{self, Client, Lines, target};
use crate::error::{Error, Outcome, Result};
use crate::interrupt::Interrupts;
use crate::output::{Format, Output};
use crate::render::deploy::{DeployView, Session, Verbosity};
use crate::render::log;

/// How often a client attaches in a row: an agent that is lost more often than this is in a crash
/// loop.
const ATTACHMENTS_MAX: u32 = 5;

/// An attachment that lasted so long was no part of a crash loop.
const STEADY: Duration = Duration::from_secs(60);

/// How long a session's end is waited for: the default drain limit and stop grace together, twice.
const DRAIN_MAX: Duration = Duration::from_secs(120);

/// What is said when a session's end is not waited for.
const LEFT_DRAINING: &str = "left; the agent goes on draining";

/// How long a session waits for the app's lines to begin before it goes on without them.
const LOGS_MAX: Duration = Duration::from_secs(2);

/// How often moving lines are drawn.
const FRAME: Duration = Duration::from_millis(100);

/// What ends the following.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// The deploy's last event.
    WithTheDeploy,
    /// Ctrl-C, or the session's last event.
    WithTheSession,
}

/// How far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing is switched.
    Before,
    /// We asked to cancel.
    Cancelling,
    /// The new release serves.
    Live,
    /// The session is ending.
    Draining,
}

/// One followed deploy.
pub(crate) struct Follow<'a> {
    output: &'a Output,
    client: &'a Client,
    interrupts: Interrupts,
    session: Session,
    view: DeployView,
    screen: Screen<'a>,
    began: Instant,
    frame: usize,
    phase: Phase,
    app: String,
    id: Option<DeployId>,
    /// The id of the session that is held.
    session_id: Option<String>,
    /// This session's deploy made what serves; else that ran before, and goes on.
    is_ours: bool,
    logs: Option<Lines>,
    /// The connection that keeps a session up, while another deploy is followed.
    lease: Option<Lines>,
    deadline: Option<tokio::time::Instant>,
}

/// What happened next.
enum Happened {
    Interrupt,
    Event(Option<String>),
    Log(Option<String>),
    Frame,
    Deadline,
}

impl<'a> Follow<'a> {
    /// Returns a follower that has seen nothing yet.
    pub(crate) fn new(
        output: &'a Output,
        client: &'a Client,
        interrupts: Interrupts,
        session: Session,
        verbosity: Verbosity,
    ) -> Self {
        Self {
            output,
            client,
            interrupts,
            session,
            view: DeployView::new(output.progress_paint, session, verbosity),
            screen: Screen::new(output),
            began: Instant::now(),
            frame: 0,
            phase: Phase::Before,
            app: String::new(),
            id: None,
            session_id: None,
            is_ours: false,
            logs: None,
            lease: None,
            deadline: None,
        }
    }

    /// Says which deploy it is; else its first event does.
    #[must_use]
    pub(crate) fn of(mut self, app: &str, id: Option<DeployId>) -> Self {
        app.clone_into(&mut self.app);
        self.id = id;
        self
    }

    /// Says which session is held by the connection that the events come on.
    #[must_use]
    pub(crate) fn holding(mut self, session: String) -> Self {
        self.session_id = Some(session);
        self
    }

    /// Follows the events to their end.
    pub(crate) async fn run(mut self, mut events: Lines, ends: Ends) -> Result<Outcome> {
        let mut ticks = tokio::time::interval(FRAME);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut attachments = 1;
        let mut attached = Instant::now();
        loop {
            match self.next(&mut events, &mut ticks).await? {
                Happened::Interrupt
                    if self.phase == Phase::Live
                        && ends == Ends::WithTheSession
                        && self.is_ours =>
                {
                    match self.stop().await {
                        Ok(stopping) => self.lease = Some(std::mem::replace(&mut events, stopping)),
                        Err(outcome) => return Ok(outcome),
                    }
                }
                Happened::Interrupt => {
                    if let Some(outcome) = self.interrupted().await? {
                        return Ok(outcome);
                    }
                }
                Happened::Event(Some(line)) => {
                    if let Some(outcome) = self.event(&line).await? {
                        return Ok(outcome);
                    }
                }
                Happened::Event(None) if self.phase == Phase::Draining => {
                    return Ok(
                        self.leave("the agent went away; it goes on draining when it is back")
                    );
                }
                Happened::Event(None) => {
                    attachments = if attached.elapsed() > STEADY { 1 } else { attachments + 1 };
                    let again = match ends {
                        Ends::WithTheDeploy => self.attach_again(attachments).await?,
                        Ends::WithTheSession => self.hold_again(attachments).await?,
                    };
                    let Some(again) = again else { return Ok(self.leave(LEFT_DRAINING)) };
                    (events, attached) = (again, Instant::now());
                }
                Happened::Log(Some(line)) => self.log(&line)?,
                Happened::Log(None) => self.logs = None,
                Happened::Frame => {
                    self.frame += 1;
                    self.draw(&[]);
                }
                Happened::Deadline => {
                    return Ok(self.leave("still draining; the agent goes on with it"));
                }
            }
        }
    }

    /// Waits for the next thing to happen; every part of it may be cancelled.
    async fn next(&mut self, events: &mut Lines, ticks: &mut Interval) -> Result<Happened> {
        let redraws = self.output.can_redraw();
        let deadline = self.deadline;
        let logs = &mut self.logs;
        tokio::select! {
            biased;
            () = self.interrupts.next() => Ok(Happened::Interrupt),
            event = events.next() => event.map(Happened::Event),
            line = async {
                match logs {
                    Some(logs) => logs.next().await,
                    None => std::future::pending().await,
                }
            } => line.map(Happened::Log),
            _ = ticks.tick(), if redraws => Ok(Happened::Frame),
            () = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            } => Ok(Happened::Deadline),
        }
    }

    async fn event(&mut self, line: &str) -> Result<Option<Outcome>> {
        if self.output.format == Format::Json {
            self.output.line(line)?;
        }
        let Some(event) = client::parse::<DeployEvent>(line) else { return Ok(None) };
        let settled = self.view.apply(&event, self.now_ms());
        self.draw(&settled);
        match event {
            DeployEvent::Begun { deploy } => {
                self.app = deploy.app;
                self.id = Some(deploy.id);
            }
            DeployEvent::Live(_) if matches!(self.phase, Phase::Before | Phase::Cancelling) => {
                self.phase = Phase::Live;
                self.is_ours = true;
                self.show_logs(Backlog::All).await;
            }
            DeployEvent::Ended { failure: None, deploy }
                if self.session == Session::Foreground
                    && matches!(self.phase, Phase::Before | Phase::Live) =>
            {
                // The deploy is over, the session has only begun.
                self.phase = Phase::Live;
                // Its switch was told to nobody if the agent was killed just then.
                self.is_ours |= deploy.to != deploy.from;
            }
            DeployEvent::Ended { deploy, failure } => {
                self.screen.clear();
                return self.ended(&deploy.state, failure).map(Some);
            }
            _ => {}
        }
        Ok(None)
    }

    fn ended(&self, state: &str, failure: Option<Failure>) -> Result<Outcome> {
        let asked = matches!(self.phase, Phase::Cancelling | Phase::Draining);
        match failure {
            // We asked for it: what is said is the state, and the code is that of an interrupt.
            Some(failure) if asked && failure.kind == Kind::Interrupted => {
                self.output.say(&failure.message);
                Ok(Outcome::Interrupted)
            }
            Some(failure) => Err(failure.into()),
            None if self.phase == Phase::Cancelling => {
                self.output.say(&format!("{}: {state}", self.app));
                Ok(Outcome::Interrupted)
            }
            None => Ok(Outcome::Done),
        }
    }

    /// Does what an interrupt means now; returns how the command ends, if it does.
    async fn interrupted(&mut self) -> Result<Option<Outcome>> {
        match self.phase {
            Phase::Before => self.cancel().await,
            Phase::Live if self.session == Session::Foreground && !self.is_ours => {
                self.screen.clear();
                self.output.say(&format!("{} ran before this session and goes on", self.app));
                Ok(Some(Outcome::Done))
            }
            Phase::Live => {
                self.screen.clear();
                if let Some(summary) = self.view.live_summary() {
                    self.output.say(&summary);
                }
                let again = format!("left; the deploy goes on: {}", self.watch());
                Ok(Some(self.leave(&again)))
            }
            Phase::Cancelling => {
                let again = format!("left while it is cancelled: {}", self.watch());
                Ok(Some(self.leave(&again)))
            }
            Phase::Draining => Ok(Some(self.leave(LEFT_DRAINING))),
        }
    }

    /// Stops what the session serves; returns the events of that, or how the command ends: where
    /// they cannot be had the end of our connection says the same, only its outcome is not seen.
    async fn stop(&mut self) -> std::result::Result<Lines, Outcome> {
        self.phase = Phase::Draining;
        self.logs = None;
        self.deadline = Some(tokio::time::Instant::now() + DRAIN_MAX);
        self.screen.clear();
        self.output.say("draining; Ctrl-C again leaves it to the agent");
        // Another deploy: its steps have the names of the first one's.
        self.view = DeployView::new(self.output.progress_paint, self.session, Verbosity::Steps);
        self.view.continues();
        let client = self.client;
        let session = self.session_id.clone().unwrap_or_default();
        let stopping = async {
            let session = target(path::SESSION, &[("session", &session)], &[]);
            let answer: DeployStarted = client.delete(&session).await?;
            let Some(id) = answer.id else { return Ok(Err(answer.message)) };
            client.stream(&target(path::DEPLOY_EVENTS, &[("id", &id.0)], &[])).await.map(Ok)
        };
        match self.unless_interrupted(stopping).await {
            Some(Ok(Ok(stopping))) => Ok(stopping),
            // Somebody deployed it since.
            Some(Ok(Err(message))) => {
                self.output.say(&message.unwrap_or_default());
                Err(Outcome::Done)
            }
            Some(Err(_)) | None => Err(self.leave(LEFT_DRAINING)),
        }
    }

    async fn cancel(&mut self) -> Result<Option<Outcome>> {
        let (client, id) = (self.client, self.id.clone());
        let cancelling = async {
            // Not even begun: the end of the connection is all there is to say.
            let id = id.ok_or_else(|| Failure::new(Kind::Locked, "it has not begun"))?;
            client.poke(&target(path::DEPLOY_CANCEL, &[("id", &id.0)], &[])).await
        };
        let text = match (self.unless_interrupted(cancelling).await, self.session) {
            (Some(Ok(())), _) => {
                self.phase = Phase::Cancelling;
                self.note("cancelling; nothing is switched yet");
                return Ok(None);
            }
            (Some(Err(Error::Failure(failure))), _) if failure.kind != Kind::Locked => {
                return Err(Error::Failure(failure));
            }
            (Some(Err(Error::ReaderGone)), _) => return Err(Error::ReaderGone),
            (_, Session::Foreground) => LEFT_DRAINING.to_owned(),
            (Some(Err(_)), Session::Deploy) => {
                format!("too late to cancel, left; the deploy goes on: {}", self.watch())
            }
            (None, Session::Deploy) => format!("left; it may go on: {}", self.watch()),
        };
        Ok(Some(self.leave(&text)))
    }

    /// Waits for `work`, or returns `None` when it is interrupted.
    async fn unless_interrupted<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.interrupts.next() => None,
            result = work => Some(result),
        }
    }

    /// Returns the command that shows this deploy again.
    fn watch(&self) -> String {
        format!("skep app:watch {}", self.app)
    }

    /// Attaches to the deploy again; `None`: interrupted meanwhile.
    async fn attach_again(&mut self, attachment: u32) -> Result<Option<Lines>> {
        let lost = || {
            Failure::new(
                Kind::Unavailable,
                format!("lost the agent while {} was deployed", self.app),
            )
            .hint(format!(
                "the deploy is finished or undone when the agent is back: skep app:watch {}",
                self.app
            ))
            .hint("skep doctor")
        };
        let Some(id) = self.id.clone() else { return Err(lost().into()) };
        if attachment > ATTACHMENTS_MAX {
            return Err(lost().into());
        }
        self.screen.clear();
        self.output.warn("the agent went away; attaching again");
        match self.client.stream(&target(path::DEPLOY_EVENTS, &[("id", &id.0)], &[])).await {
            Ok(events) => Ok(Some(events)),
            Err(Error::Failure(failure)) => Err(lost().cause(failure.message.clone()).into()),
            Err(error) => Err(error),
        }
    }

    /// Holds the session again; `None`: interrupted meanwhile.
    async fn hold_again(&mut self, attachment: u32) -> Result<Option<Lines>> {
        let lost = || {
            Failure::new(Kind::Unavailable, "lost the agent, and with it this session")
                .hint("what this session started is drained when the agent is back: skep ps")
                .hint("an app that outlives its session: skep up --detach")
        };
        self.screen.clear();
        let Some(id) = self.session_id.clone().filter(|_| attachment <= ATTACHMENTS_MAX) else {
            return Err(lost().into());
        };
        self.output.warn("the agent went away; holding the session again");
        let (client, session) = (self.client, target(path::SESSION, &[("session", &id)], &[]));
        // Waits as long as an agent may take to be restarted.
        let events = self.unless_interrupted(client.stream(&session)).await;
        let Some(events) = events else { return Ok(None) };
        match events {
            Ok(events) => {
                self.output.say("the session goes on");
                if self.phase == Phase::Live && self.is_ours {
                    self.show_logs(Backlog::Nothing).await;
                }
                Ok(Some(events))
            }
            // Nobody held it in time, or somebody else deployed the app.
            Err(Error::Failure(failure)) if failure.kind == Kind::Locked => {
                Err(Error::Failure(failure))
            }
            Err(Error::Failure(failure)) => Err(lost().cause(failure.message.clone()).into()),
            Err(error) => Err(error),
        }
    }

    /// Begins to show what the app writes. The lines are a courtesy: without them the session is as
    /// good.
    async fn show_logs(&mut self, backlog: Backlog) {
        if self.session == Session::Foreground && self.output.says_progress() {
            let logs = follow_logs(self.client, &self.app, backlog);
            let logs = tokio::time::timeout(LOGS_MAX, logs).await;
            self.logs = logs.ok().and_then(Result::ok);
        }
    }

    fn log(&mut self, line: &str) -> Result<()> {
        let Some(line) = client::parse::<LogLine>(line) else { return Ok(()) };
        self.screen.clear();
        self.output.line(&log::line(&line, log::Origin::Slot, self.output.data_paint))?;
        self.draw(&[]);
        Ok(())
    }

    fn leave(&mut self, text: &str) -> Outcome {
        self.screen.clear();
        self.output.say(text);
        Outcome::Interrupted
    }

    fn note(&mut self, text: &str) {
        self.draw(&[text.to_owned()]);
    }

    fn draw(&mut self, settled: &[String]) {
        let moving = self.view.moving(self.now_ms(), self.frame);
        self.screen.draw(settled, &moving);
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

/// Which of the lines that were written already are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backlog {
    /// The new release's.
    All,
    /// None: they were shown before the agent was lost.
    Nothing,
}

/// Follows what the new release writes.
async fn follow_logs(client: &Client, app: &str, backlog: Backlog) -> Result<Lines> {
    let detail: AppDetail = client.get(&target(path::APP, &[("app", app)], &[])).await?;
    let release = detail.summary.release.map(|number| number.to_string());
    let lines = (backlog == Backlog::Nothing).then_some("0");
    let query = [
        ("app", Some(app)),
        ("release", release.as_deref()),
        ("lines", lines),
        ("follow", Some("true")),
    ];
    client.stream(&target(path::LOGS, &[], &query)).await
}
