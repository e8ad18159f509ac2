//! The skep command.
//!
//! `skep <namespace>:<action>`: [`arguments`] is the command line, [`commands`] has one file for
//! each command, everything they share is one module each.

mod arguments;
mod change;
mod client;
mod commands;
mod configure;
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

use std::ffi::OsString;
use std::process::ExitCode;

use kitchen::inside::Entered;

use crate::error::Error;

fn main() -> ExitCode {
    // Not commands but the other programs in this executable: before anything is parsed or opened.
    let line: Vec<OsString> = std::env::args_os().collect();
    let line = match line.get(1).and_then(|word| word.to_str()) {
        Some("shim") => return parts::shim(line[2..].to_vec()),
        Some("proxy") => return parts::proxy(line[2..].to_vec()),
        Some(kitchen::machine::KEEPER) => return kitchen::machine::keep(&line[2..]),
        // It comes back as a command line of ours, in a machine, or not at all.
        Some(kitchen::machine::ENTER) => match kitchen::inside::go(&line[2..]) {
            Entered::Skep(line) => line,
            Entered::Ended(code) => return code,
        },
        _ => line,
    };
    let cli = match arguments::parse(line) {
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
