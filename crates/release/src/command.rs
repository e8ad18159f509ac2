//! One program of a build: started with a constructed environment, watched, and always ended.
//!
//! Guarantees: nothing is inherited but the working directory's name and three descriptors (stdin
//! is `/dev/null`); the program leads its own process group; when it ends by itself, at the
//! deadline or on [`Cancel`], nothing of its group is left when the function returns. What left the
//! group on purpose (`setsid`) is ended by [`crate::strays`] at the end of the build.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::cancel::Cancel;
use crate::identity::Identity;
use crate::lines::Lines;

/// How long a cancelled program may take to end after SIGTERM: pip and npm remove their temporary
/// files in that time, and a person who pressed Ctrl-C waits for it.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// How long the kernel may take to end a killed one (it may sit in a write to a slow disk).
const KILL_WAIT: Duration = Duration::from_secs(10);
/// Most output that [`capture`] takes; the file list of the largest source set fits.
const CAPTURE_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// Absolute.
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) directory: PathBuf,
    pub(crate) environment: BTreeMap<String, String>,
}

impl Program {
    /// Returns the command line for messages.
    pub(crate) fn text(&self) -> String {
        let mut text = self.path.display().to_string();
        for argument in &self.arguments {
            text.push(' ');
            text.push_str(&argument.to_string_lossy());
        }
        text
    }
}

/// Until when, and who may say stop earlier.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits<'a> {
    pub(crate) deadline: Instant,
    pub(crate) cancel: &'a Cancel,
}

/// Why a program did not end well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("failed to start `{}`", path.display())]
    Start {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to watch `{}`", path.display())]
    Watch {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("ended with {}", status_text(*.0))]
    Status(ExitStatus),
    #[error("did not end in time and was stopped")]
    TimedOut,
    #[error("was cancelled")]
    Cancelled,
    #[error("wrote more than {CAPTURE_LIMIT_BYTES} bytes")]
    TooMuchOutput,
}

/// Returns `exit 1` or `signal 9`.
pub(crate) fn status_text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}

/// Runs a program and gives each line of its output (both streams, in the order written) to
/// `line`; a status other than 0 is an error.
pub(crate) fn stream(
    program: &Program,
    identity: &Identity,
    limits: Limits<'_>,
    line: &mut dyn FnMut(&str),
) -> Result<(), CommandError> {
    let (reader, writer) = io::pipe().map_err(|source| start_error(program, source))?;
    let second = writer.try_clone().map_err(|source| start_error(program, source))?;
    let mut running = Running::start(program, identity, writer.into(), second.into())?;
    let mut lines = Lines::new(line);
    let status = running.drive(limits, &mut [(reader, &mut |bytes: &[u8]| lines.push(bytes))])?;
    lines.finish();
    if status.success() { Ok(()) } else { Err(CommandError::Status(status)) }
}

/// What a program wrote and how it ended.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// Runs a program and returns what it wrote.
pub(crate) fn capture(
    program: &Program,
    identity: &Identity,
    limits: Limits<'_>,
) -> Result<Captured, CommandError> {
    let pipe = || io::pipe().map_err(|source| start_error(program, source));
    let ((out_reader, out_writer), (error_reader, error_writer)) = (pipe()?, pipe()?);
    let mut running = Running::start(program, identity, out_writer.into(), error_writer.into())?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut overflow = false;
    let mut keep = |into: &mut Vec<u8>, bytes: &[u8]| {
        overflow |= into.len() + bytes.len() > CAPTURE_LIMIT_BYTES;
        if !overflow {
            into.extend_from_slice(bytes);
        }
    };
    let keep = std::cell::RefCell::new(&mut keep);
    let status = running.drive(
        limits,
        &mut [
            (out_reader, &mut |bytes: &[u8]| (*keep.borrow_mut())(&mut stdout, bytes)),
            (error_reader, &mut |bytes: &[u8]| (*keep.borrow_mut())(&mut stderr, bytes)),
        ],
    )?;
    if overflow {
        return Err(CommandError::TooMuchOutput);
    }
    Ok(Captured { status, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
}

fn start_error(program: &Program, source: io::Error) -> CommandError {
    CommandError::Start { path: program.path.clone(), source }
}

type Source<'a> = (PipeReader, &'a mut dyn FnMut(&[u8]));

/// A started program; dropping it kills what is left of its group.
struct Running {
    child: Child,
    pid: Pid,
    pidfd: OwnedFd,
    path: PathBuf,
    reaped: bool,
}

impl Running {
    fn start(
        program: &Program,
        identity: &Identity,
        stdout: Stdio,
        stderr: Stdio,
    ) -> Result<Self, CommandError> {
        let mut command = Command::new(&program.path);
        command
            .args(&program.arguments)
            .current_dir(&program.directory)
            .env_clear()
            .envs(&program.environment)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0);
        identity.apply(&mut command);
        let child = command.spawn().map_err(|source| start_error(program, source))?;
        // The parent's copies of the write ends live in `command`.
        drop(command);
        let pid = Pid::from_child(&child);
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Self { child, pid, pidfd, path: program.path.clone(), reaped: false }),
            Err(errno) => {
                let mut child = child;
                let _ = child.kill();
                let _ = child.wait();
                Err(CommandError::Watch { path: program.path.clone(), source: errno.into() })
            }
        }
    }

    /// Reads until the program has ended; then kills and forgets what it left in its group.
    fn drive(
        &mut self,
        limits: Limits<'_>,
        sources: &mut [Source<'_>],
    ) -> Result<ExitStatus, CommandError> {
        let mut open: Vec<bool> = vec![true; sources.len()];
        for (reader, _) in sources.iter() {
            rustix::io::ioctl_fionbio(reader, true).map_err(|errno| self.watch_error(errno))?;
        }
        loop {
            if limits.cancel.is_requested() {
                self.stop();
                return Err(CommandError::Cancelled);
            }
            let left = limits.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.stop();
                return Err(CommandError::TimedOut);
            }
            let mut fds: Vec<PollFd<'_>> = vec![
                PollFd::from_borrowed_fd(limits.cancel.descriptor(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.pidfd.as_fd(), PollFlags::IN),
            ];
            for (index, (reader, _)) in sources.iter().enumerate() {
                if open[index] {
                    fds.push(PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::IN));
                }
            }
            poll(&mut fds, left).map_err(|errno| self.watch_error(errno))?;
            let ended = !fds[1].revents().is_empty();
            drop(fds);
            for (index, (reader, sink)) in sources.iter_mut().enumerate() {
                if open[index] {
                    // Everything that was written before the end is in the pipe by now; what a
                    // background process keeps writing is bounded by one pipe's content.
                    open[index] = drain(reader, *sink).map_err(|error| CommandError::Watch {
                        path: self.path.clone(),
                        source: error,
                    })?;
                }
            }
            if ended {
                let status = self
                    .child
                    .wait()
                    .map_err(|source| CommandError::Watch { path: self.path.clone(), source })?;
                self.reaped = true;
                self.signal_group(Signal::KILL);
                return Ok(status);
            }
        }
    }

    /// Asks the group to end, then makes it.
    fn stop(&mut self) {
        self.signal_group(Signal::TERM);
        if !wait_readable(self.pidfd.as_fd(), STOP_GRACE) {
            self.signal_group(Signal::KILL);
            wait_readable(self.pidfd.as_fd(), KILL_WAIT);
        }
        // Its children may have ignored the first signal.
        self.signal_group(Signal::KILL);
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            self.reaped = true;
        }
    }

    /// Signals the group. Its number cannot belong to strangers: while a member lives the kernel
    /// does not give it away again, and when none is left there is a moment at most.
    fn signal_group(&self, signal: Signal) {
        let _ = rustix::process::kill_process_group(self.pid, signal);
    }

    fn watch_error(&self, errno: rustix::io::Errno) -> CommandError {
        CommandError::Watch { path: self.path.clone(), source: errno.into() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal_group(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Reads what is there; returns whether there may be more later.
fn drain(reader: &mut PipeReader, sink: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
    /// The default capacity of a pipe, and so most of what a writer left behind.
    const PIPE_BYTES: usize = 64 * 1024;
    let mut buffer = [0; 16 * 1024];
    let mut total = 0;
    while total < PIPE_BYTES {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                sink(&buffer[..count]);
                total += count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn poll(fds: &mut [PollFd<'_>], timeout: Duration) -> Result<usize, rustix::io::Errno> {
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    match rustix::event::poll(fds, Some(&timeout)) {
        // The caller's loop looks at its deadline and comes back.
        Err(rustix::io::Errno::INTR) => Ok(0),
        other => other,
    }
}

/// Waits until a descriptor is readable; returns whether it is.
pub(crate) fn wait_readable(descriptor: BorrowedFd<'_>, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
        if poll(&mut fds, left).is_ok_and(|ready| ready > 0) {
            return true;
        }
        if left.is_zero() {
            return false;
        }
    }
}

/// Returns the first directory of `search_path` that holds an executable `name`, joined with it.
pub(crate) fn find(name: &str, search_path: &str) -> Option<PathBuf> {
    search_path
        .split(':')
        .filter(|directory| directory.starts_with('/'))
        .map(|directory| Path::new(directory).join(name))
        .find(|path| {
            path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
        })
}
