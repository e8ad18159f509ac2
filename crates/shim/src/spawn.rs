//! From a recipe to a process: everything between fork and exec, and nothing else.
//!
//! # Order in the child
//!
//! descriptors placed · all others closed · own session · *detached* · dispositions of all signals
//! to default · signal mask emptied · cgroup (unless cloned into it) · umask · limit of open files ·
//! working directory · groups, group, user · `LISTEN_PID` · execve
//!
//! Descriptors come first: among the others are the lock and the clients' connections, which must
//! not stay open in a child that waits for a processor, or for a directory far away, while the shim
//! is killed. [`spawn`] waits for *detached*, before which nothing in the child can block, and for
//! nothing else.
//!
//! # Why it is sound
//!
//! The shim has one thread, so a plain copy of its address space is consistent; still the child
//! calls nothing that could take a lock or allocate: only system calls, on memory that
//! [`Prepared`] made ready before the fork and that outlives it. `execve` or `_exit` ends it.
//!
//! What fails in the child is told through a close-on-exec pipe as (step, errno): an end of that
//! pipe without a report is a successful exec.

#![allow(unsafe_code)] // fork and exec; see above

use std::ffi::{CString, c_char, c_int, c_long};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::ptr;

use cgroup::Leaf;
use control::shim::Credentials;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::own_process::{close_range_is_known, open_descriptors};
use crate::process;

/// Where descriptors are put aside before the fork, above every place that they
/// are moved to: 0, 1, 2, the sockets, the lease, and the two of the child itself.
const ASIDE: RawFd = 128;

/// Most sockets a process may be passed; with the rest they end below [`ASIDE`].
pub(crate) const MAX_SOCKETS: usize = 64;

/// The highest signal number of Linux.
const LAST_SIGNAL: c_int = 64;

/// Everything a process is started with.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) program: &'a str,
    pub(crate) arguments: &'a [String],
    pub(crate) environment: &'a [(String, String)],
    pub(crate) directory: &'a str,
    pub(crate) credentials: Option<&'a Credentials>,
    pub(crate) umask: u32,
    /// `RLIMIT_NOFILE`, soft and hard.
    pub(crate) open_files: (u64, u64),
    pub(crate) stdin: BorrowedFd<'a>,
    pub(crate) stdout: BorrowedFd<'a>,
    pub(crate) stderr: BorrowedFd<'a>,
    /// Descriptors 3 and up; `LISTEN_PID` is added when there are any.
    pub(crate) sockets: &'a [BorrowedFd<'a>],
    /// Inherited above the sockets, for no other purpose than being open.
    pub(crate) lease: Option<BorrowedFd<'a>>,
    pub(crate) cgroup: Option<&'a Leaf>,
}

/// A process that was forked; whether it came to exec is told by [`Launch`].
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) launch: Launch,
}

/// Why there is no process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    /// A text of the recipe holds a NUL byte.
    #[error("{what} holds a NUL byte")]
    Nul { what: &'static str },
    /// Something before or in the fork failed.
    #[error("failed to {action}: {source}")]
    Io { action: &'static str, source: io::Error },
    /// The cgroup leaf could not be used.
    #[error("{0}")]
    Cgroup(#[from] cgroup::CgroupError),
}

/// Where the child was when something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Step {
    Cgroup = 1,
    OpenFiles,
    Directory,
    Groups,
    Group,
    User,
    Descriptors,
    Exec,
}

const STEPS: [Step; 8] = [
    Step::Cgroup,
    Step::OpenFiles,
    Step::Directory,
    Step::Groups,
    Step::Group,
    Step::User,
    Step::Descriptors,
    Step::Exec,
];

/// A report as the child writes it: step and errno, little-endian.
const REPORT_BYTES: usize = 8;

/// The report that the child has detached; all others are failures.
const DETACHED: [u8; REPORT_BYTES] = [0; REPORT_BYTES];

/// The longest that a child is waited for to detach: reached only on a machine that gives it no
/// processor at all. Going on then is no error, it is what the wait makes unlikely.
const DETACH_PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// The read end of the report pipe.
#[derive(Debug)]
pub(crate) struct Launch {
    reports: OwnedFd,
    failure: Option<LaunchFailure>,
}

/// Why the child ended before exec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaunchFailure {
    step: Step,
    errno: i32,
}

impl Launch {
    fn new(reports: OwnedFd) -> Self {
        let mut launch = Self { reports, failure: None };
        let mut polled = [PollFd::new(&launch.reports, PollFlags::IN)];
        let _ = poll(&mut polled, Some(&DETACH_PATIENCE));
        launch.read();
        launch
    }

    /// Returns why the program was not executed; `None` if it was. To be asked after the end of
    /// the process: before, `None` may also mean that it is not known yet.
    pub(crate) fn failure(mut self) -> Option<LaunchFailure> {
        self.read();
        self.failure
    }

    /// Takes in what has been reported.
    fn read(&mut self) {
        let mut report = [0; REPORT_BYTES];
        while let Ok(REPORT_BYTES) = rustix::io::read(&self.reports, &mut report[..]) {
            let [step, _, _, _, errno @ ..] = report;
            if let Some(step) = STEPS.into_iter().find(|known| *known as u8 == step) {
                self.failure = Some(LaunchFailure { step, errno: i32::from_le_bytes(errno) });
            }
        }
    }
}

impl LaunchFailure {
    /// Returns what was tried on what and why it failed, for example
    /// `exec /x/y: no such file or directory`.
    pub(crate) fn describe(
        self,
        program: &str,
        directory: &str,
        user: Option<&Credentials>,
    ) -> String {
        let reason = reason(self.errno);
        let user = user.map_or(0, |user| user.uid);
        match self.step {
            Step::Cgroup => format!("enter the cgroup: {reason}"),
            Step::OpenFiles => format!("set the limit of open files: {reason}"),
            Step::Directory => format!("chdir {directory}: {reason}"),
            Step::Groups => format!("set supplementary groups: {reason}"),
            Step::Group => format!("become the group of user {user}: {reason}"),
            Step::User => format!("become user {user}: {reason}"),
            Step::Descriptors => format!("place descriptors: {reason}"),
            // The kernel says the same of a script whose interpreter is missing.
            Step::Exec if self.errno == libc::ENOENT && Path::new(program).exists() => {
                match interpreter(program) {
                    Some(interpreter) => {
                        format!("exec {program}: its interpreter {interpreter} does not exist")
                    }
                    None => format!("exec {program}: its interpreter does not exist"),
                }
            }
            Step::Exec => format!("exec {program}: {reason}"),
        }
    }

    /// Returns whether the same may succeed later without anybody changing anything.
    pub(crate) fn is_transient(self) -> bool {
        is_transient(self.errno)
    }
}

impl SpawnError {
    /// Returns whether the same may succeed later without anybody changing anything.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Nul { .. } => false,
            Self::Io { source, .. } => source.raw_os_error().is_some_and(is_transient),
            Self::Cgroup(_) => true,
        }
    }
}

fn is_transient(errno: i32) -> bool {
    matches!(
        errno,
        libc::EAGAIN
            | libc::ENOMEM
            | libc::ENFILE
            | libc::EMFILE
            | libc::EINTR
            | libc::EIO
            | libc::ETXTBSY
            | libc::EBUSY
            | libc::ENOSPC
    )
}

/// Returns an errno's text without its number: `no such file or directory`.
fn reason(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

/// Returns the interpreter that the first line of a script names.
fn interpreter(program: &str) -> Option<String> {
    use std::io::Read as _;
    /// What the kernel reads of a program to recognise it.
    const FIRST_BYTES: u64 = 256;
    let mut start = Vec::new();
    std::fs::File::open(program).ok()?.take(FIRST_BYTES).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    line.split_ascii_whitespace().next().map(str::to_owned)
}

/// Opens the way into a cgroup, put aside.
fn entrance(leaf: &Leaf) -> Result<OwnedFd, SpawnError> {
    aside(leaf.entrance()?.as_fd())
}

/// Duplicates a descriptor to where no place of the child is.
fn aside(fd: BorrowedFd<'_>) -> Result<OwnedFd, SpawnError> {
    rustix::io::fcntl_dupfd_cloexec(fd, ASIDE)
        .map_err(|errno| SpawnError::Io { action: "put a descriptor aside", source: errno.into() })
}

/// How a child is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// clone3, straight into its cgroup.
    Clone,
    /// fork; the child enters its cgroup by itself.
    Fork,
}

/// Starts a process.
pub(crate) fn spawn(plan: &Plan<'_>) -> Result<Spawned, SpawnError> {
    match spawn_by(Way::Clone, plan) {
        // Kernels before 5.3 and some sandboxes know no clone3; those before 5.7 no
        // CLONE_INTO_CGROUP, for which their arguments have no room.
        Err(SpawnError::Io { action: FORK, source })
            if matches!(
                source.raw_os_error(),
                Some(libc::ENOSYS | libc::E2BIG | libc::EINVAL | libc::EPERM | libc::EOPNOTSUPP)
            ) =>
        {
            spawn_by(Way::Fork, plan)
        }
        other => other,
    }
}

/// What failed when no child could be made.
const FORK: &str = "fork";

fn spawn_by(way: Way, plan: &Plan<'_>) -> Result<Spawned, SpawnError> {
    let failed = |action| move |source: io::Error| SpawnError::Io { action, source };
    let (report_read, report_write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        .map_err(|errno| failed("make a pipe")(errno.into()))?;
    let mut prepared = Prepared::new(plan, &report_write)?;
    let made = match way {
        Way::Clone => {
            let directory = plan.cgroup.map(Leaf::directory).transpose()?;
            prepared.clone_into(directory.as_ref())
        }
        Way::Fork => {
            let entrance = plan.cgroup.map(entrance).transpose()?;
            prepared.kept[ENTRANCE] = entrance.as_ref().map_or(-1, AsRawFd::as_raw_fd);
            prepared.fork()
        }
    };
    let (pid, pidfd) = made.map_err(failed(FORK))?;
    // With the only other write end closed, a child that died is seen at once.
    drop(prepared);
    drop(report_write);
    Ok(Spawned { pid, pidfd, launch: Launch::new(report_read) })
}

/// The plan as the child needs it: pointers into memory and numbers.
struct Prepared {
    program: CString,
    directory: CString,
    /// Keeps the texts that `argument_pointers` and `environment_pointers` point to.
    _texts: Vec<CString>,
    argument_pointers: Vec<*const c_char>,
    environment_pointers: Vec<*const c_char>,
    /// `LISTEN_PID=` and room for a number, pointed to by `environment_pointers`.
    listen_pid: Vec<u8>,
    credentials: Option<Credentials>,
    umask: u32,
    open_files: libc::rlimit,
    /// What becomes descriptor 0, 1, 2 …; put aside, close-on-exec.
    placed: Vec<OwnedFd>,
    /// The child's own until exec, or -1: the report pipe and, if it has to enter its cgroup by
    /// itself, `cgroup.procs`.
    kept: [RawFd; 2],
    /// Keeps the report pipe open.
    _report: OwnedFd,
    /// What the child closes one by one; empty where it needs one call for all of them.
    others: Vec<RawFd>,
}

const REPORT: usize = 0;
const ENTRANCE: usize = 1;

const LISTEN_PID: &[u8] = b"LISTEN_PID=";

/// Room for the digits of a process id and a NUL.
const PID_BYTES: usize = 12;

impl Prepared {
    fn new(plan: &Plan<'_>, report: &OwnedFd) -> Result<Self, SpawnError> {
        let text = |text: &str, what| CString::new(text).map_err(|_| SpawnError::Nul { what });
        let mut texts = Vec::new();
        let mut argument_pointers = Vec::new();
        for argument in plan.arguments {
            let argument = text(argument, "an argument")?;
            argument_pointers.push(argument.as_ptr());
            texts.push(argument);
        }
        argument_pointers.push(ptr::null());
        let mut environment_pointers = Vec::new();
        for (name, value) in plan.environment {
            let variable = text(&format!("{name}={value}"), "a variable")?;
            environment_pointers.push(variable.as_ptr());
            texts.push(variable);
        }
        let mut listen_pid = LISTEN_PID.to_vec();
        listen_pid.resize(LISTEN_PID.len() + PID_BYTES, 0);
        if !plan.sockets.is_empty() {
            environment_pointers.push(listen_pid.as_ptr().cast());
        }
        environment_pointers.push(ptr::null());

        let report = aside(report.as_fd())?;
        let placed = [plan.stdin, plan.stdout, plan.stderr]
            .into_iter()
            .chain(plan.sockets.iter().copied())
            .chain(plan.lease)
            .map(aside)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            program: text(plan.program, "the program's path")?,
            directory: text(plan.directory, "the directory's path")?,
            _texts: texts,
            argument_pointers,
            environment_pointers,
            listen_pid,
            credentials: plan.credentials.cloned(),
            umask: plan.umask,
            open_files: libc::rlimit { rlim_cur: plan.open_files.0, rlim_max: plan.open_files.1 },
            placed,
            kept: [report.as_raw_fd(), -1],
            _report: report,
            others: Vec::new(),
        })
    }

    /// Lists what the child has to close, where the kernel does not know how to close all of it;
    /// right before the child is made.
    fn list_others(&mut self) {
        if !close_range_is_known() {
            self.others = open_descriptors();
        }
    }

    /// Makes the child with clone3, in its cgroup from its first moment (entering later waits for
    /// a lock that covers the whole machine).
    fn clone_into(&mut self, cgroup: Option<&OwnedFd>) -> io::Result<(u32, OwnedFd)> {
        const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
        self.list_others();
        let mut pidfd: c_int = -1;
        // SAFETY: all-zero is a valid `clone_args`: no flag, no stack, no signal.
        let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
        arguments.flags = libc::CLONE_PIDFD as u64;
        arguments.pidfd = &raw mut pidfd as u64;
        arguments.exit_signal = libc::SIGCHLD as u64;
        if let Some(cgroup) = cgroup {
            arguments.flags |= CLONE_INTO_CGROUP;
            arguments.cgroup = cgroup.as_raw_fd() as u64;
        }
        // SAFETY: without CLONE_VM and without a stack this is fork: the child goes on here, on a
        // copy of everything.
        let result = unsafe {
            libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>())
        };
        match result {
            -1 => Err(io::Error::last_os_error()),
            0 => self.run_child(),
            // SAFETY: the kernel has just opened it for us, and nobody else knows of it.
            pid => Ok((pid as u32, unsafe { OwnedFd::from_raw_fd(pidfd) })),
        }
    }

    /// Makes the child with fork.
    fn fork(&mut self) -> io::Result<(u32, OwnedFd)> {
        self.list_others();
        // SAFETY: the process has one thread, and the child only does what `run_child` does.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => self.run_child(),
            pid => {
                // Nobody reaps it but this thread, so the id is still its own.
                let pid = pid as u32;
                process::open(pid).map(|pidfd| (pid, pidfd)).ok_or_else(|| {
                    let error = io::Error::last_os_error();
                    // SAFETY: as above, the id is still its own.
                    unsafe { libc::kill(pid as i32, libc::SIGKILL) };
                    process::wait(pid);
                    error
                })
            }
        }
    }

    /// The child, from here to exec. System calls only.
    fn run_child(&mut self) -> ! {
        // SAFETY: every pointer leads into memory that `self` owns, ends with NUL or a null
        // pointer where the kernel looks for one, and is not moved; every number is a descriptor
        // that was open when the child was made. Nothing here allocates, locks or unwinds.
        unsafe {
            let mut target: RawFd = 0;
            for source in &self.placed {
                if libc::dup2(source.as_raw_fd(), target) < 0 {
                    self.give_up(Step::Descriptors);
                }
                target += 1;
            }
            // Everything else is closed now, but what is needed until exec, which closes it.
            for kept in 0..self.kept.len() {
                if self.kept[kept] >= 0 {
                    if libc::dup3(self.kept[kept], target, libc::O_CLOEXEC) < 0 {
                        self.give_up(Step::Descriptors);
                    }
                    self.kept[kept] = target;
                    target += 1;
                }
            }
            if self.others.is_empty() {
                libc::syscall(
                    libc::SYS_close_range,
                    c_long::from(target),
                    c_long::from(c_int::MAX),
                    0 as c_long,
                );
            }
            // Kernels before 5.9 do not know this call.
            for other in &self.others {
                if *other >= target {
                    libc::close(*other);
                }
            }
            libc::setsid();
            libc::write(self.kept[REPORT], DETACHED.as_ptr().cast(), REPORT_BYTES);
            default_signals();
            let entrance = self.kept[ENTRANCE];
            if entrance >= 0 && libc::write(entrance, c"0".as_ptr().cast(), 1) != 1 {
                self.give_up(Step::Cgroup);
            }
            libc::umask(self.umask as libc::mode_t);
            if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const self.open_files) != 0 {
                self.give_up(Step::OpenFiles);
            }
            if libc::chdir(self.directory.as_ptr()) != 0 {
                self.give_up(Step::Directory);
            }
            if let Some(user) = &self.credentials {
                // The raw calls: those of libc would signal other threads, of which there are none.
                let groups = user.groups.len() as c_long;
                if libc::syscall(libc::SYS_setgroups, groups, user.groups.as_ptr()) != 0 {
                    self.give_up(Step::Groups);
                }
                let gid = c_long::from(user.gid);
                if libc::syscall(libc::SYS_setresgid, gid, gid, gid) != 0 {
                    self.give_up(Step::Group);
                }
                let uid = c_long::from(user.uid);
                if libc::syscall(libc::SYS_setresuid, uid, uid, uid) != 0 {
                    self.give_up(Step::User);
                }
            }
            print_number(&mut self.listen_pid[LISTEN_PID.len()..], libc::getpid() as u32);
            libc::execve(
                self.program.as_ptr(),
                self.argument_pointers.as_ptr(),
                self.environment_pointers.as_ptr(),
            );
            self.give_up(Step::Exec)
        }
    }

    /// Reports what failed and ends the child.
    ///
    /// # Safety
    ///
    /// Only in the child: it ends the process without cleaning up.
    unsafe fn give_up(&self, step: Step) -> ! {
        // SAFETY: errno is this thread's; the report is on our stack; `_exit` runs nothing.
        unsafe {
            let errno = (*libc::__errno_location()).to_le_bytes();
            let report = [step as u8, 0, 0, 0, errno[0], errno[1], errno[2], errno[3]];
            libc::write(self.kept[REPORT], report.as_ptr().cast(), REPORT_BYTES);
            libc::_exit(127)
        }
    }
}

/// Sets all dispositions to default and empties the signal mask.
///
/// # Safety
///
/// Only in the child: the shim itself blocks the signals that it reads.
unsafe fn default_signals() {
    /// The kernel's `sigaction`, which on every architecture fits 32 bytes with a set of 64
    /// signals; zero is `SIG_DFL`.
    const DEFAULT: [u64; 4] = [0; 4];
    const SET_BYTES: c_long = 8;
    // SAFETY: the raw calls with the kernel's own types: libc's refuse the two signals that it
    // keeps for itself, and those may have been left ignored too. KILL and STOP fail, harmlessly.
    unsafe {
        for signal in 1..=LAST_SIGNAL {
            libc::syscall(
                libc::SYS_rt_sigaction,
                c_long::from(signal),
                DEFAULT.as_ptr(),
                ptr::null::<u64>(),
                SET_BYTES,
            );
        }
        let empty: u64 = 0;
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            c_long::from(libc::SIG_SETMASK),
            &raw const empty,
            ptr::null::<u64>(),
            SET_BYTES,
        );
    }
}

/// Writes a number and a NUL at the start of `into`, without allocating.
fn print_number(into: &mut [u8], mut number: u32) {
    let mut digits = [0; 10];
    let mut count = 0;
    loop {
        digits[count] = b'0' + (number % 10) as u8;
        count += 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    for (place, digit) in into.iter_mut().zip(digits[..count].iter().rev()) {
        *place = *digit;
    }
    if let Some(end) = into.get_mut(count) {
        *end = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts a shell script both ways and returns what it wrote.
    fn both_ways(script: &str, cgroup: Option<&Leaf>) -> Vec<String> {
        use std::io::Read as _;
        let nothing = std::fs::File::open("/dev/null").unwrap();
        let arguments = ["sh", "-c", script].map(str::to_owned);
        [Way::Clone, Way::Fork]
            .into_iter()
            .map(|way| {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
                let plan = Plan {
                    program: "/bin/sh",
                    arguments: &arguments,
                    environment: &[],
                    directory: "/",
                    credentials: None,
                    umask: 0o022,
                    open_files: (256, 256),
                    stdin: nothing.as_fd(),
                    stdout: write.as_fd(),
                    stderr: write.as_fd(),
                    sockets: &[nothing.as_fd()],
                    lease: None,
                    cgroup,
                };
                let spawned = spawn_by(way, &plan).unwrap();
                drop(write);
                let mut text = String::new();
                std::fs::File::from(read).read_to_string(&mut text).unwrap();
                process::wait(spawned.pid);
                assert_eq!(spawned.launch.failure(), None);
                text.replace(&spawned.pid.to_string(), "PID")
            })
            .collect()
    }

    #[test]
    fn both_ways_make_the_same_child() {
        // Without a pipe: one of those would be open in the shell for a moment.
        let script = "echo $$ $LISTEN_PID; ulimit -n; ls /proc/$$/fd; exit";
        let texts = both_ways(script, None);
        // The shell itself may keep its script or terminal elsewhere; 4 is where the report was.
        assert!(texts[0].starts_with("PID PID\n256\n0\n1\n"), "{texts:?}");
        assert!(texts[0].ends_with("\n3\n") && !texts[0].contains("\n4\n"), "{texts:?}");
        assert_eq!(texts[0], texts[1]);
    }

    #[test]
    fn both_ways_lead_into_the_cgroup() {
        let Ok(base) = cgroup::Base::establish(&format!("spawn{}", std::process::id())) else {
            println!("not tried: no cgroups here");
            return;
        };
        let leaf = Leaf::create(&base.path().join("g1.0.1")).unwrap();
        for text in both_ways("grep ^0: /proc/self/cgroup", Some(&leaf)) {
            assert!(text.ends_with("/g1.0.1\n"), "{text}");
        }
        while leaf.is_populated().unwrap() {
            let watch = leaf.watch().unwrap();
            if watch.is_populated().unwrap() {
                poll(&mut [PollFd::new(&watch, PollFlags::PRI)], None).unwrap();
            }
        }
        base.remove();
    }

    #[test]
    fn numbers_are_printed_without_help() {
        for number in [0, 7, 10, 4711, u32::MAX] {
            let mut bytes = [b'x'; PID_BYTES];
            print_number(&mut bytes, number);
            let end = bytes.iter().position(|byte| *byte == 0).unwrap();
            assert_eq!(std::str::from_utf8(&bytes[..end]).unwrap(), number.to_string());
        }
    }

    #[test]
    fn failures_name_what_was_tried() {
        let exec =
            |errno, program| LaunchFailure { step: Step::Exec, errno }.describe(program, "/", None);
        assert_eq!(exec(libc::ENOENT, "/no/such"), "exec /no/such: no such file or directory");
        assert_eq!(exec(libc::EACCES, "/etc/passwd"), "exec /etc/passwd: permission denied");
        let script = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(script.path(), "#! /no/python3 -I\nprint()\n").unwrap();
        let path = script.path().to_str().unwrap();
        let expected = format!("exec {path}: its interpreter /no/python3 does not exist");
        assert_eq!(exec(libc::ENOENT, path), expected);
        let chdir = LaunchFailure { step: Step::Directory, errno: libc::EACCES };
        assert_eq!(chdir.describe("/p", "/root/x", None), "chdir /root/x: permission denied");
    }
}
