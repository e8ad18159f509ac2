//! Facts about one process from `/proc` and its pidfd.
//!
//! A process id alone names nobody: it is reused. A process is (boot, id, start time), and it is
//! held by its pidfd: open that first, then compare, then act through it.

#![allow(unsafe_code)] // an ioctl and `waitid`, which have no safe wrappers that tell enough

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use control::shim::ExitStatus;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// `R`, `S`, `Z` …
    pub(crate) state: u8,
    pub(crate) parent: u32,
    pub(crate) session: u32,
    /// Field 22: when it started, in clock ticks since boot.
    pub(crate) start_ticks: u64,
    /// Field 52: its wait status, once it is a zombie and if we may know.
    pub(crate) exit_status: i32,
}

impl Stat {
    /// Returns what is known of `pid`; `None` when there is none.
    pub(crate) fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Parses what stands in `/proc/PID/stat`.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        // A name is whatever its process calls itself, often cut in the middle of a character.
        let text = String::from_utf8_lossy(bytes);
        // The name may hold spaces and parentheses; the fields begin behind the last one.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Self {
            state: *field(3)?.as_bytes().first()?,
            parent: field(4)?.parse().ok()?,
            session: field(6)?.parse().ok()?,
            start_ticks: field(22)?.parse().ok()?,
            exit_status: field(52).and_then(|text| text.parse().ok()).unwrap_or(0),
        })
    }

    /// Returns whether it still runs; a zombie does not.
    pub(crate) fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Opens a pidfd; `None` when the process is gone.
pub(crate) fn open(pid: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// Opens the process that had `pid` and started at `start_ticks`, if it still runs.
pub(crate) fn open_same(pid: u32, start_ticks: u64) -> Option<OwnedFd> {
    let pidfd = open(pid)?;
    let stat = Stat::read(pid)?;
    (stat.start_ticks == start_ticks && stat.is_alive()).then_some(pidfd)
}

/// Sends a signal; returns whether the process was there to get it.
pub(crate) fn signal(pidfd: &OwnedFd, signal: Signal) -> bool {
    pidfd_send_signal(pidfd, signal).is_ok()
}

/// Returns how a process that is not our child ended, as far as anybody can know.
///
/// While it is a zombie its status stands in `/proc`; once its parent reaped it, kernels from 6.15
/// tell it through the pidfd. Otherwise it is unknown.
pub(crate) fn exit_of_stranger(pidfd: &OwnedFd, pid: u32, start_ticks: u64) -> ExitStatus {
    if let Some(stat) = Stat::read(pid)
        && stat.start_ticks == start_ticks
        && !stat.is_alive()
    {
        // Where we may not know, the field is 0: trust it only if the process was ours to read.
        let us = rustix::process::geteuid();
        let owner = fs::metadata(format!("/proc/{pid}")).ok().map(|found| found.uid());
        if us.is_root() || owner == Some(us.as_raw()) {
            return from_wait_status(stat.exit_status);
        }
    }
    query_exit(pidfd).map_or(ExitStatus::Unknown, from_wait_status)
}

/// Returns a child that has ended, and how; it stays a zombie until [`reap`].
pub(crate) fn next_ended() -> Option<(u32, ExitStatus)> {
    // SAFETY: all-zero is a valid `siginfo_t`; `waitid` fills it in, and for an ended child the
    // fields read below are the ones that are set.
    let (pid, status, code) = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        if libc::waitid(libc::P_ALL, 0, &raw mut info, options) != 0 {
            return None;
        }
        (info.si_pid(), info.si_status(), info.si_code)
    };
    let status = match code {
        libc::CLD_EXITED => ExitStatus::Code(status),
        _ => ExitStatus::Signal(status),
    };
    u32::try_from(pid).ok().filter(|pid| *pid != 0).map(|pid| (pid, status))
}

/// Reaps a child that has ended.
pub(crate) fn reap(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG);
    }
}

/// Waits for the end of a child that was killed or is known to end, and reaps it.
pub(crate) fn wait(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
    }
}

/// Returns what a wait status says.
pub(crate) fn from_wait_status(status: i32) -> ExitStatus {
    match status & 0x7f {
        0 => ExitStatus::Code((status >> 8) & 0xff),
        signal => ExitStatus::Signal(signal),
    }
}

/// `struct pidfd_info`, its first version (`linux/pidfd.h`).
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup_id: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// `_IOWR(0xFF, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: u64 = 0xC000_FF0B | (size_of::<PidfdInfo>() as u64) << 16;

/// `PIDFD_INFO_EXIT`: the exit status is asked for, and given.
const PIDFD_INFO_EXIT: u64 = 1 << 3;

fn query_exit(pidfd: &OwnedFd) -> Option<i32> {
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the request carries the size of `info`, which the kernel fills and does not keep.
    let result =
        unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO as libc::Ioctl, &raw mut info) };
    (result == 0 && info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn names_cannot_confuse_the_parser() {
        let field = |number: u32| if number == 22 { 4711 } else { number }.to_string();
        let fields: Vec<String> = (7..=52).map(field).collect();
        for name in [&b"a) b (c"[..], b"caf\xc3", b"\xff\n 7 ("] {
            let fields = format!(") S 1 7 7 {}", fields.join(" "));
            let text = [b"7 (", name, fields.as_bytes()].concat();
            let stat = Stat::parse(&text).unwrap();
            assert_eq!((stat.state, stat.parent, stat.session), (b'S', 1, 7));
            assert_eq!((stat.start_ticks, stat.exit_status), (4711, 52));
        }
        assert!(Stat::parse(b"7 (a").is_none());
        assert!(Stat::parse(b"").is_none());
    }

    #[test]
    fn a_process_is_its_id_and_its_start() {
        let mut child = Command::new("sh").args(["-c", "exit 42"]).spawn().unwrap();
        let pid = child.id();
        let ticks = Stat::read(pid).unwrap().start_ticks;
        assert!(open_same(pid, ticks + 1).is_none());
        let pidfd = open(pid).unwrap();
        let mut polled = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut polled, None).unwrap();
        assert!(open_same(pid, ticks).is_none());
        assert_eq!(exit_of_stranger(&pidfd, pid, ticks), ExitStatus::Code(42));
        child.wait().unwrap();
        let after = exit_of_stranger(&pidfd, pid, ticks);
        assert!(matches!(after, ExitStatus::Code(42) | ExitStatus::Unknown), "{after}");
    }

    #[test]
    fn wait_statuses_are_told_apart() {
        assert_eq!(from_wait_status(0), ExitStatus::Code(0));
        assert_eq!(from_wait_status(3 << 8), ExitStatus::Code(3));
        assert_eq!(from_wait_status(9), ExitStatus::Signal(9));
        assert_eq!(from_wait_status(0x8b), ExitStatus::Signal(11));
    }
}
