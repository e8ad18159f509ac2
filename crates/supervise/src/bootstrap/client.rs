//! A blocking client of the agent's shim: one request at a time, each wait with a deadline.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use control::shim::{Message, Numbered, Outcome, Request, SlotState};
use control::{Connection, ConnectionError, Hello, Received, Role, SlotId};
use control_tokio::{DialError, dial};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use serde::de::DeserializeOwned;

use crate::bootstrap::error::BootstrapError;
use crate::bootstrap::recipe::agent_service;
use crate::config::Config;
use crate::launch;
use crate::limits::{HELLO_PATIENCE, LAUNCH_PATIENCE, MAX_ATTEMPTS, REQUEST_PATIENCE};
use crate::pending::describe;
use crate::process::{Silence, open_pidfd};

/// A greeted shim and what it has told so far.
pub(super) struct Client {
    connection: Connection,
    slots: BTreeMap<SlotId, SlotState>,
    adoptable: BTreeMap<SlotId, u32>,
    last_id: u64,
    /// What was asked last, for errors.
    request: String,
    /// The replies to it: at most one.
    reply: Option<(u64, Outcome)>,
    /// Tells when its process has ended; absent where the kernel has no pidfds.
    process: Option<OwnedFd>,
}

/// What one attempt to connect came to.
enum Contact {
    Greeted(Box<Client>),
    Absent,
    /// It hung up while it was greeted.
    HungUp,
}

impl Client {
    /// Connects to the agent's shim; `None` when there is none.
    pub(super) fn connect(config: &Config) -> Result<Option<Self>, BootstrapError> {
        for _ in 0..MAX_ATTEMPTS {
            match Self::contact(config)? {
                Contact::Greeted(client) => return Ok(Some(*client)),
                Contact::Absent => return Ok(None),
                Contact::HungUp => {}
            }
        }
        Err(BootstrapError::Closed { request: "say hello".to_owned() })
    }

    /// Connects to the agent's shim, and starts it if there is none.
    pub(super) fn connect_or_launch(config: &Config) -> Result<Self, BootstrapError> {
        let mut attempts = 1;
        loop {
            if let Some(client) = Self::connect(config)? {
                return Ok(client);
            }
            match Self::launch(config) {
                // What a killed shim leaves behind is gone in a moment.
                Err(BootstrapError::ShimFailed { .. }) if attempts < MAX_ATTEMPTS => attempts += 1,
                outcome => return outcome,
            }
        }
    }

    fn contact(config: &Config) -> Result<Contact, BootstrapError> {
        let socket = match dial(&config.socket(&agent_service()), HELLO_PATIENCE) {
            Ok(socket) => socket,
            Err(error) if error.is_absent() => return Ok(Contact::Absent),
            Err(error @ DialError::Backlog { .. }) => {
                return Err(BootstrapError::Unresponsive { reason: error.to_string() });
            }
            Err(error) => return Err(error.into()),
        };
        let pid = socket_peercred(&socket)
            .ok()
            .and_then(|credentials| u32::try_from(credentials.pid.as_raw_nonzero().get()).ok());
        let process = pid.and_then(|pid| open_pidfd(pid).ok());
        let silent = || BootstrapError::Unresponsive { reason: Silence { pid }.to_string() };
        let connection = Connection::new(socket).map_err(ConnectionError::Io)?;
        let mut client = Self {
            connection,
            slots: BTreeMap::new(),
            adoptable: BTreeMap::new(),
            last_id: 0,
            request: "say hello".to_owned(),
            reply: None,
            process,
        };
        let ours = config.hello(Role::Command);
        if client.connection.send(&ours, Vec::new()).is_err() {
            return Ok(Contact::HungUp);
        }
        let deadline = Instant::now() + HELLO_PATIENCE;
        match client.receive::<Hello>(deadline)? {
            Heard::Message(theirs, _) => {
                theirs.expect_role(Role::Shim)?;
                ours.agree(&theirs)?;
            }
            Heard::Closed => return Ok(Contact::HungUp),
            Heard::Nothing => return Err(silent()),
        }
        loop {
            match client.receive::<Message>(deadline)? {
                Heard::Message(Message::Ready { .. }, _) => {
                    return Ok(Contact::Greeted(Box::new(client)));
                }
                Heard::Message(Message::TurnedAway { reason }, _) => {
                    let request = client.request;
                    return Err(BootstrapError::Refused { request, reason });
                }
                Heard::Message(message, _) => client.take(message),
                Heard::Closed => return Ok(Contact::HungUp),
                Heard::Nothing => return Err(silent()),
            }
        }
    }

    /// Starts the agent's shim and connects to it, or to another that was faster to the lock.
    fn launch(config: &Config) -> Result<Self, BootstrapError> {
        let service = agent_service();
        let failed =
            |source| BootstrapError::Launch { program: config.shim_program.path.clone(), source };
        let launched = launch::start(config, &service).map_err(failed)?;
        let deadline = Instant::now() + LAUNCH_PATIENCE;
        if !drain(launched.output.as_fd(), deadline)? {
            let patience = LAUNCH_PATIENCE.as_secs();
            let reason = format!("its shim did not listen within {patience} s");
            return Err(BootstrapError::ShimFailed { reason });
        }
        if let Some(client) = Self::connect(config)? {
            return Ok(client);
        }
        let reason = launched.epitaph();
        if launch::wait_while_mute(config, &service) {
            Err(BootstrapError::ShimFailed { reason })
        } else {
            Err(BootstrapError::Unresponsive { reason })
        }
    }

    /// Returns what is known of a slot.
    pub(super) fn slot(&self, slot: SlotId) -> Option<&SlotState> {
        self.slots.get(&slot)
    }

    /// Returns whether the slot's process lost its shim and was not adopted yet.
    pub(super) fn is_adoptable(&self, slot: SlotId) -> bool {
        self.adoptable.contains_key(&slot)
    }

    /// Sends a request and waits until the shim has taken it on.
    pub(super) fn ask(&mut self, request: Request) -> Result<(), BootstrapError> {
        self.last_id += 1;
        self.request = describe(&request);
        self.reply = None;
        self.connection.send(&Numbered { id: self.last_id, request }, Vec::new())?;
        self.wait(Instant::now() + REQUEST_PATIENCE, |client| {
            client.reply.as_ref().is_some_and(|(id, _)| *id == client.last_id)
        })?;
        let request = self.request.clone();
        match self.reply.take() {
            Some((_, Outcome::Refused { reason })) => {
                Err(BootstrapError::Refused { request, reason })
            }
            Some((_, Outcome::Unsupported)) => {
                let reason = "it is of an older build".to_owned();
                Err(BootstrapError::Refused { request, reason })
            }
            Some((_, Outcome::Accepted)) | None => Ok(()),
        }
    }

    /// Waits until `done` holds for what the shim has told.
    pub(super) fn wait(
        &mut self,
        deadline: Instant,
        done: impl Fn(&Self) -> bool,
    ) -> Result<(), BootstrapError> {
        while !done(self) {
            self.next(deadline)?;
        }
        Ok(())
    }

    /// Waits for the shim's next message, whatever it is.
    pub(super) fn next(&mut self, deadline: Instant) -> Result<(), BootstrapError> {
        match self.receive::<Message>(deadline)? {
            Heard::Message(message, _) => {
                self.take(message);
                Ok(())
            }
            Heard::Closed => Err(BootstrapError::Closed { request: self.request.clone() }),
            Heard::Nothing => Err(self.too_late()),
        }
    }

    /// Waits until the shim has hung up and its process has ended.
    pub(super) fn wait_for_end(&mut self, deadline: Instant) -> Result<(), BootstrapError> {
        loop {
            match self.next(deadline) {
                Err(BootstrapError::Closed { .. }) => break,
                other => other?,
            }
        }
        match &self.process {
            Some(process) if !wait_for(process.as_fd(), PollFlags::IN, deadline)? => {
                Err(self.too_late())
            }
            _ => Ok(()),
        }
    }

    fn too_late(&self) -> BootstrapError {
        let state = self.slots.values().next();
        BootstrapError::TooLate {
            request: self.request.clone(),
            state: state.map_or("not there".to_owned(), |state| format!("{:?}", state.phase)),
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Slot { state } => {
                self.adoptable.remove(&state.id);
                self.slots.insert(state.id, state);
            }
            Message::Removed { slot } => {
                self.adoptable.remove(&slot);
                self.slots.remove(&slot);
            }
            Message::Adoptable { slot, pid } => drop(self.adoptable.insert(slot, pid)),
            Message::Reply { re, outcome } => self.reply = Some((re, outcome)),
            // Its descriptors were closed on arrival: keeping them is the agent's part.
            _ => {}
        }
    }

    fn receive<T: DeserializeOwned>(
        &mut self,
        deadline: Instant,
    ) -> Result<Heard<T>, BootstrapError> {
        loop {
            match self.connection.receive()? {
                Received::Message(message, fds) => return Ok(Heard::Message(message, fds)),
                Received::Closed => return Ok(Heard::Closed),
                Received::Pending => {}
            }
            let mut events = PollFlags::IN;
            if self.connection.wants_write() {
                events |= PollFlags::OUT;
            }
            let ready = wait_for(self.connection.as_fd(), events, deadline);
            if !ready? {
                return Ok(Heard::Nothing);
            }
            if self.connection.wants_write() {
                self.connection.flush()?;
            }
        }
    }
}

/// What came before a deadline.
enum Heard<T> {
    Message(T, #[expect(dead_code, reason = "closed when dropped")] Vec<OwnedFd>),
    Closed,
    Nothing,
}

/// Reads until the end of the stream, which nobody fills; false when that does not come in time.
fn drain(stream: BorrowedFd<'_>, deadline: Instant) -> Result<bool, ConnectionError> {
    let mut bytes = [0; 64];
    loop {
        if !wait_for(stream, PollFlags::IN, deadline)? {
            return Ok(false);
        }
        match rustix::io::read(stream, &mut bytes) {
            Ok(0) => return Ok(true),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(ConnectionError::Io(errno.into())),
        }
    }
}

/// Waits for an event; false when the time is over.
fn wait_for(
    fd: BorrowedFd<'_>,
    events: PollFlags,
    deadline: Instant,
) -> Result<bool, ConnectionError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        // A deadline beyond the kernel's clock is looked at again, not an error.
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut [PollFd::new(&fd, events)], Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(ConnectionError::Io(errno.into())),
        }
    }
}
