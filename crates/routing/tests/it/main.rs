//! The router with real proxies on real sockets, two of them at once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod node;
mod two_proxies;
