//! What a shim does to its own process before anything else.

#![allow(unsafe_code)] // system calls without safe wrappers, each explained below

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::ptr;

use rustix::fs::Mode;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};

/// The text of a shim's own troubles begins anew when it is longer.
pub(crate) const MAX_LOG_BYTES: u64 = 256 << 10;

/// Closes every descriptor but the standard ones: what the starter left open by accident must not
/// stay open for as long as a service lives.
pub(crate) fn close_inherited() {
    const FIRST: RawFd = 3;
    if close_range_is_known() {
        // SAFETY: called first in `main`, when nothing in this process owns a descriptor above 2.
        unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_int::MAX, 0) };
        return;
    }
    for fd in open_descriptors().into_iter().filter(|fd| *fd >= FIRST) {
        // SAFETY: as above; the one that the list itself was read from is closed already.
        unsafe { libc::close(fd) };
    }
}

/// Returns whether the kernel knows `close_range(2)`: from 5.9 on.
pub(crate) fn close_range_is_known() -> bool {
    // SAFETY: no descriptor has the highest of all numbers, so that this closes nothing.
    unsafe { libc::syscall(libc::SYS_close_range, libc::c_int::MAX, libc::c_int::MAX, 0) == 0 }
}

/// Returns the numbers of all open descriptors; without `/proc`, of all that could be.
pub(crate) fn open_descriptors() -> Vec<RawFd> {
    let listed = || -> io::Result<Vec<RawFd>> {
        let names = fs::read_dir("/proc/self/fd")?.map(|entry| Ok(entry?.file_name()));
        let names = names.collect::<io::Result<Vec<_>>>()?;
        Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
    };
    listed().unwrap_or_else(|_| {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        (0..RawFd::try_from(limit).unwrap_or(RawFd::MAX)).collect()
    })
}

/// Makes a write beyond the limit of file sizes fail instead of ending the shim: to it that is a
/// full disk.
pub(crate) fn survive_file_size_limit() {
    // SAFETY: no handler, only the disposition; processes get the default back.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Leaves the starter's session, becomes the parent of orphaned grandchildren, and forgets what it
/// inherited: working directory and file mode mask. Returns the limit of open files for processes;
/// its own is raised as far as allowed, for it holds several descriptors a slot.
pub(crate) fn detach() -> io::Result<(u64, u64)> {
    // Fails in a process group leader, started by hand from a shell: signals of its terminal do
    // nothing to a shim anyway.
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    rustix::process::chdir("/")?;
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let unlimited = u64::MAX;
    Ok((limit.current.unwrap_or(unlimited), limit.maximum.unwrap_or(unlimited)))
}

/// Returns whether this is the first process of its pid namespace.
pub(crate) fn is_init() -> bool {
    rustix::process::getpid() == Pid::INIT
}

/// Turns the standard streams away from the starter: input from nowhere, output to `log`.
///
/// A starter that reads the shim's standard output sees its end here: the shim is at work.
pub(crate) fn redirect(log: &Path) -> io::Result<()> {
    let too_long = fs::metadata(log).is_ok_and(|found| found.len() > MAX_LOG_BYTES);
    let nothing = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    // Appended to in any case: one that is cut later would otherwise begin with a hole.
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(log);
    if let (true, Ok(log)) = (too_long, &log) {
        let _ = log.set_len(0);
    }
    rustix::stdio::dup2_stdin(&nothing)?;
    // Without a log there is still a service to keep.
    let output = log.as_ref().unwrap_or(&nothing);
    rustix::stdio::dup2_stdout(output)?;
    rustix::stdio::dup2_stderr(output)?;
    Ok(())
}

/// The signals that are read instead of delivered.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks the signals that have a meaning for a shim or that would end it, and opens a
    /// descriptor that reads them.
    pub(crate) fn open() -> io::Result<Self> {
        let read = [
            libc::SIGCHLD,
            libc::SIGTERM,
            libc::SIGINT,
            libc::SIGHUP,
            libc::SIGQUIT,
            libc::SIGUSR1,
            libc::SIGUSR2,
            libc::SIGALRM,
            libc::SIGTSTP,
            libc::SIGTTIN,
            libc::SIGTTOU,
        ];
        // SAFETY: the set is initialised by `sigemptyset` before it is read; the mask is that of
        // the only thread; the descriptor is new and nobody else's.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in read {
                libc::sigaddset(&raw mut set, signal);
            }
            if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Self { fd: OwnedFd::from_raw_fd(fd) })
        }
    }

    /// Returns the descriptor to poll.
    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Returns the next pending signal.
    pub(crate) fn next(&self) -> Option<i32> {
        // SAFETY: all-zero is a valid `signalfd_siginfo`, and the kernel writes whole ones.
        let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: `info` has `size` bytes.
        let count = unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut info).cast(), size) };
        (count == size as isize).then_some(info.ssi_signo as i32)
    }
}
