//! Start, end, restart, stop.

use std::io;
use std::path::Path;
use std::time::Duration;

use cgroup::Leaf;
use control::shim::{Exit, ExitStatus, Process};
use rustix::fs::FlockOperation;
use rustix::process::Signal;

use super::{Next, Slot, Stage, Start};
use crate::clock;
use crate::context::{Context, note};
use crate::holdings::HoldingsError;
use crate::journal::{Record, StartRecord};
use crate::notify::Notice;
use crate::poll::{Interest, Token};
use crate::process::{self, Stat};
use crate::restart::{Life, Verdict, restarts};
use crate::sockets;
use crate::spawn::{self, Launch, Plan, SpawnError};
use crate::tree::{self, Leader, Session, Tree};

/// The longest that what a dead main process left behind may take to end; the slot's own grace if
/// that is shorter.
const CLEARING_GRACE: Duration = Duration::from_secs(10);

/// How long to wait after a kill before killing again what is still there: a fork may have escaped
/// where the kernel cannot kill a whole cgroup at once.
const KILL_AGAIN: Duration = Duration::from_millis(500);

/// How often a tree is looked at that cannot be polled.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Why there is no process.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Holdings(#[from] HoldingsError),
    #[error(transparent)]
    Cgroup(#[from] cgroup::CgroupError),
    #[error("failed to {what}: {source}")]
    Io { what: &'static str, source: io::Error },
    #[error("failed to hold `{path}`, which says that the release is in use: {source}")]
    Lease { path: String, source: io::Error },
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

impl StartError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Holdings(error) => !matches!(error, HoldingsError::UnknownSocket),
            Self::Cgroup(_) | Self::Io { .. } => true,
            Self::Lease { .. } => false,
            Self::Spawn(error) => error.is_transient(),
        }
    }
}

impl Slot {
    /// Starts the process; its tree is empty. What fails is told by the phase.
    pub(crate) fn start(&mut self, context: &mut Context) {
        self.is_changed = true;
        self.accept_no_more(context);
        match self.try_start(context) {
            Ok(start) => {
                let pid = start.process.pid;
                self.start = Some(start);
                self.stage = Stage::Running;
                self.event(context, &format!("started, process {pid}, start {}", self.starts));
            }
            Err(error) => {
                let text = error.to_string();
                self.event(context, &text);
                if error.is_transient() && self.starts > 0 {
                    let delay = self.history.not_started(random());
                    self.wait(context, delay, false);
                } else {
                    self.stage = Stage::Failed;
                    self.refuse(context);
                }
                self.status_text = Some(text);
            }
        }
    }

    fn try_start(&mut self, context: &mut Context) -> Result<Start, StartError> {
        let io = |what| move |source: io::Error| StartError::Io { what, source };
        self.complete_holdings(context)?;
        if let Some(socket) = &self.holdings.socket {
            // Whatever the last process made of it.
            sockets::set_nonblocking(socket, false).map_err(io("prepare the slot's socket"))?;
        }
        let number = self.starts + 1;
        let mark = tree::mark(&context.installation, &context.service, self.spec.id, number);
        let lease = self.spec.lease.as_deref().map(open_lease).transpose()?;
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let pipe = |pipe: Option<&crate::holdings::LogPipe>| {
            pipe.ok_or_else(missing)
                .and_then(crate::holdings::LogPipe::open_for_process)
                .map_err(io("open a log pipe"))
        };
        let stdout = pipe(self.holdings.stdout.as_ref())?;
        let stderr = pipe(self.holdings.stderr.as_ref())?;
        let in_session = context.cgroup.is_none();
        let (sockets, environment) = self.passed(context, in_session.then_some(&mark));
        let environment = environment.map_err(io("name the notify socket"))?;
        self.clear_process_socket();
        // Whatever is needed to see the new tree is there before the tree is.
        let leaf = context.cgroup.as_ref().map(|service| {
            let leaf = Leaf::create(&service.join(format!("{}.{number}", self.spec.id)))?;
            leaf.watch().map(|watch| (leaf, watch))
        });
        let leaf = leaf.transpose()?;
        let open_files = self.spec.open_files.map_or(context.open_files, |limit| (limit, limit));
        let spawned = spawn::spawn(&Plan {
            program: &self.spec.program,
            arguments: &self.spec.arguments,
            environment: &environment,
            directory: &self.spec.directory,
            credentials: self.spec.credentials.as_ref(),
            umask: self.spec.umask,
            open_files,
            stdin: std::os::fd::AsFd::as_fd(&context.nothing),
            stdout: std::os::fd::AsFd::as_fd(&stdout),
            stderr: std::os::fd::AsFd::as_fd(&stderr),
            sockets: &sockets,
            lease: lease.as_ref().map(std::os::fd::AsFd::as_fd),
            cgroup: leaf.as_ref().map(|(leaf, _)| leaf),
        });
        let spawned = match spawned {
            Ok(spawned) => spawned,
            Err(error) => {
                if let Some((leaf, _)) = leaf {
                    // Empty: the next start takes it as it is.
                    let _ = leaf.remove();
                }
                return Err(error.into());
            }
        };
        drop(sockets);

        // From here on there is a process: nothing may fail that would lose sight of it.
        let pid = spawned.pid;
        let start_ticks = Stat::read(pid).map_or(0, |stat| stat.start_ticks);
        let tree = match leaf {
            None => Tree::Session(Session { leader: Some(Leader { pid, start_ticks }), mark }),
            Some((leaf, watch)) => Tree::Cgroup { leaf, watch },
        };
        self.starts = number;
        self.notified = false;
        self.status_text = None;
        self.incomplete = false;
        let process = Process { pid, start_ticks, started_at_ms: clock::wall_ms(), adopted: false };
        context.record(Record::Started {
            slot: self.spec.id,
            start: StartRecord {
                number,
                pid,
                start_ticks,
                started_at_ms: process.started_at_ms,
                cgroup: tree.leaf(),
            },
        });
        let start = Start {
            process,
            began: clock::now(),
            main: Some(spawned.pidfd),
            tree,
            launch: Some(spawned.launch),
            startup: None,
            look_at: Duration::MAX,
            was_killed: false,
        };
        self.watch_tree(context, &start);
        Ok(start)
    }

    /// Removes the socket that the last process bound by itself: the next one could not bind there.
    fn clear_process_socket(&self) {
        if let Some(path) = &self.spec.process_socket
            && let Err(error) = sockets::unlink(Path::new(path))
        {
            // The process may know how to go on, and says it if it does not.
            note(&format!("failed to remove `{path}`: {error}"));
        }
    }

    /// Polls the tree of a start, if it can be polled.
    pub(super) fn watch_tree(&self, context: &Context, start: &Start) {
        if let Some(watch) = start.tree.watch()
            && let Err(error) = context.poll.add(watch, Token::Tree(self.key), Interest::Urgent)
        {
            note(&format!("failed to watch a cgroup: {error}"));
        }
    }

    /// Takes note of the end of the main process.
    pub(crate) fn main_ended(&mut self, context: &mut Context, status: ExitStatus) {
        let now = clock::now();
        let Some(start) = self.start.as_mut() else { return };
        let Some(main) = start.main.take() else { return };
        context.poll.remove(&main);
        self.is_changed = true;
        let lived = now.saturating_sub(start.began);
        let is_requested = matches!(self.stage, Stage::Stopping { .. });
        let exit = Exit {
            pid: start.process.pid,
            status,
            at_ms: clock::wall_ms(),
            lived_ms: lived.as_millis() as u64,
            requested: is_requested,
        };
        let life = Life { began: start.began, lived, startup: start.startup };
        let failure = start.launch.take().and_then(Launch::failure);
        start.look_at = now + LOOK_AGAIN;
        let is_empty = start.tree.is_empty();
        if !is_empty {
            start.tree.signal(Signal::TERM);
            start.tree.signal(Signal::CONT);
        }
        self.last_exit = Some(exit);
        context.record(Record::Exited { slot: self.spec.id, exit });
        let description = failure.map(|failure| {
            let user = self.spec.credentials.as_ref();
            failure.describe(&self.spec.program, &self.spec.directory, user)
        });
        match &description {
            Some(text) => self.event(context, &format!("not started: {text}")),
            None => self.event(context, &describe_end(exit)),
        }
        if !is_requested {
            let next = match (failure, description) {
                (Some(failure), Some(text)) if failure.is_transient() => Next::Retry(text),
                (_, Some(text)) => Next::Fail(text),
                _ if restarts(self.spec.restart, status) => Next::Restart(life),
                _ => Next::Finish,
            };
            self.stage = Stage::Clearing { kill_at: now + self.clearing_grace(), next };
        }
        if is_empty {
            self.cleared(context);
        }
    }

    pub(super) fn clearing_grace(&self) -> Duration {
        Duration::from_millis(self.spec.stop_grace_ms).min(CLEARING_GRACE)
    }

    /// Reads the level of a tree that has just changed, which arms its watch again.
    pub(crate) fn look_at_tree(&mut self, context: &mut Context) {
        if self.start.as_ref().is_some_and(|start| start.tree.is_empty()) {
            self.settle(context);
        }
    }

    /// Looks whether the tree of an ended main process is empty, and goes on if it is.
    pub(crate) fn settle(&mut self, context: &mut Context) {
        let is_over =
            self.start.as_ref().is_some_and(|start| start.main.is_none() && start.tree.is_empty());
        if is_over {
            self.cleared(context);
        }
    }

    /// Goes on after the tree became empty.
    fn cleared(&mut self, context: &mut Context) {
        self.is_changed = true;
        self.drain_logs(context, crate::lines::Tail::Ends);
        if let Some(start) = self.start.take() {
            if let Some(watch) = start.tree.watch() {
                context.poll.remove(watch);
            }
            start.tree.remove();
        }
        match std::mem::replace(&mut self.stage, Stage::Stopped) {
            Stage::Clearing { next: Next::Restart(life), .. } => {
                match self.history.ended(life, random()) {
                    Verdict::Now => self.start(context),
                    Verdict::After(delay) => self.wait(context, delay, false),
                    Verdict::Loop(delay) => self.wait(context, delay, true),
                }
            }
            Stage::Clearing { next: Next::Retry(text), .. } if self.starts > 1 => {
                let delay = self.history.not_started(random());
                self.wait(context, delay, false);
                self.status_text = Some(text);
            }
            Stage::Clearing { next: Next::Fail(text) | Next::Retry(text), .. } => {
                self.stage = Stage::Failed;
                self.status_text = Some(text);
                self.refuse(context);
            }
            Stage::Clearing { next: Next::Finish, .. } => {
                self.stage = Stage::Finished;
                self.refuse(context);
            }
            _ => self.refuse(context),
        }
    }

    fn wait(&mut self, context: &mut Context, delay: Duration, is_loop: bool) {
        let until = clock::now() + delay;
        self.stage = Stage::Waiting { until, delay, is_loop };
        let what = if is_loop { "crash loop" } else { "backoff" };
        self.event(context, &format!("{what}, next start in {} ms", delay.as_millis()));
        self.refuse(context);
    }

    /// Asks the process to end, and sees to it that it does.
    pub(crate) fn stop(&mut self, context: &mut Context) {
        if matches!(self.stage, Stage::Stopping { .. } | Stage::Stopped) {
            return;
        }
        self.is_changed = true;
        context.record(Record::Stopping { slot: self.spec.id });
        match &self.stage {
            Stage::Running => {
                self.stage = Stage::Stopping { kill_at: clock::now() + self.stop_grace() };
                self.send_stop(context);
            }
            Stage::Clearing { kill_at, .. } => self.stage = Stage::Stopping { kill_at: *kill_at },
            _ => self.stage = Stage::Stopped,
        }
    }

    pub(super) fn stop_grace(&self) -> Duration {
        Duration::from_millis(self.spec.stop_grace_ms)
    }

    pub(super) fn send_stop(&mut self, context: &mut Context) {
        let signal = Signal::from_named_raw(self.spec.stop_signal).unwrap_or(Signal::TERM);
        self.event(context, &format!("stopping, signal {}", signal.as_raw()));
        if let Some(start) = &mut self.start {
            start.look_at = clock::now() + LOOK_AGAIN;
            if self.spec.signal_all {
                start.tree.signal(signal);
                start.tree.signal(Signal::CONT);
            } else if let Some(main) = &start.main {
                process::signal(main, signal);
                // A stopped process could not act on it.
                process::signal(main, Signal::CONT);
            }
        }
    }

    /// Passes a signal on to the main process.
    pub(crate) fn forward(&self, signal: Signal) {
        if let Some(main) = self.start.as_ref().and_then(|start| start.main.as_ref()) {
            process::signal(main, signal);
        }
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, context: &mut Context, now: Duration) {
        match &mut self.stage {
            Stage::Waiting { until, .. } if *until <= now => self.start(context),
            Stage::Clearing { kill_at, .. } | Stage::Stopping { kill_at } if *kill_at <= now => {
                *kill_at = now + KILL_AGAIN;
                if self.start.as_ref().is_some_and(|start| !start.was_killed) {
                    self.event(context, "grace is over, killing what is left");
                }
                if let Some(start) = &mut self.start {
                    start.was_killed = true;
                    if let Some(main) = &start.main {
                        process::signal(main, Signal::KILL);
                    }
                    start.tree.kill();
                }
            }
            _ => {}
        }
        if let Some(start) = &mut self.start
            && start.look_at <= now
            && start.tree.watch().is_none()
        {
            start.look_at = now + LOOK_AGAIN;
            self.settle(context);
        }
    }

    /// Returns when [`Slot::tick`] is due.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let stage = match &self.stage {
            Stage::Waiting { until: at, .. }
            | Stage::Clearing { kill_at: at, .. }
            | Stage::Stopping { kill_at: at } => Some(*at),
            _ => None,
        };
        let look = self
            .start
            .as_ref()
            .filter(|start| start.main.is_none() && start.tree.watch().is_none())
            .map(|start| start.look_at);
        [stage, look].into_iter().flatten().min()
    }

    /// Takes note of what a process said on the notify socket.
    pub(crate) fn notice(&mut self, context: &mut Context, sender: u32, notice: Notice) {
        let Some(start) = &mut self.start else { return };
        if start.main.is_none() || !(start.process.pid == sender || start.tree.contains(sender)) {
            return;
        }
        if let Some(text) = notice.status {
            self.status_text = Some(text);
            self.is_changed = true;
        }
        if notice.ready && !self.notified {
            self.notified = true;
            self.is_changed = true;
            start.startup = Some(clock::now().saturating_sub(start.began));
            context.record(Record::Ready { slot: self.spec.id });
            self.event(context, "ready");
        }
    }

    /// Takes note of the end of a main process that is not our child.
    pub(crate) fn stranger_ended(&mut self, context: &mut Context) {
        let Some(start) = &self.start else { return };
        let Some(main) = &start.main else { return };
        let status = process::exit_of_stranger(main, start.process.pid, start.process.start_ticks);
        self.main_ended(context, status);
    }
}

fn describe_end(exit: Exit) -> String {
    let asked = if exit.requested { ", as asked" } else { "" };
    format!("process {} ended: {}{asked}, after {} ms", exit.pid, exit.status, exit.lived_ms)
}

/// Opens a file and takes its lock together with others, so that all who inherit it hold it.
fn open_lease(path: &str) -> Result<std::os::fd::OwnedFd, StartError> {
    let open = || -> io::Result<std::os::fd::OwnedFd> {
        let file = std::fs::File::open(Path::new(path))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared)?;
        Ok(file.into())
    };
    open().map_err(|source| StartError::Lease { path: path.to_owned(), source })
}

/// Returns a number drawn evenly from 0 to 1.
pub(super) fn random() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness all jitter is the middle.
    match rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::NONBLOCK) {
        Ok(4) => f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX),
        _ => 0.5,
    }
}
