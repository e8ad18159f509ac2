//! Ends processes that a build left behind.
//!
//! A step may start a daemon that leaves its process group. Every program of a build has
//! `SKEP_BUILD=<stage id>` in its environment, which its descendants inherit, so they are found in
//! `/proc` whoever their parent is now. One that empties its environment on purpose escapes; it
//! still cannot write into the artifact, which is copied into files it never had access to.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};

use crate::command::wait_readable;

/// The variable that marks a build's processes.
pub(crate) const MARK: &str = "SKEP_BUILD";

/// Times `/proc` is read again; a tree that forks faster than this kills is given up on.
const MAX_ROUNDS: usize = 32;
/// How long one killed process may take to be gone.
const KILL_WAIT: Duration = Duration::from_secs(5);
/// How much of a process's environment is searched; the mark is set by us, near the front.
const MAX_ENVIRONMENT_BYTES: u64 = 256 * 1024;

/// Kills every process marked with `stage`; returns how many there were.
pub(crate) fn kill(stage: &str) -> usize {
    let mark = format!("{MARK}={stage}");
    let mut killed = BTreeSet::new();
    for _ in 0..MAX_ROUNDS {
        let found = marked(mark.as_bytes());
        if found.is_empty() {
            break;
        }
        for (pid, pidfd) in &found {
            if rustix::process::pidfd_send_signal(pidfd, Signal::KILL).is_ok() {
                killed.insert(pid.as_raw_nonzero());
            }
        }
        for (_, pidfd) in found {
            wait_readable(pidfd.as_fd(), KILL_WAIT);
        }
    }
    killed.len()
}

fn marked(mark: &[u8]) -> Vec<(Pid, OwnedFd)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .filter_map(|pid| {
            // First the descriptor, then the look: the number cannot change hands in between.
            let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
            has_mark(pid, mark).then_some((pid, pidfd))
        })
        .collect()
}

/// A process that is not ours to read is not ours. A dead one has no environment any more.
fn has_mark(pid: Pid, mark: &[u8]) -> bool {
    let mut environment = Vec::new();
    fs::File::open(format!("/proc/{}/environ", pid.as_raw_nonzero()))
        .and_then(|file| file.take(MAX_ENVIRONMENT_BYTES).read_to_end(&mut environment))
        .is_ok()
        && environment.split(|byte| *byte == 0).any(|variable| variable == mark)
}
