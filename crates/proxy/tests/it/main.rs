//! The proxy over its real control socket, real listeners and real upstream sockets.
//!
//! Upstreams are scripted threads that speak raw bytes, because what matters here is what real
//! servers do on bad days: reset, vanish, refuse, say nothing.

#![allow(clippy::unwrap_used)] // also in what the tests share

mod control_side;
mod forwarding;
mod holding;
mod interim;
mod malformed;
mod patience;
mod process;
mod retries;
mod rig;
mod streaming;
mod upstream;
