//! A small blocking client of a shim.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use control::shim::{Held, Message, Numbered, Outcome, Request, SharedListener, SlotState};
use control::{Connection, Hello, PROTOCOL, Received, Role, SlotId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longest wait for anything; reached only by a defect.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Everything a shim has told.
pub(crate) struct Client {
    connection: Connection,
    next_id: u64,
    pub(crate) slots: BTreeMap<SlotId, SlotState>,
    /// Every state that was told, in order.
    pub(crate) seen: Vec<SlotState>,
    pub(crate) held: BTreeMap<SlotId, Vec<(Held, OwnedFd)>>,
    pub(crate) listeners: Vec<(SharedListener, OwnedFd)>,
    pub(crate) adoptable: Vec<(SlotId, u32)>,
    pub(crate) removed: Vec<SlotId>,
    pub(crate) ready: Option<(u32, control::shim::Containment)>,
    /// Log bytes that were dropped, as told last; `None`: any loss is a failure.
    pub(crate) dropped: Option<u64>,
    /// Why the shim hung up.
    pub(crate) turned_away: Option<String>,
    replies: BTreeMap<u64, (Outcome, Vec<OwnedFd>)>,
    closed: bool,
}

impl Client {
    /// Connects and waits until the greeting is complete.
    pub(crate) fn connect(socket: &Path, installation: &str) -> Self {
        let mut client = Self::connect_as(Role::Agent, socket, installation);
        client.wait("the greeting", |client| client.ready.is_some());
        client
    }

    /// Connects and exchanges hellos.
    pub(crate) fn connect_as(role: Role, socket: &Path, installation: &str) -> Self {
        let mut connection =
            Connection::new(disk::socket::connect_stream(socket).unwrap()).unwrap();
        let hello = Hello {
            protocol: PROTOCOL,
            role,
            build: "test".into(),
            boot_id: disk::boot_id().unwrap(),
            installation: installation.into(),
        };
        connection.send(&hello, Vec::new()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let theirs = loop {
            match connection.receive::<Hello>().unwrap() {
                Received::Message(hello, _) => break hello,
                Received::Pending => wait_ready(&connection, deadline, "a hello"),
                Received::Closed => panic!("the shim closed the connection"),
            }
        };
        assert_eq!(theirs.role, Role::Shim);
        Self {
            connection,
            next_id: 1,
            slots: BTreeMap::new(),
            seen: Vec::new(),
            held: BTreeMap::new(),
            listeners: Vec::new(),
            adoptable: Vec::new(),
            removed: Vec::new(),
            ready: None,
            dropped: None,
            turned_away: None,
            replies: BTreeMap::new(),
            closed: false,
        }
    }

    /// Returns whether the shim has hung up, without reading what it said before.
    pub(crate) fn is_hung_up(&self) -> bool {
        let nothing = PollFlags::empty();
        let mut polled = [PollFd::from_borrowed_fd(self.connection.as_fd(), nothing)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut polled, Some(&now)).unwrap() != 0 && polled[0].revents().contains(PollFlags::HUP)
    }

    /// Waits until what the shim has told satisfies `condition`.
    pub(crate) fn wait(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.read();
            if condition(self) {
                return;
            }
            assert!(!self.closed, "the shim closed the connection before {what}");
            let waiting = format!("{what}; the last states are {:#?}", self.slots);
            wait_ready(&self.connection, deadline, &waiting);
            // A shim that has hung up has told why.
            let _ = self.connection.flush();
        }
    }

    /// Waits for the state of a slot.
    pub(crate) fn wait_slot(
        &mut self,
        slot: SlotId,
        what: &str,
        condition: impl Fn(&SlotState) -> bool,
    ) -> SlotState {
        self.wait(&format!("slot {slot} {what}"), |client| {
            client.slots.get(&slot).is_some_and(&condition)
        });
        self.slots[&slot].clone()
    }

    /// Waits until the shim closes the connection.
    pub(crate) fn wait_closed(&mut self) {
        self.wait("the end", |client| client.closed);
    }

    fn read(&mut self) {
        while !self.closed {
            match self.connection.receive::<Message>() {
                Ok(Received::Message(message, fds)) => self.take(message, fds),
                Ok(Received::Pending) => return,
                Ok(Received::Closed) | Err(_) => self.closed = true,
            }
        }
    }

    fn take(&mut self, message: Message, mut fds: Vec<OwnedFd>) {
        match message {
            Message::Reply { re, outcome } => {
                self.replies.insert(re, (outcome, fds));
            }
            Message::Holding { slot, held } => {
                assert_eq!(held.len(), fds.len());
                self.held.insert(slot, held.into_iter().zip(fds).collect());
            }
            Message::HoldingListener { listener } => {
                self.listeners.push((listener, fds.pop().unwrap()));
            }
            Message::Slot { state } => {
                self.seen.push(state.clone());
                self.slots.insert(state.id, state);
            }
            Message::Removed { slot } => {
                self.slots.remove(&slot);
                self.removed.push(slot);
            }
            Message::Adoptable { slot, pid } => self.adoptable.push((slot, pid)),
            Message::Ready { pid, containment } => self.ready = Some((pid, containment)),
            Message::LogsDropped { bytes, reason } => {
                assert!(self.dropped.is_some(), "{bytes} bytes dropped: {reason}");
                self.dropped = Some(bytes);
            }
            Message::TurnedAway { reason } => self.turned_away = Some(reason),
            Message::Unknown => panic!("an unknown message"),
        }
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, request: Request, fds: Vec<OwnedFd>) -> (Outcome, Vec<OwnedFd>) {
        let id = self.send(request, fds);
        self.reply(id)
    }

    /// Sends a request; returns its number.
    pub(crate) fn send(&mut self, request: Request, fds: Vec<OwnedFd>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.connection.send(&Numbered { id, request }, fds).unwrap();
        id
    }

    /// Waits for the answer to a request.
    pub(crate) fn reply(&mut self, id: u64) -> (Outcome, Vec<OwnedFd>) {
        self.wait("a reply", |client| client.replies.contains_key(&id));
        self.replies.remove(&id).unwrap()
    }

    /// Sends a request that must be accepted.
    pub(crate) fn accepted(&mut self, request: Request) {
        let text = format!("{request:?}");
        assert_eq!(self.ask(request, Vec::new()).0, Outcome::Accepted, "{text}");
    }

    /// Sends a request that must be refused; returns why.
    pub(crate) fn refused(&mut self, request: Request) -> String {
        match self.ask(request, Vec::new()).0 {
            Outcome::Refused { reason } => reason,
            other => panic!("not refused but {other:?}"),
        }
    }
}

/// Waits until there is something to read, or room for what is to be written.
fn wait_ready(connection: &Connection, deadline: Instant, what: &str) {
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
    let mut events = PollFlags::IN;
    events.set(PollFlags::OUT, connection.wants_write());
    let mut polled = [PollFd::from_borrowed_fd(connection.as_fd(), events)];
    assert_ne!(poll(&mut polled, Some(&timeout)).unwrap(), 0, "waited in vain for {what}");
}
