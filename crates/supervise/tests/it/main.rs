//! Real shims with real processes, each killed in every way that matters.

// `allow-unwrap-in-tests` knows of test functions only, not of what they share.
#![allow(clippy::unwrap_used)]

mod agent_restart;
mod bootstrap;
mod fixture;
mod hung;
mod odd_peers;
mod shim_death;
mod slots;
