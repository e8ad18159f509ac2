//! The commands of this repository.
//!
//! Needs nothing but cargo: no crate outside std, so that the first command on a fresh machine is
//! compiled in a second and can say what else is missing ([`needs`]).

// A program that people run by hand: it prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod check;
mod demo;
#[cfg(test)]
mod fuzz;
mod http;
mod interrupt;
mod lint;
mod needs;
mod ordinary_user;
mod place;
mod session;
mod step;
mod test;

use std::process::ExitCode;

use step::Stop;

const USAGE: &str = "\
cargo xtask COMMAND

  demo [--listen ADDR]  build, run `skep up examples/guestbook`, print its address; Ctrl-C ends it
  demo --check          the same and a whole life after it, unattended: deploy, break, roll back, remove
  test [FILTER…]        all tests; as root, once more as an ordinary user
  bench [NAME…]         measurements beside a peer; without a name all of them
  lint                  formatting, clippy, documentation
  ci                    lint, test, demo --check
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        [] | ["help" | "--help" | "-h"] | [_, "--help" | "-h"] => help(),
        ["demo"] => demo::run(&[]),
        ["demo", "--listen", address] => demo::run(&["--listen", address]),
        ["demo", "--check"] => check::run(),
        ["test", filters @ ..] => test::run(filters),
        ["bench", names @ ..] => bench::run(names),
        ["lint"] => lint::run(),
        ["ci"] => lint::run().and_then(|()| test::run(&[])).and_then(|()| check::run()),
        _ => Err(Stop::Usage(format!("unknown command `{}`\n\n{USAGE}", words.join(" ")))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            if !matches!(stop, Stop::Said(_)) {
                eprintln!("error: {stop}");
            }
            stop.exit_code()
        }
    }
}

fn help() -> Result<(), Stop> {
    step::say(format_args!("{USAGE}\nmeasurements: {}", bench::names()?));
    Ok(())
}
