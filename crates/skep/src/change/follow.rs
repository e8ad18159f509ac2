//! Following a deploy, and leaving it.
//!
//! | Ctrl-C | of a deploy | of `up` in the foreground |
//! |---|---|---|
//! | before the switch | the agent is asked to cancel; we wait for the end | the same |
//! | after it | we leave, the deploy goes on | the app is stopped; we wait until it is drained |
//! | once more | we leave, the agent goes on | we leave, the agent drains |
//!
//! An agent that is replaced in the middle of a deploy resumes it; we attach again, at most
//! [`ATTACHMENTS_MAX`] times. A foreground session outlives its deploy and ends with its connection,
//! so that its loss is its end. On Ctrl-C the app is stopped *before* the connection is closed, by
//! an ordinary request: so the draining can be shown.

use std::time::{Duration, Instant};

use api::{AppDetail, DeployEvent, DeployId, DeployKind, DeployStarted, LogLine, path};
use report::{Failure, Kind};
use tokio::time::{Interval, MissedTickBehavior};

use super::screen::Screen;
use super::submit::on_app;
use crate::client::{self, Client, Lines, target};
use crate::error::{Error, Outcome, Result};
use crate::interrupt::Interrupts;
use crate::output::{Format, Output};
use crate::render::deploy::{DeployView, Session, Verbosity};
use crate::render::log;

/// How often a client attaches to one deploy: an agent that is lost more often than this while one
/// deploy runs is in a crash loop.
const ATTACHMENTS_MAX: u32 = 5;

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

    /// Follows the events to their end.
    pub(crate) async fn run(mut self, mut events: Lines, ends: Ends) -> Result<Outcome> {
        let mut ticks = tokio::time::interval(FRAME);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut attachments = 1;
        loop {
            match self.next(&mut events, &mut ticks).await? {
                Happened::Interrupt
                    if self.phase == Phase::Live && ends == Ends::WithTheSession =>
                {
                    let Some(stopping) = self.stop().await else {
                        return Ok(self.leave(LEFT_DRAINING));
                    };
                    self.lease = Some(std::mem::replace(&mut events, stopping));
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
                Happened::Event(None) if ends == Ends::WithTheDeploy => {
                    attachments += 1;
                    events = self.attach_again(attachments).await?;
                }
                Happened::Event(None) => return self.session_lost(),
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
                if self.session == Session::Foreground && self.output.says_progress() {
                    // The app's own lines are a courtesy: without them the session is as good.
                    let logs = follow_logs(self.client, &self.app);
                    let logs = tokio::time::timeout(LOGS_MAX, logs).await;
                    self.logs = logs.ok().and_then(Result::ok);
                }
            }
            DeployEvent::Ended { failure: None, .. }
                if self.session == Session::Foreground
                    && matches!(self.phase, Phase::Before | Phase::Live) =>
            {
                // The deploy is over, the session has only begun.
                self.phase = Phase::Live;
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

    /// Stops what the session serves; returns the events of that, or `None` where they cannot be
    /// had: the end of our connection says the same, only its outcome is not seen.
    async fn stop(&mut self) -> Option<Lines> {
        self.phase = Phase::Draining;
        self.logs = None;
        self.deadline = Some(tokio::time::Instant::now() + DRAIN_MAX);
        self.screen.clear();
        self.output.say("draining; Ctrl-C again leaves it to the agent");
        // Another deploy: its steps have the names of the first one's.
        self.view = DeployView::new(self.output.progress_paint, self.session, Verbosity::Steps);
        self.view.continues();
        let request = on_app(&self.app, DeployKind::Stop { service: None });
        let client = self.client;
        let stopping = async {
            let answer: DeployStarted = client.post(path::DEPLOYS, &request).await?;
            let id = answer.id.ok_or_else(|| Failure::new(Kind::Locked, "nothing to stop"))?;
            client.stream(&target(path::DEPLOY_EVENTS, &[("id", &id.0)], &[])).await
        };
        self.unless_interrupted(stopping).await?.ok()
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

    async fn attach_again(&mut self, attachment: u32) -> Result<Lines> {
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
            Ok(events) => Ok(events),
            Err(Error::Failure(failure)) => Err(lost().cause(failure.message.clone()).into()),
            Err(error) => Err(error),
        }
    }

    fn session_lost(&mut self) -> Result<Outcome> {
        self.screen.clear();
        if matches!(self.phase, Phase::Draining | Phase::Cancelling) {
            return Ok(self.leave("the agent went away meanwhile; it goes on when it is back"));
        }
        Err(Failure::new(Kind::Unavailable, "lost the agent, and with it this session")
            .hint("what this session started is drained when the agent is back: skep ps")
            .hint("an app that outlives its session: skep up --detach")
            .into())
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

/// Follows what the new release writes, from its start on.
async fn follow_logs(client: &Client, app: &str) -> Result<Lines> {
    let detail: AppDetail = client.get(&target(path::APP, &[("app", app)], &[])).await?;
    let release = detail.summary.release.map(|number| number.to_string());
    let query = [("app", Some(app)), ("release", release.as_deref()), ("follow", Some("true"))];
    client.stream(&target(path::LOGS, &[], &query)).await
}
