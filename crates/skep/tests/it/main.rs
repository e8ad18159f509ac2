//! The real binary in a home of its own.
//!
//! Whatever needs no agent is tested as it is. What the command makes of an agent's answers is
//! tested against a scripted one ([`scripted`]): answers that are hard to get from a real agent at
//! a given moment, such as its death in the middle of a deploy.
//!
//! End to end, with real agents, proxies and servers: [`load`] and [`kills`].

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alone;
mod bad_days;
mod comes_up;
mod commands;
mod configure;
mod context;
mod deploys;
mod documents;
mod kills;
mod kitchen;
mod lists;
mod load;
mod nodes;
mod own_socket;
mod plans;
mod programs;
mod readme;
mod reference;
mod scene;
mod scripted;
mod starters;
mod support;
mod upgrade;
mod waiting;
