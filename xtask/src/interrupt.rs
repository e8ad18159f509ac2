//! Ctrl-C and what else asks us to end, as something that is looked at.
//!
//! From [`listen`] on, SIGINT, SIGTERM and SIGHUP end nothing by themselves: whoever started an
//! installation comes back from what it waits for and stops the installation first. Programs that
//! we run have the signals' defaults again; one in our process group gets the terminal's Ctrl-C as
//! we do, one in a group of its own gets what [`wait_passing_on`] passes on.
//!
//! Sound, without a crate that would have to be built first: the handler is a function that only
//! adds to an atomic counter, which is allowed at any instruction, and it is installed with the
//! `signal` of the C library, where on Linux it stays installed and system calls are restarted.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::step::Stop;

// The same on every architecture of Linux.
const SIGHUP: c_int = 1;
const SIGINT: c_int = 2;
const SIGKILL: c_int = 9;
const SIGTERM: c_int = 15;
const IGNORE: usize = 1;

/// Between two looks at whether a program has ended; what a person takes for at once.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

static SEEN: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" {
    fn signal(number: c_int, handler: usize) -> usize;
    safe fn kill(process: c_int, number: c_int) -> c_int;
}

extern "C" fn count(_: c_int) {
    SEEN.fetch_add(1, Ordering::Relaxed);
}

/// Begins to listen; cannot be ended. What was ignored when we were started, by `nohup` or a shell
/// that put us into the background, stays ignored.
pub(crate) fn listen() {
    let handler: extern "C" fn(c_int) = count;
    for number in [SIGINT, SIGTERM, SIGHUP] {
        // SAFETY: `count` has the type that a handler has and is async-signal-safe; "ignore" needs
        // nothing. An error is not possible: the numbers are valid.
        unsafe {
            if signal(number, handler as usize) == IGNORE {
                signal(number, IGNORE);
            }
        }
    }
}

/// Fails if we were asked to end.
pub(crate) fn check() -> Result<(), Stop> {
    if SEEN.load(Ordering::Relaxed) == 0 { Ok(()) } else { Err(Stop::Interrupted) }
}

/// Waits until a child in a process group of its own has ended. Each signal that we get, wherever it
/// came from, is passed on once, as SIGTERM: a program that we run has SIGINT ignored if we had.
pub(crate) fn wait_passing_on(child: &mut Child) -> io::Result<ExitStatus> {
    let mut passed_on = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if passed_on < SEEN.load(Ordering::Relaxed) {
            passed_on += 1;
            // It was not waited for, so the id is still its own.
            kill(child.id() as c_int, SIGTERM);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Kills a process, whoever started it. A pid that is gone is no failure.
pub(crate) fn kill_now(process: u32) {
    kill(process as c_int, SIGKILL);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    #[test]
    fn a_signal_is_remembered_and_passed_on() {
        listen();
        let mut child = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        assert_eq!(kill(std::process::id() as c_int, SIGHUP), 0);
        assert_eq!(kill(std::process::id() as c_int, SIGTERM), 0);
        let status = wait_passing_on(&mut child).unwrap();
        assert_eq!(status.signal(), Some(SIGTERM));
        assert!(matches!(check(), Err(Stop::Interrupted)));
    }
}
