//! The real binary, over its real socket, with real processes.
//!
//! Each test runs twice where it matters: with cgroups (where this machine has them for this user;
//! else it says so) and with sessions. Waits are for levels, with a deadline that only a defect
//! reaches.

// A test's helper may panic and print as its test may.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod adopt;
mod child;
mod client;
mod fixture;
mod full_disk;
mod life;
mod listeners;
mod logs;
mod no_descriptors;
mod notify;
mod odd_clients;
mod old_kernel;
mod process_socket;
mod protocol;
mod refuse;
mod stop;
