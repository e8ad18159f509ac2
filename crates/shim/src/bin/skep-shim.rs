//! The keeper of one service's processes; see the `shim` crate for what it promises.
//!
//! `skep-shim --directory DIR --socket PATH --service APP/SERVICE --installation ID [--cgroup BASE]`
//!
//! Exit codes: 0 asked to end; 1 failed, see standard error; 6 another shim keeps the service;
//! 64 usage.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(shim::main(std::env::args_os().skip(1)))
}
