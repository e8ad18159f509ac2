//! What runs in a machine: the program [`ENTER`](crate::machine::ENTER).
//!
//! ```text
//! kitchen-enter DIRECTORY exec [--user U] [--directory D] [--login] -- COMMAND…
//! kitchen-enter DIRECTORY skep WORDS…
//! ```
//!
//! The first becomes a program of the machine. The second is `skep` itself, whose code came along: its caller goes
//! on with the words as if they were its command line. Either way the environment is constructed, the same for
//! everything in the machine ([`environment`]); of the caller's only TERM is kept.
//!
//! Exit codes are the program's own; 126 and 127 are what a shell says of one that cannot be started, 69 that there is
//! no machine.

mod account;
mod program;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use crate::machine::{self, Foreground, Machine, NEIGHBOUR, OUTSIDE_PORT, SHARED, Setup};

/// Where programs are looked for; last among what the host shares, where `skep` is.
const SEARCH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/skep/bin";

/// How a process that went in goes on.
#[derive(Debug)]
pub enum Entered {
    /// Not at all: it failed, and said why.
    Ended(ExitCode),
    /// As `skep` with this command line.
    Skep(Vec<OsString>),
}

/// Goes into a machine and does what the words say; they are those behind
/// [`ENTER`](crate::machine::ENTER). Must be called while the process has one thread.
pub fn go(words: &[OsString]) -> Entered {
    match try_go(words) {
        Ok(words) => Entered::Skep(words),
        Err((code, text)) => {
            let text = format!("error: {text}\n");
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
            Entered::Ended(ExitCode::from(code))
        }
    }
}

fn try_go(words: &[OsString]) -> Result<Vec<OsString>, (u8, String)> {
    let usage = || (64, "kitchen-enter is not a command".to_owned());
    let [directory, mode, rest @ ..] = words else { return Err(usage()) };
    let failed = |error: disk::DiskError| (1, report::chain(&error).join(": "));
    let machine = Machine::find(Path::new(directory)).map_err(failed)?;
    let machine = machine.ok_or_else(|| (69, "the machine does not run".to_owned()))?;
    let setup = machine.setup().map_err(failed)?;
    match mode.to_str() {
        Some("skep") => {
            machine::enter(&machine, Foreground::Shared).map_err(failed)?;
            Ok(rest.to_vec())
        }
        Some("exec") => {
            let program = program::Program::parse(rest).ok_or_else(usage)?;
            machine::enter(&machine, program.foreground()).map_err(failed)?;
            Err(program.run(&setup))
        }
        _ => Err(usage()),
    }
}

/// Returns a user of the machine that this process is in.
pub(crate) fn account(name: &str) -> Result<account::Account, String> {
    account::Account::find(name)
}

/// Returns the variables of root in a machine.
pub fn environment(setup: &Setup) -> Vec<(String, String)> {
    let mut variables = vec![
        ("PATH".to_owned(), SEARCH.to_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("SKEP_HOME".to_owned(), format!("/{SHARED}/home")),
    ];
    for (name, value) in
        [("HOME", "/root"), ("USER", "root"), ("LOGNAME", "root"), ("SHELL", "/bin/sh")]
    {
        variables.push((name.to_owned(), value.to_owned()));
    }
    if setup.outside {
        let proxy = format!("http://{NEIGHBOUR}:{OUTSIDE_PORT}");
        for name in ["http_proxy", "https_proxy", "HTTPS_PROXY"] {
            variables.push((name.to_owned(), proxy.clone()));
        }
        for name in ["no_proxy", "NO_PROXY"] {
            variables.push((name.to_owned(), format!("localhost,127.0.0.1,::1,{NEIGHBOUR}")));
        }
    }
    variables
}
