//! `wait_for`: goes on when something is there, and fails when it does not come in time.
//!
//! It changes nothing. If what is waited for is there already, there is nothing to do; a plan looks
//! once and does not wait.

use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use resource::{Action, Declaration, Properties, Property, Relations, Schema, Shape};
use serde::Serialize;

use crate::change::{Change, Difference, Mark};
use crate::kind::{Context, Kind, Record, Resource, Undoing};
use crate::kinds::equal_strength;
use crate::problem::Problem;
use crate::shadow::{Foresight, Known, View};

/// How long is waited if nothing is said.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);
/// How long one connection may take: a plan must not hang at a host that does not answer.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How often is looked: what comes up on its own tells nobody.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

const fn property(name: &'static str, shape: Shape, text: &'static str) -> Property {
    Property { name, shape, required: false, secret: false, text }
}

static SCHEMA: Schema = Schema {
    kind: "wait_for",
    summary: "Waits until something is there.",
    idempotence: "What is waited for is looked at once; if it is there, there is nothing to do.",
    undo: "Nothing: it makes nothing.",
    named: "what",
    actions: &[
        Action { name: "present", text: "Waits until it is there." },
        Action { name: "absent", text: "Waits until it is gone." },
    ],
    properties: &[
        property("what", Shape::Text, "What it is, for people."),
        property("path", Shape::Path, "A path that has to exist."),
        property("socket", Shape::Path, "A unix socket that has to accept connections."),
        property("port", Shape::Count, "A TCP port that has to accept connections."),
        property("host", Shape::Text, "The port's host; `127.0.0.1` if nothing is said."),
        property("deadline", Shape::Duration, "How long to wait; a minute if nothing is said."),
    ],
    relations: |_| Relations::default(),
};

/// The kind.
pub(super) static KIND: Kind = Kind {
    schema: &SCHEMA,
    check: |declaration| {
        let properties = Properties(declaration);
        let given = ["path", "socket", "port"].iter().filter(|name| properties.get(name).is_some());
        let port = properties.count("port").is_none_or(|port| (1..=65535).contains(&port));
        match (given.count(), port) {
            (1, true) => Ok(()),
            (1, false) => Err("`port` must be from 1 to 65535".to_owned()),
            _ => Err("wait_for needs just one of `path`, `socket` and `port`".to_owned()),
        }
    },
    bind: |declaration, action| Box::new(Wait::of(declaration, action)),
    undoing: |_, _| Ok(Undoing::default()),
    undo: |_, _| Ok(()),
    strength: equal_strength,
    records: "wait_for",
    timeout: DEADLINE,
};

struct Wait<'a> {
    target: Target<'a>,
    deadline: Duration,
    absent: bool,
}

enum Target<'a> {
    Path(PathBuf),
    Socket(PathBuf),
    Port(&'a str, u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum State {
    There,
    Gone,
    Perhaps,
}

impl<'a> Wait<'a> {
    fn of(declaration: &'a Declaration, action: &str) -> Self {
        let properties = Properties(declaration);
        let path = |name| properties.text(name).map(PathBuf::from);
        let port = properties.count("port").and_then(|port| u16::try_from(port).ok());
        let host = properties.text("host").unwrap_or("127.0.0.1");
        let target = match (path("path"), path("socket")) {
            (Some(path), _) => Target::Path(path),
            (None, Some(socket)) => Target::Socket(socket),
            (None, None) => Target::Port(host, port.unwrap_or_default()),
        };
        let deadline = properties.duration_ms("deadline").map(Duration::from_millis);
        Self { target, deadline: deadline.unwrap_or(DEADLINE), absent: action == "absent" }
    }

    fn look(&self, view: View<'_>) -> Result<State, Problem> {
        let there = match &self.target {
            Target::Path(path) => match view.path(path)? {
                Known::Perhaps => return Ok(State::Perhaps),
                found => !matches!(found, Known::No),
            },
            Target::Socket(path) => answers(&view.host().real(path)),
            Target::Port(host, port) => accepts(host, *port),
        };
        Ok(if there { State::There } else { State::Gone })
    }

    fn is_good(&self, state: State) -> bool {
        state == if self.absent { State::Gone } else { State::There }
    }

    fn text(&self) -> String {
        match &self.target {
            Target::Path(path) | Target::Socket(path) => path.display().to_string(),
            Target::Port(host, port) => format!("{host}:{port}"),
        }
    }
}

fn answers(path: &Path) -> bool {
    UnixStream::connect(path).is_ok()
}

fn accepts(host: &str, port: u16) -> bool {
    let Ok(addresses) = (host, port).to_socket_addrs() else { return false };
    addresses
        .into_iter()
        .any(|address| TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).is_ok())
}

impl Resource for Wait<'_> {
    type State = State;

    fn read(&self, view: View<'_>) -> Result<State, Problem> {
        self.look(view)
    }

    fn diff(&self, have: &State) -> Difference {
        let what = if self.absent { "until it is gone: " } else { "until it is there: " };
        match self.is_good(*have) {
            true => Difference::none(),
            false => {
                Difference::of(Mark::Run, vec![Change::said(format!("{what}{}", self.text()))])
            }
        }
    }

    fn left(&self, _: &State) -> Difference {
        // It was there when it was waited for; whether it stays is another question.
        Difference::none()
    }

    fn foresee(&self, _: &State) -> Foresight {
        Foresight::default()
    }

    fn prepare(
        &self,
        _: &State,
        _: Option<&Record>,
        _: &mut Context<'_>,
    ) -> Result<Record, Problem> {
        Ok(Record::Null)
    }

    fn apply(&self, _: &State, context: &mut Context<'_>) -> Result<(), Problem> {
        let end = Instant::now() + self.deadline;
        while !self.is_good(self.look(View::live(context.host))?) {
            if Instant::now() >= end {
                let how = if self.absent { "is still there" } else { "is not there" };
                let text = format!("`{}` {how} after {:?}", self.text(), self.deadline);
                return Err(Problem::Refused(text));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}
