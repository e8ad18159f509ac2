//! A program that a resource or a guard starts.
//!
//! Guarantees: its environment is constructed (`PATH`, `HOME`, `USER`, `LOGNAME`, `SHELL` from the
//! account of whom it runs as, `LANG`, `TMPDIR`, and what was declared) and nothing is inherited;
//! it has its own process group, `/dev/null` or the declared input as standard input, and both
//! outputs in one pipe; at the deadline the whole group is ended. A program that ended well may
//! leave processes behind (a daemon that it started): they are left alone.
//!
//! `environment` is not used: that is of an app's processes, with an app's file and layers.

mod credentials;
mod output;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use disk::DiskError;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::command::credentials::Credentials;
use crate::command::output::Output;
use crate::host::Host;
use crate::problem::Problem;

/// Where programs are looked for.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of that an error shows.
const SHOWN_LINES: usize = 20;
/// How long a group may take to end after SIGTERM.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// How long the kernel may take to end a killed program.
const KILL_WAIT: Duration = Duration::from_secs(10);
/// What new files are allowed, if nothing else is said.
const UMASK: u32 = 0o022;

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// The program, by path or name, and its arguments.
    pub(crate) arguments: Vec<String>,
    /// Where; `/` if nothing is said.
    pub(crate) directory: Option<PathBuf>,
    /// As whom; as this process if nobody is named.
    pub(crate) user: Option<String>,
    /// Declared variables; they win.
    pub(crate) variables: BTreeMap<String, String>,
    /// Its standard input.
    pub(crate) input: Vec<u8>,
    /// Its umask.
    pub(crate) umask: u32,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How, or that it took too long.
    pub(crate) ending: Ending,
    /// The last of its output.
    pub(crate) output: String,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself, or by a signal of somebody else's.
    Status(ExitStatus),
    /// By us, at the deadline.
    TimedOut(Duration),
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TimedOut(limit) => write!(f, "did not end within {limit:?} and was stopped"),
            Self::Status(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(f, "ended with exit {code}"),
                (None, Some(signal)) => write!(f, "was ended by signal {signal}"),
                (None, None) => f.write_str("ended with an unknown status"),
            },
        }
    }
}

impl Ended {
    /// Returns the exit code, if it ended by itself in time.
    pub(crate) fn code(&self) -> Option<i32> {
        match self.ending {
            Ending::Status(status) => status.code(),
            Ending::TimedOut(_) => None,
        }
    }

    /// Returns how it failed.
    pub(crate) fn problem(&self, program: &Program) -> Problem {
        let lines: Vec<&str> = self.output.lines().collect();
        let output = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        Problem::Command { command: program.text(), ending: self.ending.to_string(), output }
    }

    /// Fails unless it ended with status 0.
    pub(crate) fn success(&self, program: &Program) -> Result<(), Problem> {
        if self.code() == Some(0) { Ok(()) } else { Err(self.problem(program)) }
    }
}

impl Program {
    /// Returns a program as this process, in `/`.
    pub(crate) fn new(arguments: impl IntoIterator<Item = String>) -> Self {
        Self {
            arguments: arguments.into_iter().collect(),
            directory: None,
            user: None,
            variables: BTreeMap::new(),
            input: Vec::new(),
            umask: UMASK,
        }
    }

    /// Returns the program of a declared command: one text alone is given to a shell.
    pub(crate) fn declared(arguments: &[&str]) -> Self {
        Self::new(match arguments {
            [line] => vec!["/bin/sh".to_owned(), "-c".to_owned(), (*line).to_owned()],
            all => all.iter().map(|argument| (*argument).to_owned()).collect(),
        })
    }

    /// Returns the command for messages.
    pub(crate) fn text(&self) -> String {
        match &self.arguments[..] {
            [shell, option, line] if shell == "/bin/sh" && option == "-c" => line.clone(),
            all => all.join(" "),
        }
    }

    /// Runs it to its end, or to the deadline; each line of its output goes to `line`.
    pub(crate) fn run(
        &self,
        host: &Host,
        limit: Duration,
        line: &mut dyn FnMut(&str),
    ) -> Result<Ended, Problem> {
        if !host.is_this_machine() {
            let text = format!("`{}` would run on this machine, not in its tree", self.text());
            return Err(Problem::Refused(text));
        }
        let (reader, mut running) = self.start(host)?;
        let mut output = Output::new(line);
        let ending = running.drive(reader, Instant::now() + limit, limit, &mut output);
        let ending = ending.map_err(|error| self.failed("watch", error))?;
        Ok(Ended { ending, output: output.finish() })
    }

    fn start(&self, host: &Host) -> Result<(PipeReader, Running), Problem> {
        let credentials = Credentials::of(host, self.user.as_deref())?;
        let program = self.arguments.first().map(String::as_str).unwrap_or_default();
        let path = self.variables.get("PATH").map_or(SEARCH_PATH, String::as_str);
        let Some(program) = find(program, path) else {
            let error = io::Error::new(io::ErrorKind::NotFound, format!("not found in {path}"));
            return Err(self.failed("start", error));
        };
        let mut command = Command::new(program);
        command
            .args(self.arguments.iter().skip(1))
            .current_dir(self.directory.as_deref().unwrap_or(Path::new("/")))
            .env_clear()
            .envs(credentials.variables(SEARCH_PATH))
            .envs(&self.variables)
            .process_group(0);
        let start = || -> io::Result<(PipeReader, Running)> {
            let (reader, writer) = io::pipe()?;
            command.stdout(Stdio::from(writer.try_clone()?)).stderr(Stdio::from(writer));
            command.stdin(self.stdin()?);
            credentials.apply(&mut command, self.umask);
            let child = command.spawn()?;
            // The write ends of this process live in `command`.
            drop(command);
            Ok((reader, Running::of(child)?))
        };
        start().map_err(|error| self.failed("start", error))
    }

    fn stdin(&self) -> io::Result<Stdio> {
        if self.input.is_empty() {
            return Ok(Stdio::null());
        }
        // In memory: it may be a secret, and a pipe would need a writer beside the reader.
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::memfd_create("input", flags)?);
        file.write_all(&self.input)?;
        file.rewind()?;
        Ok(Stdio::from(file))
    }

    fn failed(&self, operation: &'static str, error: io::Error) -> Problem {
        DiskError::new(operation, Path::new(&self.text()), error).into()
    }
}

/// Returns the file that a name means: itself if it is a path.
fn find(name: &str, search_path: &str) -> Option<OsString> {
    if name.contains('/') {
        return Some(name.into());
    }
    let candidates = search_path.split(':').map(|directory| Path::new(directory).join(name));
    candidates
        .into_iter()
        .find(|path| {
            path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
        })
        .map(PathBuf::into_os_string)
}

/// A started program; dropping it before its end kills its group.
struct Running {
    child: Child,
    pid: Pid,
    pidfd: OwnedFd,
    reaped: bool,
}

impl Running {
    fn of(mut child: Child) -> io::Result<Self> {
        let pid = Pid::from_child(&child);
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Self { child, pid, pidfd, reaped: false }),
            Err(errno) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(errno.into())
            }
        }
    }

    fn drive(
        &mut self,
        mut reader: PipeReader,
        deadline: Instant,
        limit: Duration,
        output: &mut Output<'_>,
    ) -> io::Result<Ending> {
        rustix::io::ioctl_fionbio(&reader, true)?;
        let mut open = true;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drain(&mut reader, output)?;
                self.stop();
                return Ok(Ending::TimedOut(limit));
            }
            let mut fds = vec![PollFd::from_borrowed_fd(self.pidfd.as_fd(), PollFlags::IN)];
            if open {
                fds.push(PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::IN));
            }
            poll(&mut fds, left)?;
            let ended = !fds[0].revents().is_empty();
            drop(fds);
            if open {
                open = drain(&mut reader, output)?;
            }
            if ended {
                let status = self.child.wait()?;
                self.reaped = true;
                return Ok(Ending::Status(status));
            }
        }
    }

    /// Asks the group to end, then makes it.
    fn stop(&mut self) {
        self.signal(Signal::TERM);
        let mut fds = [PollFd::from_borrowed_fd(self.pidfd.as_fd(), PollFlags::IN)];
        let _ = poll(&mut fds, STOP_GRACE);
        // Also when the program itself has ended: its children may not have.
        self.signal(Signal::KILL);
        let mut fds = [PollFd::from_borrowed_fd(self.pidfd.as_fd(), PollFlags::IN)];
        let _ = poll(&mut fds, KILL_WAIT);
        self.reaped = matches!(self.child.try_wait(), Ok(Some(_)));
    }

    fn signal(&self, signal: Signal) {
        let _ = rustix::process::kill_process_group(self.pid, signal);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Reads what is there; returns whether there may be more later.
fn drain(reader: &mut PipeReader, output: &mut Output<'_>) -> io::Result<bool> {
    /// A pipe's content, which is what a program that has ended can have left.
    const PIPE_BYTES: usize = 64 << 10;
    let mut buffer = [0; 16 << 10];
    let mut total = 0;
    while total < PIPE_BYTES {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                output.push(&buffer[..count]);
                total += count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn poll(fds: &mut [PollFd<'_>], timeout: Duration) -> io::Result<usize> {
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    match rustix::event::poll(fds, Some(&timeout)) {
        Err(rustix::io::Errno::INTR) => Ok(0),
        other => Ok(other?),
    }
}
