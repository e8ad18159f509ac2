//! What the end-to-end tests and the benchmarks share.
//!
//! - [`TempHome`]: an installation of its own that leaves nothing behind, whatever the test did.
//! - [`Skep`]: the real binary in that installation, with an environment that is constructed.
//! - [`Load`]: an open-loop stream of requests that never forgives, and a [`Report`] of it.
//! - [`Ledger`]: what the app really executed, to prove that nothing was done twice.
//! - [`apps`]: small real apps that keep a ledger and number what they say.
//! - [`wait_until`]: waiting for a level.
//!
//! It judges the product, so it shares none of its code where that would make both wrong in the
//! same way: the response parser here is its own.
//!
//! Everything here panics when a test should fail; nothing returns an error to be handled.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stderr, reason = "what could not be cleaned up is said, not hidden")]

pub mod apps;
mod home;
mod ledger;
mod load;
mod processes;
mod skep;
mod wait;

#[cfg(test)]
mod tests;

pub use home::TempHome;
pub use ledger::{Ledger, Verdict};
pub use load::{Kind, Load, Report, Running, Sample, Writes};
pub use processes::{Found, processes_naming};
pub use skep::{Output, Program, Skep};
pub use wait::{wait_for, wait_until};
