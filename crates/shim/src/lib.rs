//! The keeper of one service's processes, sockets and logs.
//!
//! A shim is small, has one thread and no runtime, and outlives the agent. It is the parent of one
//! service's processes, holds their sockets, writes their logs, restarts what ends by itself and
//! stops what is asked to stop. What it understands is `control::shim`.
//!
//! # Guarantees
//!
//! * **Never two of one.** One live shim a service (a lock that a *stopped* shim holds too); one
//!   live process tree a slot: the next start waits until the kernel says that the tree of the last
//!   one is empty. A new shim finds what a killed one left and starts nothing in such a slot.
//! * **No lost connection.** A slot's listener is made here, outlives every restart of its process,
//!   and is duplicated to every client, the fd store; a new shim gets it back by `Adopt`. A process
//!   that binds a socket by itself finds its path free, whatever its predecessor left there.
//! * **No lost line.** Processes write to pipes that are reopened for reading and writing, so they
//!   never see EPIPE, and a byte leaves a pipe only after it was handed to the log's file: a line
//!   may be there twice after a shim was killed, never not at all. What the disk does not take is
//!   counted and marked; a full disk stops neither the shim nor a service.
//! * **No inherited surprise.** A process gets exactly the descriptors, environment, signal state,
//!   user and limits of its recipe ([`spawn`](self) is one file and explains itself).
//! * **Nothing waits.** Everything is bounded a turn of the loop; a flood of logs delays no request.
//!
//! # Refusing what nobody accepted
//!
//! A connection to a held listener succeeds though no process is alive, and then is silent. Its
//! sender cannot know whether to wait; and if it gives up and sends the request elsewhere, the next
//! process still accepts the closed connection and executes the request again. Decision: while a
//! slot's process is down for longer than an immediate restart (`Backoff`, `CrashLoop`, `Stopped`,
//! `Finished`, `Failed`), the shim accepts in its place and answers `REFUSED_RESPONSE`: nobody
//! executed this, send it elsewhere, whatever its method. At an immediate restart the connections
//! stay queued for the new process. Rejected: closing them (a close cannot be told from a process
//! that died while executing), `shutdown` of the listener (it is dead for every holder, for ever).
//! Shared listeners are never refused: the service's clients wait for its next process.
//!
//! # It is not
//!
//! a judge of health (it knows *alive*, `READY=1` and *ended*), a scheduler, or a reader of any
//! configuration; it has no state that its clients do not give it, but the journal.
//!
//! # Exit codes
//!
//! | code | meaning |
//! |---|---|
//! | 0 | asked to end, with no process left |
//! | 1 | could not start, or the kernel failed it; the reason is on standard error |
//! | 6 | another shim keeps this service |
//! | 64 | the command line is not understood |
//!
//! Its standard output is closed when it is at work: a starter that reads it waits for that, or for
//! the exit code. Later troubles go to `DIR/shim.log`.
//!
//! Signals do nothing to it. As the first process of a pid namespace it stops its slots at TERM and
//! INT, ends when all are empty, and passes other signals on.

mod accept;
mod address_holder;
mod capture;
mod clients;
mod clock;
mod command_line;
mod context;
mod holdings;
mod journal;
mod keeper;
mod lines;
mod notify;
mod output;
mod own_process;
mod peer;
mod poll;
mod process;
mod refuse;
mod requests;
mod restart;
mod slot;
mod sockets;
mod spawn;
mod startup;
mod steal;
mod survivors;
mod tree;

use std::ffi::OsString;
use std::io::Write as _;

#[doc(hidden)]
pub use journal::fuzz_journal;
#[doc(hidden)]
pub use lines::fuzz_lines;
#[doc(hidden)]
pub use notify::fuzz_notify;

use command_line::{CommandLine, USAGE};
use startup::ShimError;

/// Exit code: another shim keeps this service.
pub const EXIT_HELD: u8 = 6;

/// Exit code: the command line is not understood.
pub const EXIT_USAGE: u8 = 64;

/// Runs a shim by the arguments behind the program's name; returns its exit code.
///
/// To be called first thing in `main`: it takes over the whole process, closes every descriptor
/// above the standard ones, and needs it to have one thread.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let line = match CommandLine::parse(arguments) {
        Ok(line) => line,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "skep-shim: {error}\n{USAGE}");
            return EXIT_USAGE;
        }
    };
    match startup::run(&line) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "skep-shim: {}", requests::chain(&error));
            if matches!(error, ShimError::Held { .. }) { EXIT_HELD } else { 1 }
        }
    }
}
