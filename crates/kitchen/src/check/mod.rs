//! Checks: what must hold in a machine, declared like resources and looked at from inside.
//!
//! A check is a [`Declaration`] of one of the [`kinds`], written in Starlark in `checks/*.star`. Each is looked at
//! until it holds or its deadline is over (`timeout`, 10 s if nothing is said): a service that needs a moment passes as
//! soon as it is there, and one that never comes fails with what was seen last. Nothing is changed, but by `command`.
//! What cannot be tried here is *not tested*, which is neither passed nor failed.

mod command;
mod file;
mod http;
mod log_line;
mod package;
mod port;
mod process;

use std::time::{Duration, Instant};

use resource::{Declaration, Property, Relations, Schema, Shape};
use serde::{Deserialize, Serialize};

/// How long a check may take to hold if nothing is said: a service that is slower says so.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// Largest file that a check reads.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// A kind of check.
pub struct Kind {
    /// What it takes.
    pub schema: &'static Schema,
    /// Looks once, until a deadline at most.
    look: fn(&Declaration, Instant) -> Result<(), Miss>,
}

/// Why a look did not find what must hold.
#[derive(Debug, PartialEq, Eq)]
enum Miss {
    /// It may still come.
    NotYet(String),
    /// It can neither hold nor fail here.
    NotTested(String),
}

/// Returns all kinds of checks.
pub fn kinds() -> &'static [Kind] {
    static KINDS: [Kind; 7] = [
        Kind { schema: &port::SCHEMA, look: port::look },
        Kind { schema: &http::SCHEMA, look: http::look },
        Kind { schema: &file::SCHEMA, look: file::look },
        Kind { schema: &process::SCHEMA, look: process::look },
        Kind { schema: &package::SCHEMA, look: package::look },
        Kind { schema: &command::SCHEMA, look: command::look },
        Kind { schema: &log_line::SCHEMA, look: log_line::look },
    ];
    &KINDS
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Which, `port[80]`.
    pub check: String,
    /// Where it stands.
    pub place: Option<String>,
    /// How it ended.
    pub verdict: Verdict,
    /// Why it did not pass: what was seen last.
    pub reason: Option<String>,
    /// How long it took to hold, or not to.
    pub took_ms: u64,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It did not hold in its time.
    Failed,
    /// It can neither hold nor fail here.
    NotTested,
}

/// Looks at a check until it holds or its deadline is over.
pub fn run(check: &Declaration) -> Checked {
    let begun = Instant::now();
    let patience = check.timeout_ms.map_or(PATIENCE, Duration::from_millis);
    let (verdict, reason) = match refusal(check) {
        Some(reason) => (Verdict::Failed, Some(reason)),
        None => match hold(check, begun + patience) {
            Ok(()) => (Verdict::Passed, None),
            Err(Miss::NotYet(reason)) => (Verdict::Failed, Some(reason)),
            Err(Miss::NotTested(reason)) => (Verdict::NotTested, Some(reason)),
        },
    };
    Checked {
        check: check.id.to_string(),
        place: check.places.first().map(ToString::to_string),
        verdict,
        reason,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

/// What resources have and checks do not is not passed over.
fn refusal(check: &Declaration) -> Option<String> {
    let beyond = [
        ("a guard", !check.guards.is_empty()),
        ("notifications", !check.notifies.is_empty()),
        ("retries", check.retries > 0),
    ];
    let (what, _) = beyond.into_iter().find(|(_, there)| *there)?;
    Some(format!("a check cannot have {what}"))
}

fn hold(check: &Declaration, deadline: Instant) -> Result<(), Miss> {
    let kind = kinds().iter().find(|kind| kind.schema.kind == check.id.kind);
    let Some(kind) = kind else { return Err(Miss::NotTested("there is no such check".to_owned())) };
    let mut pause = PAUSE.0;
    let mut before = None;
    loop {
        let seen = match (kind.look)(check, deadline) {
            Err(Miss::NotYet(seen)) => seen,
            other => return other,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // The deadline cut this look short: the one before says more.
            return Err(Miss::NotYet(before.unwrap_or(seen)));
        }
        before = Some(seen);
        // Most of what is looked at tells nobody when it changes.
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Returns an error unless something holds.
fn must(holds: bool, seen: impl FnOnce() -> String) -> Result<(), Miss> {
    if holds { Ok(()) } else { Err(Miss::NotYet(seen())) }
}

const fn property(name: &'static str, shape: Shape, text: &'static str) -> Property {
    Property { name, shape, required: false, secret: false, text }
}

/// A kind of check: what all of them have in common.
const fn schema(
    kind: &'static str,
    summary: &'static str,
    named: &'static str,
    properties: &'static [Property],
) -> Schema {
    Schema {
        kind,
        summary,
        idempotence: "Looks until it holds or `timeout` is over.",
        undo: "Nothing: it changes nothing.",
        named,
        actions: &[resource::Action { name: "check", text: "Looks at it." }],
        properties,
        relations: |_| Relations { provides: Vec::new(), needs: Vec::new() },
    }
}

/// Returns text that is shown on one line, cut where it is long.
fn short(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    let line: String = text.trim().chars().take(MAX_CHARS).collect();
    line.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use resource::{Place, RecipeName, ResourceId, Value};

    pub(super) fn declaration(kind: &str, name: &str, given: &[(&str, Value)]) -> Declaration {
        let at = Place { file: "checks/a.star".into(), line: 3, column: 1 };
        let recipe = RecipeName::new("kitchen", "a");
        let mut declaration = Declaration::new(ResourceId::new(kind, name), "check", recipe, at);
        for (name, value) in given {
            declaration.properties.insert((*name).to_owned(), value.clone());
        }
        let kind = kinds().iter().find(|known| known.schema.kind == kind).unwrap();
        kind.schema.check(&declaration).unwrap();
        declaration.timeout_ms = Some(200);
        declaration
    }

    fn verdict(kind: &str, name: &str, given: &[(&str, Value)]) -> (Verdict, String) {
        let checked = run(&declaration(kind, name, given));
        (checked.verdict, checked.reason.unwrap_or_default())
    }

    #[test]
    fn files_are_compared_in_each_respect() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("motd");
        let name = path.to_str().unwrap();
        assert_eq!(verdict("file", name, &[]).0, Verdict::Failed);
        assert_eq!(verdict("file", name, &[("exists", Value::Bool(false))]).0, Verdict::Passed);
        std::fs::write(&path, "hello\n").unwrap();
        assert_eq!(
            verdict("file", name, &[("content", Value::text("hello\n"))]).0,
            Verdict::Passed
        );
        assert_eq!(verdict("file", name, &[("contains", Value::text("ell"))]).0, Verdict::Passed);
        let (failed, reason) = verdict("file", name, &[("mode", Value::text("0600"))]);
        assert_eq!((failed, reason.as_str()), (Verdict::Failed, "its mode is 0644, not 0600"));
    }

    #[test]
    fn a_port_that_opens_late_passes() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut check = declaration("port", &address.port().to_string(), &[]);
        check.timeout_ms = Some(20_000);
        let running = std::thread::spawn(move || run(&check));
        let listener = std::net::TcpListener::bind(address).unwrap();
        assert_eq!(running.join().unwrap().verdict, Verdict::Passed);
        drop(listener);
    }

    #[test]
    fn commands_are_judged_by_status_and_output() {
        let line = |line: &str| Value::text(line);
        assert_eq!(
            verdict("command", "echo hello", &[("contains", line("ell"))]).0,
            Verdict::Passed
        );
        let (failed, reason) = verdict("command", "exit 3", &[]);
        assert_eq!((failed, reason.as_str()), (Verdict::Failed, "it ended with status 3: "));
        assert_eq!(
            verdict("command", "exit 3", &[("status", Value::Integer(3))]).0,
            Verdict::Passed
        );
        let (failed, reason) = verdict("command", "sleep 600", &[]);
        assert_eq!((failed, reason.as_str()), (Verdict::Failed, "it did not end in time"));
    }

    #[test]
    fn an_answer_is_judged_by_status_and_body() {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/a", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let mut head = [0; 4096];
                let _ = client.read(&mut head);
                let _ = client.write_all(b"HTTP/1.0 404 Not Found\r\n\r\nnothing here");
            }
        });
        let status = ("status", Value::Integer(404));
        let body = ("contains", Value::text("nothing"));
        assert_eq!(verdict("http", &url, &[status, body]).0, Verdict::Passed);
        let (failed, reason) = verdict("http", &url, &[]);
        assert_eq!((failed, reason.as_str()), (Verdict::Failed, "it answered 404: nothing here"));
        assert_eq!(verdict("http", "https://x/", &[]).0, Verdict::NotTested);
    }
}
