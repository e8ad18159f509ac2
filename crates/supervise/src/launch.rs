//! Starting a shim's process.
//!
//! It gets nothing of its starter: an empty environment, no terminal, no descriptor but
//! `/dev/null`, a pipe and a place for its last words. It leaves the starter's session and cgroup
//! itself.
//!
//! It is started through a process in between that ends at once, so that it is nobody's child but
//! the next subreaper's or init's. The agent's own shim, where it has no cgroups, takes all
//! descendants of the agent for the agent's: a shim among them would be killed with a hung agent,
//! and all its service with it.
//!
//! The pipe is the shim's standard output. First comes its process id, written between fork and
//! exec; then the end of the stream, when the shim has turned its standard streams away because it
//! listens, or when it has ended.
//!
//! Last words go to a memory file of fixed size: the shim can neither block on it, as on a pipe
//! that nobody reads, nor fill it beyond its bound, and it can be read after the shim's death.
//!
//! # Why the unsafe code here is sound
//!
//! The closure between fork and exec makes four system calls (`fork`, `getpid`, `write`, `_exit`),
//! all of them async-signal-safe (signal-safety(7)), and touches no memory but its own stack.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, PipeReader, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use control::ServiceName;
use control_tokio::dial;
use disk::Lock;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

use crate::config::Config;
use crate::limits::{LAST_WORDS_BYTES, LOCK_LOOK, LOCK_PATIENCE};

/// A started shim that does not listen yet.
#[derive(Debug)]
pub(crate) struct Launched {
    /// Its standard output: [`PID_BYTES`] of its process id, then the end.
    pub(crate) output: PipeReader,
    /// Its standard error.
    pub(crate) last_words: LastWords,
}

/// Size of the process id on the pipe, in the machine's own byte order.
pub(crate) const PID_BYTES: usize = size_of::<libc::pid_t>();

/// What a shim wrote to its standard error.
#[derive(Debug)]
pub(crate) struct LastWords {
    file: File,
}

impl LastWords {
    fn new() -> io::Result<(Self, Stdio)> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(memfd_create("last-words", flags)?);
        ftruncate(&file, LAST_WORDS_BYTES)?;
        fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
        let writer = OwnedFd::from(file.try_clone()?);
        Ok((Self { file }, Stdio::from(writer)))
    }

    /// Returns the last line that is not empty, without control characters.
    pub(crate) fn read(&self) -> Option<String> {
        let mut bytes = vec![0; LAST_WORDS_BYTES as usize];
        let count = self.file.read_at(&mut bytes, 0).unwrap_or(0);
        last_line(&bytes[..count])
    }
}

fn last_line(bytes: &[u8]) -> Option<String> {
    /// More than a line of this is no message.
    const MAX_CHARACTERS: usize = 400;
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.trim().chars().filter(|c| !c.is_control()).take(MAX_CHARACTERS).collect())
}

/// Starts the shim of `service`. Blocks until its program is executed.
pub(crate) fn start(config: &Config, service: &ServiceName) -> io::Result<Launched> {
    let (last_words, stderr) = LastWords::new()?;
    let (output, stdout) = pipe()?;
    let file_name = service.file_name();
    let mut command = Command::new(&config.shim_program.path);
    command
        .args(&config.shim_program.arguments)
        .arg("--directory")
        .arg(config.home.shim(&file_name))
        .arg("--socket")
        .arg(config.home.shim_socket(&file_name))
        .args(["--service", &service.to_string()])
        .args(["--installation", &config.installation])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr);
    if let Some(base) = &config.cgroup_base {
        command.arg("--cgroup").arg(base);
    }
    // SAFETY: see the module documentation.
    unsafe { command.pre_exec(fork_once_more) };
    let mut between = command.spawn()?;
    between.wait()?;
    Ok(Launched { output, last_words })
}

/// Runs between fork and exec: lets the process end, and goes on in a child of it.
fn fork_once_more() -> io::Result<()> {
    // SAFETY: all four calls are async-signal-safe; `pid` lives on this stack and has as many
    // bytes as are written. A short write is impossible: the pipe is new and empty.
    unsafe {
        match libc::fork() {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let pid = libc::getpid();
                if libc::write(libc::STDOUT_FILENO, (&raw const pid).cast(), PID_BYTES) < 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            }
            _ => libc::_exit(0),
        }
    }
}

impl Launched {
    /// Says how a shim ended that never came up.
    pub(crate) fn epitaph(&self) -> String {
        match self.last_words.read() {
            Some(words) => format!("its shim ended at once: {words}"),
            None => "its shim ended at once and said nothing".to_owned(),
        }
    }
}

/// Waits while somebody holds the service's lock and does not listen: a shim that is starting, or
/// the last of one that was killed. False when that does not end in [`LOCK_PATIENCE`]. Blocks.
///
/// Asked only after a shim that we started gave up: to ask is to take the lock for a moment. A file
/// lock cannot be waited for with a deadline, so it is looked at again and again.
pub(crate) fn wait_while_mute(config: &Config, service: &ServiceName) -> bool {
    let lock = config.home.shim(&service.file_name()).join("lock");
    let socket = config.socket(service);
    let deadline = Instant::now() + LOCK_PATIENCE;
    let is_mute = || {
        let is_silent = dial(&socket, Duration::ZERO).is_err_and(|error| error.is_absent());
        is_silent && matches!(Lock::try_shared(&lock), Ok(None))
    };
    while is_mute() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOCK_LOOK);
    }
    true
}

/// Returns the process id from the beginning of a shim's output.
pub(crate) fn pid_in(output: &[u8]) -> Option<u32> {
    let bytes = output.first_chunk::<PID_BYTES>()?;
    u32::try_from(libc::pid_t::from_ne_bytes(*bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_bounded_and_never_block() {
        let (words, stdio) = LastWords::new().unwrap();
        assert_eq!(words.read(), None);
        let script = "echo first >&2; echo 'the last one' >&2; \
                      head -c 100000 /dev/zero | tr '\\0' x >&2 || exit 7";
        let status = Command::new("/bin/sh").args(["-c", script]).stderr(stdio).status().unwrap();
        assert!(status.code().is_some());
        assert!(words.read().unwrap().len() <= 400);
        assert_eq!(
            last_line(b"a\nfailed to open `x`\n\n\0\0").as_deref(),
            Some("failed to open `x`")
        );
        assert_eq!(last_line(b"\0"), None);
    }
}
