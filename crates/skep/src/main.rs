//! The skep command.
//!
//! `skep <namespace>:<action>`: [`arguments`] is the command line, [`commands`] has one file for
//! each command, everything they share is one module each.

mod arguments;
mod change;
mod client;
mod commands;
mod context;
mod doctor;
mod error;
mod execute;
mod interrupt;
mod output;
mod parts;
mod place;
mod reference;
mod render;
mod source;
mod terminal;
mod unit;
mod which;
mod who;

use std::process::ExitCode;

use crate::error::Error;

fn main() -> ExitCode {
    // Not commands but the other programs in this executable: before anything is parsed or opened.
    let mut words = std::env::args_os().skip(1);
    match words.next().as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("shim") => return parts::shim(words.collect()),
        Some("proxy") => return parts::proxy(words.collect()),
        _ => {}
    }
    let cli = match arguments::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let context = match cli.global.context() {
        Ok(context) => context,
        Err((output, error)) => return ended(&output, Err(error)),
    };
    let result = commands::run(cli.command, &context);
    ended(&context.output, result)
}

fn ended(output: &output::Output, result: error::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(Error::ReaderGone) => ExitCode::SUCCESS,
        Err(Error::Failure(failure)) => {
            output.failure(&failure);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}
