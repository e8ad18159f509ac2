//! `http_check`: goes on when a URL answers as it should, and fails when it does not in time.
//!
//! Plain HTTP/1.1, one `GET` a try, no redirects: it asks a server of this machine or its network
//! whether it is up. It changes nothing.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use http1::{Collected, ResponseCollector};
use resource::{Action, Declaration, Properties, Property, Relations, Schema, Shape};
use serde::Serialize;

use crate::change::{Change, Difference, Mark};
use crate::kind::{Context, Kind, Record, Resource, Undoing};
use crate::kinds::equal_strength;
use crate::kinds::wait_for::{CONNECT_TIMEOUT, DEADLINE, LOOK_EVERY};
use crate::problem::Problem;
use crate::shadow::{Foresight, View};

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Most of a body that is looked at.
const MAX_BODY_BYTES: usize = 1 << 20;

const fn property(name: &'static str, shape: Shape, text: &'static str) -> Property {
    Property { name, shape, required: false, secret: false, text }
}

static SCHEMA: Schema = Schema {
    kind: "http_check",
    summary: "Waits until a URL answers.",
    idempotence: "The URL is asked once; if it answers as it should, there is nothing to do.",
    undo: "Nothing: it makes nothing.",
    named: "url",
    actions: &[Action { name: "check", text: "Waits until it answers as it should." }],
    properties: &[
        property("url", Shape::Text, "An `http://` URL."),
        property("status", Shape::Count, "The status it must answer; 200 if nothing is said."),
        property("contains", Shape::Text, "Text that the body must have."),
        property("deadline", Shape::Duration, "How long to wait; a minute if nothing is said."),
    ],
    relations: |_| Relations::default(),
};

/// The kind.
pub(super) static KIND: Kind = Kind {
    schema: &SCHEMA,
    check: |declaration| {
        let url = Properties(declaration).named(&SCHEMA);
        Url::parse(url).map(drop).ok_or_else(|| format!("`{url}` is no `http://` URL"))
    },
    bind: |declaration, _| Box::new(Check::of(declaration)),
    undoing: |_, _| Ok(Undoing::default()),
    undo: |_, _| Ok(()),
    strength: equal_strength,
    records: "http_check",
    timeout: DEADLINE,
};

/// A URL's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Url<'a> {
    authority: &'a str,
    host: &'a str,
    port: u16,
    target: &'a str,
}

impl<'a> Url<'a> {
    fn parse(url: &'a str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let (authority, target) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let clean = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        if !http1::is_authority(authority.as_bytes()) || !clean(target) {
            return None;
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (authority, 80),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self { authority, host, port, target })
    }

    /// Asks once.
    fn ask(self) -> Result<Collected, String> {
        let text = |error: std::io::Error| error.to_string();
        let addresses = (self.host, self.port).to_socket_addrs().map_err(text)?;
        let mut stream = Err("the host has no address".to_owned());
        for address in addresses {
            stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).map_err(text);
            if stream.is_ok() {
                break;
            }
        }
        let mut stream = stream?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(text)?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT)).map_err(text)?;
        let head = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: skep\r\nConnection: close\r\n\r\n",
            self.target, self.authority
        );
        stream.write_all(head.as_bytes()).map_err(text)?;
        let mut collector = ResponseCollector::new("GET", MAX_BODY_BYTES);
        let mut buffer = [0; 8 << 10];
        let end = Instant::now() + ANSWER_TIMEOUT;
        while Instant::now() < end {
            let count = stream.read(&mut buffer).map_err(text)?;
            let done = count == 0
                || collector.feed(&buffer[..count]).map_err(|error| error.to_string())?;
            if done {
                return collector.end().map_err(|error| error.to_string());
            }
        }
        Err(format!("the answer was not whole after {ANSWER_TIMEOUT:?}"))
    }
}

struct Check<'a> {
    url: &'a str,
    status: u16,
    contains: Option<&'a str>,
    deadline: Duration,
}

/// What is not as it should be; nothing: all is.
#[derive(Debug, Serialize)]
struct State(Option<String>);

impl<'a> Check<'a> {
    fn of(declaration: &'a Declaration) -> Self {
        let properties = Properties(declaration);
        let status = properties.count("status").and_then(|status| u16::try_from(status).ok());
        let deadline = properties.duration_ms("deadline").map(Duration::from_millis);
        Self {
            url: properties.named(&SCHEMA),
            status: status.unwrap_or(200),
            contains: properties.text("contains"),
            deadline: deadline.unwrap_or(DEADLINE),
        }
    }

    fn ask(&self) -> State {
        let answer = match Url::parse(self.url).map(Url::ask) {
            None => return State(Some("no URL".to_owned())),
            Some(Err(problem)) => return State(Some(problem)),
            Some(Ok(answer)) => answer,
        };
        if answer.status != self.status {
            return State(Some(format!("it answers {}, not {}", answer.status, self.status)));
        }
        let body = String::from_utf8_lossy(&answer.body);
        match self.contains.filter(|text| !body.contains(text)) {
            Some(text) => State(Some(format!("its body does not have `{text}`"))),
            None => State(None),
        }
    }
}

impl Resource for Check<'_> {
    type State = State;

    fn read(&self, _: View<'_>) -> Result<State, Problem> {
        Ok(self.ask())
    }

    fn diff(&self, have: &State) -> Difference {
        match &have.0 {
            None => Difference::none(),
            Some(problem) => Difference::of(Mark::Run, vec![Change::said(problem.clone())]),
        }
    }

    fn left(&self, _: &State) -> Difference {
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

    fn apply(&self, _: &State, _: &mut Context<'_>) -> Result<(), Problem> {
        let end = Instant::now() + self.deadline;
        while let State(Some(problem)) = self.ask() {
            if Instant::now() >= end {
                let (url, deadline) = (self.url, self.deadline);
                return Err(Problem::Refused(format!("`{url}` after {deadline:?}: {problem}")));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let parts = |url| Url::parse(url).map(|url| (url.host, url.port, url.target));
        assert_eq!(parts("http://localhost:8080/up?x=1"), Some(("localhost", 8080, "/up?x=1")));
        assert_eq!(parts("http://[::1]:81"), Some(("::1", 81, "/")));
        assert_eq!(parts("http://example.org"), Some(("example.org", 80, "/")));
        for bad in ["https://x", "http://", "http://x/ y", "http://x/\r\n", "http://u@x/", "x"] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }
}
