//! Processes that name a directory in their environment or command line.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How long the killed may take to be gone; a process that sleeps in the kernel takes a while.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// How long one end is waited for before all processes are looked at again.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A process that is alive.
#[derive(Debug)]
pub struct Found {
    /// Its id.
    pub pid: u32,
    /// Its arguments.
    pub command: String,
    /// Opened before it was looked at, so that a signal reaches this process and no later one.
    handle: OwnedFd,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pid, self.command)
    }
}

/// Returns every live process but this one whose environment or command line names `path` or
/// something below it. Those of other users are only seen by root.
pub fn processes_naming(path: &Path) -> Vec<Found> {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").unwrap();
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != own)
        .filter_map(|pid| look_at(pid, path.as_os_str().as_encoded_bytes()))
        .collect()
}

fn look_at(pid: u32, path: &[u8]) -> Option<Found> {
    let handle = pidfd_open(Pid::from_raw(pid.cast_signed())?, PidfdFlags::empty()).ok()?;
    // Of a zombie both are empty.
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    if !names(&command, path) && !names(&environment, path) {
        return None;
    }
    let command = String::from_utf8_lossy(&command).replace('\0', " ").trim_end().to_owned();
    Some(Found { pid, command, handle })
}

/// Returns whether `text` contains `path` as a whole path or the beginning of a longer one.
fn names(text: &[u8], path: &[u8]) -> bool {
    text.windows(path.len()).enumerate().any(|(at, window)| {
        let next = text.get(at + path.len());
        window == path && matches!(next, None | Some(b'/' | 0 | b':' | b' ' | b'"' | b'\''))
    })
}

impl Found {
    /// Kills it with SIGKILL and waits until it is dead, if nobody reaped it yet a zombie.
    #[track_caller]
    pub fn kill(&self) {
        // Already gone is what is wanted.
        let _ = pidfd_send_signal(&self.handle, Signal::KILL);
        self.wait();
    }

    /// Sends it a signal; whether it lives still is not looked at.
    pub fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.handle, signal);
    }

    /// Waits until it is dead.
    #[track_caller]
    pub fn wait(&self) {
        let limit = Timespec { tv_sec: GONE_WITHIN.as_secs() as i64, tv_nsec: 0 };
        let mut end = [PollFd::new(&self.handle, PollFlags::IN)];
        let ended = poll(&mut end, Some(&limit)).unwrap();
        assert!(ended == 1, "{self} does not die");
    }

    /// Returns the value of a variable it was started with.
    pub fn variable(&self, name: &str) -> Option<String> {
        let environment = fs::read(format!("/proc/{}/environ", self.pid)).ok()?;
        let found = environment
            .split(|byte| *byte == 0)
            .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        Some(String::from_utf8_lossy(found).into_owned())
    }

    /// Returns the process id of its parent.
    pub fn parent(&self) -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        // The name before it may hold anything, a parenthesis too.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    }
}

/// Kills every process that names `path` so that none of them lives to see another's death. Returns
/// who was killed.
#[track_caller]
pub(crate) fn kill_naming_at_once(path: &Path) -> Vec<Found> {
    let mut stopped = BTreeSet::new();
    let all = loop {
        let found = processes_naming(path);
        let new = found.iter().filter(|process| stopped.insert(process.pid)).count();
        for process in &found {
            process.signal(Signal::STOP);
        }
        if new == 0 {
            break found;
        }
    };
    for process in &all {
        process.signal(Signal::KILL);
    }
    for process in &all {
        process.wait();
    }
    let (_, gone) = kill_naming(path);
    assert!(gone, "something of {} does not die", path.display());
    all
}

/// Kills every process that names `path`, and those they start meanwhile, until there is none.
/// Returns what was killed first and whether all are gone.
pub(crate) fn kill_naming(path: &Path) -> (Vec<Found>, bool) {
    let first = processes_naming(path);
    let start = Instant::now();
    let mut alive = processes_naming(path);
    while !alive.is_empty() && start.elapsed() < GONE_WITHIN {
        for process in &alive {
            // Already gone is what is wanted.
            let _ = pidfd_send_signal(&process.handle, Signal::KILL);
        }
        let mut ends: Vec<PollFd<'_>> =
            alive.iter().map(|process| PollFd::new(&process.handle, PollFlags::IN)).collect();
        // Any of them; the next look finds the others.
        let _ = poll(&mut ends, Some(&LOOK_EVERY));
        alive = processes_naming(path);
    }
    (first, alive.is_empty())
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_longer_name_is_another_path() {
        assert!(names(b"A=1\0SKEP_HOME=/t/skep.1\0", b"/t/skep.1"));
        assert!(names(b"/t/skep.1/bin/python\0-c", b"/t/skep.1"));
        assert!(!names(b"SKEP_HOME=/t/skep.12\0", b"/t/skep.1"));
        assert!(!names(b"", b"/t/skep.1"));
    }
}
