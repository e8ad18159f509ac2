//! The agent's HTTP interface, from the outside.
//!
//! One connection a request: they are cheap on a unix socket, and a stream's end is its
//! connection's end, which for `skep up` is what the agent drains on. The socket is held by the
//! agent's shim, so that dialling succeeds while the agent starts or is replaced, and the request
//! waits for it; how long is bounded by [`REPLY_MAX`].

mod lines;
mod request;
pub(crate) mod start;
mod target;

pub(crate) use lines::{Lines, parse};
pub(crate) use request::Client;
pub(crate) use target::target;

use std::time::Duration;

/// How long an answer may take to begin. Nothing the agent does before it answers takes minutes
/// (builds are streams), an agent that is being replaced is back within seconds.
pub(crate) const REPLY_MAX: Duration = Duration::from_secs(120);

/// For what lasts as long as requests and processes of apps may take to end: the answer is waited for
/// while the connection lives.
pub(crate) const REPLY_EVER: Duration = Duration::MAX;

/// After how long a person is told that we wait.
const REPLY_SLOW: Duration = Duration::from_secs(2);

/// Largest answer that is not a stream; lists of thousands of releases are far below it.
const REPLY_MAX_BYTES: usize = 16 << 20;

/// Longest line of a stream: a log line of 64 KiB, escaped, with room.
const LINE_MAX_BYTES: usize = 1 << 20;
