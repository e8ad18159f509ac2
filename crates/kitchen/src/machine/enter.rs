//! Going into a machine.
//!
//! The caller's process moves into the machine's namespaces and forks, because a process id
//! namespace is entered by children only. The parent stays outside, passes signals on and ends as
//! the child does. No program of the machine is needed to go in: a tree with another C library, or
//! with none, is entered like any other.

use std::os::fd::AsFd;
use std::path::Path;

use disk::{DiskError, PathContext};
use rustix::process::{Pid, Signal, WaitOptions, waitpid};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use super::{Machine, init};

/// The first word of the command line of a process that goes into a machine.
pub const ENTER: &str = "kitchen-enter";

/// Whose the terminal is while somebody is in the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreground {
    /// Caller and child are one job of the caller's shell.
    Shared,
    /// The child's own, so that a shell in the machine controls jobs; the caller takes it back afterwards.
    Own,
}

/// Signals that are passed on to the child.
const PASSED_ON: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// Goes into a machine. Returns in a child of the calling process that is in the machine, at its
/// root directory; the calling process itself only waits for it and ends with its status.
///
/// Must be called while the process has one thread.
pub fn enter(machine: &Machine, foreground: Foreground) -> Result<(), DiskError> {
    let directory = machine.directory();
    let namespaces = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::PROCESS_ID
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::NETWORK
        | ThreadNameSpaceType::CONTROL_GROUP;
    join_leaf(machine.init());
    move_into_thread_name_spaces(machine.init.as_fd(), namespaces).context("enter", directory)?;
    rustix::process::chdir("/").context("enter", Path::new("/"))?;
    let signals = block();
    #[expect(unsafe_code, reason = "no safe wrapper for fork")]
    // SAFETY: the process has one thread, so the child misses nobody who might hold a lock.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(DiskError::new("enter", directory, std::io::Error::last_os_error())),
        0 => {
            if foreground == Foreground::Own {
                let _ = rustix::process::setpgid(None, None);
                take_terminal();
            }
            unblock(&signals);
            Ok(())
        }
        pid => wait_for(pid, &signals, foreground),
    }
}

/// Makes the caller's process group that of the terminal, if there is one. SIGTTOU is blocked.
fn take_terminal() {
    let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), rustix::process::getpgrp());
}

/// Moves into the machine's cgroup, so that what is started there counts as the machine's.
fn join_leaf(init: u32) {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{init}/cgroup")) else { return };
    let Some(path) = text.lines().find_map(|line| line.strip_prefix("0::")) else { return };
    if let Ok(mount) = cgroup::Mount::find() {
        let leaf = mount.path.join(path.trim_start_matches('/')).join("cgroup.procs");
        // Killing process 1 ends whoever is in its namespaces, wherever their cgroup is.
        let _ = std::fs::write(leaf, "0");
    }
}

#[expect(unsafe_code, reason = "no safe wrapper for sigprocmask")]
fn block() -> libc::sigset_t {
    // SAFETY: the set lives for all calls and is initialised by the first.
    unsafe {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        // What a process of the background gets that takes the terminal.
        libc::sigaddset(set.as_mut_ptr(), libc::SIGTTOU);
        for signal in PASSED_ON {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        set.assume_init()
    }
}

#[expect(unsafe_code, reason = "no safe wrapper for sigprocmask")]
fn unblock(signals: &libc::sigset_t) {
    // SAFETY: the set is initialised and lives for the call.
    unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, signals, std::ptr::null_mut()) };
}

/// Waits for the child and ends as it did.
#[expect(unsafe_code, reason = "no safe wrapper for sigwaitinfo")]
fn wait_for(pid: i32, signals: &libc::sigset_t, foreground: Foreground) -> ! {
    let child = Pid::from_raw(pid);
    loop {
        if let Ok(Some((_, status))) = waitpid(child, WaitOptions::NOHANG) {
            if foreground == Foreground::Own {
                take_terminal();
            }
            // As a shell says it.
            init::end(
                status.exit_status().or(status.terminating_signal().map(|s| 128 + s)).unwrap_or(1),
            );
        }
        let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: both live for the call; the information is plain data.
        let (number, info) = unsafe {
            let number = libc::sigwaitinfo(signals, info.as_mut_ptr());
            (number, info.assume_init())
        };
        // What the terminal sends goes to the whole foreground group, the child included.
        if PASSED_ON.contains(&number)
            && info.si_code != libc::SI_KERNEL
            && let (Some(child), Some(signal)) = (child, Signal::from_named_raw(number))
        {
            let _ = rustix::process::kill_process(child, signal);
        }
    }
}
