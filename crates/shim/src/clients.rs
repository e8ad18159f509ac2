//! Who is connected to the control socket.
//!
//! Root and the shim's own user may connect. A client that does not say hello in
//! [`HELLO_PATIENCE`], that breaks the protocol, or that lets its queue overflow is dropped; it may
//! connect again and is told everything anew.
//!
//! # Too many
//!
//! [`MAX_CLIENTS`] may have said hello. One more command is turned away, with the reason. An agent
//! never is: the command that was silent for longest gives its place, or where there are only agents
//! the agent that was, so that no number of forgotten connections keeps the agent out. Of those that
//! have not said hello, [`MAX_NEWCOMERS`], the one that waits for longest gives its place.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use control::shim::{Message, Numbered};
use control::{Connection, Hello, Received, Role};

use crate::accept::{Accepted, Acceptor};
use crate::clock;
use crate::context::note;
use crate::peer;
use crate::poll::{Interest, Poll, Token};
use crate::slot::duplicate;

/// Most clients at a time: an agent, its successor, a few commands.
const MAX_CLIENTS: usize = 16;

/// Most connections that have not said hello: each is about to, or of no use.
const MAX_NEWCOMERS: usize = 16;

/// Most connections taken in one turn of the loop.
const ACCEPTS_PER_TURN: usize = 16;

/// How long a client may take to say who it is.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);

/// Most requests taken from one client in one turn of the loop.
const REQUESTS_PER_TURN: usize = 64;

#[derive(Debug)]
struct Client {
    key: u32,
    connection: Connection,
    standing: Standing,
    /// Requests may be waiting that epoll does not know of.
    has_more: bool,
    waits_to_write: bool,
}

/// What is known of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has not said hello, and has until then.
    Newcomer { hello_by: Duration },
    /// It has, as this, and has last sent or taken something at that time.
    Greeted { role: Role, heard_at: Duration },
}

/// What a client said.
#[derive(Debug)]
pub(crate) enum Said {
    /// Hello: now it is to be greeted.
    Hello { client: u32 },
    /// A request, with its descriptors.
    Request { client: u32, request: Box<Numbered>, fds: Vec<OwnedFd> },
}

/// All clients.
#[derive(Debug)]
pub(crate) struct Clients {
    hello: Hello,
    acceptor: Acceptor,
    clients: Vec<Client>,
    next_key: u32,
}

impl Clients {
    pub(crate) fn new(hello: Hello) -> Self {
        Self { hello, acceptor: Acceptor::default(), clients: Vec::new(), next_key: 0 }
    }

    /// Takes the connections that wait.
    pub(crate) fn accept(&mut self, poll: &Poll, listener: &OwnedFd) {
        for _ in 0..ACCEPTS_PER_TURN {
            let welcomed = match self.acceptor.next(listener) {
                Some(Accepted::Connection(socket)) => self.welcome(poll, socket),
                Some(Accepted::OnReserve(_)) => Err(io::Error::other("no descriptor is left")),
                None => return,
            };
            if let Err(error) = welcomed {
                note(&format!("a client was turned away: {error}"));
            }
        }
    }

    fn welcome(&mut self, poll: &Poll, socket: OwnedFd) -> io::Result<()> {
        let user = peer::user_of(&socket)?;
        if user != 0 && user != rustix::process::geteuid().as_raw() {
            let text = format!("user {user} may not command this shim");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let newcomers = || self.clients.iter().filter_map(Client::hello_by);
        if newcomers().count() >= MAX_NEWCOMERS
            && let Some(earliest) = newcomers().min()
        {
            self.expire(poll, earliest);
        }
        let key = self.next_key;
        self.next_key = self.next_key.wrapping_add(1);
        let mut connection = Connection::new(socket)?;
        connection.send(&self.hello, Vec::new()).map_err(io::Error::other)?;
        poll.add(&connection, Token::Client(key), Interest::Read)?;
        self.clients.push(Client {
            key,
            connection,
            standing: Standing::Newcomer { hello_by: clock::now() + HELLO_PATIENCE },
            has_more: false,
            waits_to_write: false,
        });
        Ok(())
    }

    /// Sends what waits and returns what a client said.
    pub(crate) fn ready(&mut self, poll: &Poll, key: u32) -> Vec<Said> {
        let Some(index) = self.clients.iter().position(|client| client.key == key) else {
            return Vec::new();
        };
        let client = &mut self.clients[index];
        let mut said = Vec::new();
        match client.flush(poll).and_then(|()| client.read(&self.hello, &mut said)) {
            Ok(true) => {}
            Ok(false) => self.drop_at(poll, index, None),
            Err(error) => self.drop_at(poll, index, Some(&error)),
        }
        if let Some(Said::Hello { .. }) = said.first()
            && !self.admit(poll, key)
        {
            said.clear();
        }
        said
    }

    /// Finds a place for a client that has said hello; returns whether there is one.
    fn admit(&mut self, poll: &Poll, key: u32) -> bool {
        let others = || self.clients.iter().filter(|client| client.key != key);
        let greeted = others().filter_map(|client| match client.standing {
            Standing::Greeted { role, heard_at } => {
                Some((role == Role::Agent, heard_at, client.key))
            }
            Standing::Newcomer { .. } => None,
        });
        let greeted: Vec<_> = greeted.collect();
        if greeted.len() < MAX_CLIENTS {
            return true;
        }
        let reason = format!("{MAX_CLIENTS} clients are the most of one shim");
        if self.clients.iter().any(|client| client.key == key && client.is_agent()) {
            if let Some((.., silent)) = greeted.into_iter().min() {
                self.turn_away(poll, silent, format!("{reason}, and an agent came"));
            }
            return true;
        }
        self.turn_away(poll, key, reason);
        false
    }

    fn turn_away(&mut self, poll: &Poll, key: u32, reason: String) {
        let Some(index) = self.clients.iter().position(|client| client.key == key) else { return };
        let why = io::Error::other(reason.clone());
        // One that does not even read this is no loss.
        let _ = self.clients[index].connection.send(&Message::TurnedAway { reason }, Vec::new());
        self.drop_at(poll, index, Some(&why));
    }

    /// Returns the clients that are to be read again without waiting.
    pub(crate) fn with_more(&self) -> Vec<u32> {
        self.clients.iter().filter(|client| client.has_more).map(|client| client.key).collect()
    }

    /// Drops who has not said hello in time.
    pub(crate) fn expire(&mut self, poll: &Poll, now: Duration) {
        let is_due = |client: &Client| client.hello_by().is_some_and(|by| by <= now);
        while let Some(index) = self.clients.iter().position(is_due) {
            self.drop_at(poll, index, Some(&io::Error::other("it did not say hello")));
        }
    }

    /// Returns when [`Clients::expire`] is to be called.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.clients.iter().filter_map(Client::hello_by).min()
    }

    /// Sends a message to one client.
    pub(crate) fn send(
        &mut self,
        poll: &Poll,
        key: u32,
        message: &Message,
        fds: &[BorrowedFd<'_>],
    ) {
        if let Some(index) = self.clients.iter().position(|client| client.key == key)
            && let Err(error) = self.clients[index].send(poll, message, fds)
        {
            self.drop_at(poll, index, Some(&error));
        }
    }

    /// Sends a message to all that have said hello.
    pub(crate) fn broadcast(&mut self, poll: &Poll, message: &Message, fds: &[BorrowedFd<'_>]) {
        for index in (0..self.clients.len()).rev() {
            if self.clients[index].hello_by().is_none()
                && let Err(error) = self.clients[index].send(poll, message, fds)
            {
                self.drop_at(poll, index, Some(&error));
            }
        }
    }

    /// Returns whether something that was sent has not gone out.
    pub(crate) fn are_behind(&self) -> bool {
        self.clients.iter().any(|client| client.connection.wants_write())
    }

    fn drop_at(&mut self, poll: &Poll, index: usize, why: Option<&io::Error>) {
        let client = self.clients.swap_remove(index);
        poll.remove(&client.connection);
        if let Some(why) = why {
            note(&format!("a client was dropped: {why}"));
        }
    }
}

impl Client {
    /// Returns until when it may still say hello, if it has not.
    fn hello_by(&self) -> Option<Duration> {
        match self.standing {
            Standing::Newcomer { hello_by } => Some(hello_by),
            Standing::Greeted { .. } => None,
        }
    }

    fn is_agent(&self) -> bool {
        matches!(self.standing, Standing::Greeted { role: Role::Agent, .. })
    }

    fn send(&mut self, poll: &Poll, message: &Message, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.connection.send(message, duplicate(fds)?).map_err(io::Error::other)?;
        self.arm(poll)
    }

    fn flush(&mut self, poll: &Poll) -> io::Result<()> {
        self.connection.flush().map_err(io::Error::other)?;
        self.arm(poll)
    }

    /// Waits for the socket to take more only while there is more.
    fn arm(&mut self, poll: &Poll) -> io::Result<()> {
        let wants = self.connection.wants_write();
        if wants != self.waits_to_write {
            self.waits_to_write = wants;
            let interest = if wants { Interest::ReadWrite } else { Interest::Read };
            poll.change(&self.connection, Token::Client(self.key), interest)?;
        }
        Ok(())
    }

    /// Reads what is there; false when the client has closed.
    fn read(&mut self, ours: &Hello, said: &mut Vec<Said>) -> io::Result<bool> {
        self.has_more = false;
        let heard_at = clock::now();
        let role = match self.standing {
            Standing::Greeted { role, .. } => role,
            Standing::Newcomer { .. } => {
                match self.connection.receive::<Hello>().map_err(io::Error::other)? {
                    Received::Message(theirs, _) => {
                        ours.agree(&theirs).map_err(io::Error::other)?;
                        if theirs.role != Role::Command {
                            theirs.expect_role(Role::Agent).map_err(io::Error::other)?;
                        }
                        said.push(Said::Hello { client: self.key });
                        theirs.role
                    }
                    Received::Pending => return Ok(true),
                    Received::Closed => return Ok(false),
                }
            }
        };
        self.standing = Standing::Greeted { role, heard_at };
        for _ in 0..REQUESTS_PER_TURN {
            match self.connection.receive::<Numbered>().map_err(io::Error::other)? {
                Received::Message(request, fds) => {
                    let request = Box::new(request);
                    said.push(Said::Request { client: self.key, request, fds });
                }
                Received::Pending => return Ok(true),
                Received::Closed => return Ok(false),
            }
        }
        self.has_more = true;
        Ok(true)
    }
}
