//! Starting and stopping the agent, from a command.
//!
//! The agent is a service like any other: slot `g1.0` of `skep/agent`, kept by a shim, its API
//! socket held across its restarts. A command that finds no agent starts that shim and has it
//! start the agent. Everything here blocks, with deadlines, and needs no runtime.
//!
//! # Guarantees
//!
//! - Two commands at once start one agent: they take `run/bootstrap.lock` in turn, and the shim's
//!   own lock stands behind that.
//! - A shim that hangs or was stopped is reported with its process, never killed or doubled.
//! - When [`Bootstrap::start`] returns, the agent's process runs and its socket accepts
//!   connections: a client that connects now waits in the backlog until the agent serves it.
//! - [`Bootstrap::stop`] ends the agent, its shim, and no other service.

mod client;
mod error;
mod recipe;
mod words;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use cgroup::Base;
use control::shim::{AdoptSlot, Phase, Request, SlotState};
use disk::Lock;
use home::{Home, Installation};
use rustix::fs::{Access, access};

pub use error::BootstrapError;
pub use recipe::{AGENT_SLOT, agent_recipe, agent_service};
pub use words::last_words;

use crate::bootstrap::client::Client;
use crate::bootstrap::recipe::AGENT_GRACE;
use crate::config::{Config, ShimProgram};

/// How long another command may be starting or stopping the agent. Longer than a stop takes.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(60);

/// How long the agent's process may take to be started, clearing away an earlier one included.
pub const START_PATIENCE: Duration = Duration::from_secs(20);

/// How long a living agent may take to give its new shim what the old one held, before a command
/// tells that shim to recover what it can by itself.
pub const AGENT_ADOPTS_PATIENCE: Duration = Duration::from_secs(5);

/// How long an agent may take to end: its grace and what the kill of a whole tree takes.
pub const STOP_PATIENCE: Duration = AGENT_GRACE.saturating_add(Duration::from_secs(15));

/// Everything needed to start or stop the agent of one home.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// The installation.
    pub home: Home,
    /// The agent's program, absolute.
    pub program: PathBuf,
    /// Its arguments, the zeroth included.
    pub arguments: Vec<String>,
    /// How shims are started.
    pub shim_program: ShimProgram,
    /// Version and commit of this build.
    pub build: String,
}

/// What [`Bootstrap::start`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It was started.
    Now {
        /// Its process.
        pid: u32,
    },
    /// It ran already.
    Already {
        /// Its process.
        pid: u32,
    },
}

/// What [`Bootstrap::stop`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It ended, and its shim too.
    Now,
    /// There was nothing to stop.
    NotRunning,
}

/// Starts the agent of `home` with the program `skep`; see [`Bootstrap::start`].
pub fn start_agent(home: &Home, skep: &Path, build: &str) -> Result<Started, BootstrapError> {
    Bootstrap::new(home.clone(), skep, build).start()
}

/// Stops the agent of `home`; see [`Bootstrap::stop`].
pub fn stop_agent(home: &Home, skep: &Path, build: &str) -> Result<Stopped, BootstrapError> {
    Bootstrap::new(home.clone(), skep, build).stop()
}

impl Bootstrap {
    /// Returns what the program `skep` (an absolute path) works with.
    pub fn new(home: Home, skep: &Path, build: &str) -> Self {
        Self {
            home,
            program: skep.to_owned(),
            arguments: vec!["skep".to_owned(), "agent:run".to_owned()],
            shim_program: ShimProgram::beside(skep),
            build: build.to_owned(),
        }
    }

    /// Makes sure that the agent runs; makes the home first if there is none.
    ///
    /// An agent that waits in a backoff or a crash loop is started afresh, with the present
    /// program. Fails when there is no such program, or when the shim says at once that it ended; an
    /// agent that ends later is explained by [`Self::state`].
    pub fn start(&self) -> Result<Started, BootstrapError> {
        access(&self.program, Access::EXEC_OK).map_err(|errno| BootstrapError::Program {
            program: self.program.clone(),
            source: errno.into(),
        })?;
        let installation = self.home.create()?;
        let _lock = self.lock()?;
        let config = self.config(installation)?;
        let mut client = Client::connect_or_launch(&config)?;
        let deadline = Instant::now() + START_PATIENCE;
        let mut started = false;
        loop {
            let state = client.slot(AGENT_SLOT);
            match state.map(|state| state.phase) {
                Some(Phase::Running) => {
                    let process = state.and_then(|state| state.process);
                    let pid = process.map_or(0, |process| process.pid);
                    return Ok(if started {
                        Started::Now { pid }
                    } else {
                        Started::Already { pid }
                    });
                }
                Some(_) if started => return Err(ended_at_once(state)),
                Some(Phase::Clearing | Phase::Stopping) => client.next(deadline)?,
                Some(Phase::Backoff { .. } | Phase::CrashLoop { .. }) => {
                    client.ask(Request::Stop { slot: AGENT_SLOT })?;
                    client.wait(deadline, |client| {
                        client.slot(AGENT_SLOT).is_none_or(|state| settled(state.phase))
                    })?;
                }
                Some(Phase::Stopped | Phase::Finished | Phase::Failed) => {
                    client.ask(Request::Remove { slot: AGENT_SLOT })?;
                    client.wait(deadline, |client| client.slot(AGENT_SLOT).is_none())?;
                }
                None if client.is_adoptable(AGENT_SLOT) => self.adopt(&mut client)?,
                None => {
                    let slot = Box::new(self.recipe());
                    client.ask(Request::Start { slot })?;
                    started = true;
                    client.wait(deadline, |client| client.slot(AGENT_SLOT).is_some())?;
                }
            }
        }
    }

    /// Stops the agent and lets its shim end. Services go on; their shims wait for the next agent.
    pub fn stop(&self) -> Result<Stopped, BootstrapError> {
        let installation = match self.home.open() {
            Err(home::HomeError::Missing(_)) => return Ok(Stopped::NotRunning),
            other => other?,
        };
        let _lock = self.lock()?;
        let config = self.config(installation)?;
        let Some(mut client) = Client::connect(&config)? else { return Ok(Stopped::NotRunning) };
        let deadline = Instant::now() + STOP_PATIENCE;
        loop {
            match client.slot(AGENT_SLOT).map(|state| state.phase) {
                Some(phase) if settled(phase) => {
                    client.ask(Request::Remove { slot: AGENT_SLOT })?;
                    client.wait(deadline, |client| client.slot(AGENT_SLOT).is_none())?;
                }
                Some(_) => {
                    client.ask(Request::Stop { slot: AGENT_SLOT })?;
                    client.wait(deadline, |client| {
                        client.slot(AGENT_SLOT).is_none_or(|state| settled(state.phase))
                    })?;
                }
                None if client.is_adoptable(AGENT_SLOT) => self.adopt(&mut client)?,
                None => {
                    client.ask(Request::Exit {})?;
                    client.wait_for_end(deadline)?;
                    return Ok(Stopped::Now);
                }
            }
        }
    }

    /// Returns what the agent's shim says of the agent; `None` when there is no shim or it keeps
    /// no agent. For explaining an agent that does not answer.
    pub fn state(&self) -> Result<Option<SlotState>, BootstrapError> {
        let config = self.config(self.home.open()?)?;
        let client = Client::connect(&config)?;
        Ok(client.and_then(|client| client.slot(AGENT_SLOT).cloned()))
    }

    /// The agent outlived its shim. If it lives well, it is about to give a new shim everything;
    /// only if it does not, the shim is told to recover what it can.
    fn adopt(&self, client: &mut Client) -> Result<(), BootstrapError> {
        let patience = Instant::now() + AGENT_ADOPTS_PATIENCE;
        let adopted = |client: &Client| client.slot(AGENT_SLOT).is_some();
        match client.wait(patience, adopted) {
            Err(BootstrapError::TooLate { .. }) => {}
            outcome => return outcome,
        }
        let slots = vec![AdoptSlot { spec: self.recipe(), held: Vec::new() }];
        client.ask(Request::Adopt { slots, listeners: Vec::new() })?;
        client.wait(Instant::now() + AGENT_ADOPTS_PATIENCE, adopted)
    }

    fn recipe(&self) -> control::shim::SlotSpec {
        agent_recipe(&self.home, &self.program, &self.arguments)
    }

    fn config(&self, installation: Installation) -> Result<Config, BootstrapError> {
        Ok(Config {
            home: self.home.clone(),
            // Where cgroups cannot be used the agent says so, in `doctor` and `ps`.
            cgroup_base: Base::establish(&installation.id).ok().map(|base| base.path().to_owned()),
            installation: installation.id,
            build: self.build.clone(),
            boot_id: disk::boot_id()?,
            shim_program: self.shim_program.clone(),
        })
    }

    /// Takes the lock on a thread of its own: a file lock cannot be waited for with a deadline.
    /// A thread that comes too late finds nobody to give the lock to and drops it.
    fn lock(&self) -> Result<Lock, BootstrapError> {
        let path = self.home.run().join("bootstrap.lock");
        let (sender, receiver) = mpsc::sync_channel(1);
        std::thread::spawn(move || drop(sender.send(Lock::exclusive(&path))));
        match receiver.recv_timeout(LOCK_PATIENCE) {
            Ok(lock) => Ok(lock?),
            Err(_) => Err(BootstrapError::Locked { patience: LOCK_PATIENCE }),
        }
    }
}

/// Returns whether a slot in this phase waits for nothing but to be removed.
fn settled(phase: Phase) -> bool {
    matches!(phase, Phase::Stopped | Phase::Finished | Phase::Failed)
}

fn ended_at_once(state: Option<&SlotState>) -> BootstrapError {
    let exit = state.and_then(|state| state.last_exit).map(|exit| exit.status.to_string());
    let text = state.and_then(|state| state.status_text.clone());
    let reason = [exit, text].into_iter().flatten().collect::<Vec<_>>().join(": ");
    BootstrapError::AgentEnded {
        reason: if reason.is_empty() { "no reason given".to_owned() } else { reason },
    }
}
