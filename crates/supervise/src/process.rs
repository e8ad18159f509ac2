//! What can be told of a process that is not our child.

use std::fmt;
use std::io;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A shim's process as the one who failed to talk to it sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Stopped by a signal, or by a debugger.
    Stopped,
    /// In an uninterruptible wait, usually for a disk.
    Waiting,
    /// Dead, not yet reaped.
    Zombie,
    /// Running or sleeping: alive and silent.
    Alive,
    /// Not to be found.
    Unknown,
}

impl Condition {
    /// Reads the state letter of `/proc/PID/stat`.
    pub(crate) fn of(pid: u32) -> Self {
        // Whatever it calls itself; only the letter behind the name is of interest.
        let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&stat);
        Self::parse(&stat)
    }

    /// The program's name is in parentheses and may itself hold any character, so the letter is
    /// looked for behind the last one (proc_pid_stat(5)).
    fn parse(stat: &str) -> Self {
        match stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()) {
            Some('T' | 't') => Self::Stopped,
            Some('D') => Self::Waiting,
            Some('Z' | 'X') => Self::Zombie,
            Some(_) => Self::Alive,
            None => Self::Unknown,
        }
    }
}

/// Says what is wrong with a silent shim and what to do.
pub(crate) struct Silence {
    /// Its process, where known.
    pub(crate) pid: Option<u32>,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(pid) = self.pid else {
            return f.write_str("its shim listens and does not answer");
        };
        match Condition::of(pid) {
            Condition::Stopped => write!(
                f,
                "its shim, process {pid}, was stopped; it keeps the service's lock, so no second \
                 one is started (`kill -CONT {pid}` resumes it)"
            ),
            Condition::Waiting => {
                write!(f, "its shim, process {pid}, waits in the kernel, probably for a disk")
            }
            Condition::Zombie | Condition::Unknown => {
                write!(f, "its shim, process {pid}, is ending")
            }
            Condition::Alive => write!(f, "its shim, process {pid}, is alive and does not answer"),
        }
    }
}

/// Opens a pidfd: readable once the process has ended and closed all its descriptors.
pub(crate) fn open_pidfd(pid: u32) -> io::Result<std::os::fd::OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_letter_is_found_behind_any_name() {
        assert_eq!(Condition::parse("12 (a) T) (x) S 1 2"), Condition::Alive);
        assert_eq!(Condition::parse("12 (skep-shim) T 1"), Condition::Stopped);
        assert_eq!(Condition::parse("12 (skep-shim) Z 1"), Condition::Zombie);
        for bad in ["", "12", "12 (skep-shim", "12 (skep-shim) "] {
            assert_eq!(Condition::parse(bad), Condition::Unknown, "{bad:?}");
        }
        assert_eq!(Condition::of(std::process::id()), Condition::Alive);
    }
}
