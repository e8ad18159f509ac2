//! Real runs: files in a directory of their own, real programs, real kills.

// Outside of test functions too: a scene that cannot be made is a failed test.
#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stdout, reason = "figures for people")]

mod commands;
mod files;
mod gates;
mod kills;
mod ledgers;
mod lines;
mod machine;
mod notices;
mod plans;
mod scene;
mod speed;
mod troubles;
