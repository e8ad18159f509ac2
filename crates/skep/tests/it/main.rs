//! The real binary in a home of its own.
//!
//! Whatever needs no agent is tested as it is. What the command makes of an agent's answers is
//! tested against a scripted one ([`scripted`]): answers that are hard to get from a real agent at
//! a given moment, such as its death in the middle of a deploy. The agent itself is tested
//! elsewhere, end to end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alone;
mod context;
mod deploys;
mod lists;
mod programs;
mod reference;
mod scripted;
