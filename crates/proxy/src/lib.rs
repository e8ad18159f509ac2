//! The node's HTTP edge: routes, retries, holds, acknowledges.
//!
//! A process of its own under its own shim, which holds the public sockets. It serves from its
//! last-known-good file whether an agent is there or not; the agent connects to its control socket
//! and sends whole route tables ([`control::proxy`]).
//!
//! # What it guarantees
//!
//! - It accepts once it has a table, from its file or from the agent; until then clients wait in the
//!   backlog.
//! - After `applied R` no request starts on an endpoint outside R (`endpoint` says how). The
//!   file was written before.
//! - `drained` is said when an endpoint is in no table and nothing is in flight there, and then
//!   nothing will be.
//! - A request is sent again only if the slot cannot have read it, or if its method makes that
//!   harmless (`retry` has the table); never after a byte of an answer went to the client.
//! - A response that is not whole is seen to be so: its connection is reset.
//! - When no slot can take a request it waits, bounded in number, bytes and time (`hold`).
//! - Each answer of its own has a [`Reason`], and a log line with the same request id.
//! - Requests on one connection are answered in order; bodies stream both ways with back-pressure.
//!
//! # It is not
//!
//! a cache, a file server, a balancer between machines, a TLS endpoint (yet), or a judge of
//! readiness: which endpoint is ready is said by the agent.
//!
//! # Code map
//!
//! `process` and `run` start everything; `agent` and `apply` are the control side;
//! `worker` accepts. One connection is `client`, one request `serve`, one attempt
//! `exchange`, its answer `reply` and then `relay`. `limits` has every bound.

mod agent;
mod answer;
mod apply;
mod body;
mod buffer;
mod client;
mod endpoint;
mod exchange;
mod head;
mod hold;
mod inherit;
mod lastgood;
mod limits;
mod log;
mod outbound;
mod process;
mod reason;
mod relay;
mod reply;
mod request;
mod retry;
mod run;
mod serve;
mod service;
mod shared;
mod table;
mod tracker;
mod tunnel;
mod upstream;
mod wait;
mod worker;

pub use inherit::InheritError;
pub use limits::Limits;
pub use process::main;
pub use reason::Reason;
pub use run::{Config, Proxy, ProxyError, run};

/// Reads arbitrary bytes as a last-known-good file, for the fuzzer.
#[doc(hidden)]
pub fn fuzz_routes(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = lastgood::decode(text, "boot", "installation");
    }
}
