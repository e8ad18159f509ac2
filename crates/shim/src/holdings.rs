//! The descriptors of one slot that outlive its processes: what the fd store is about.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use control::shim::{Held, SlotSocket, SlotSpec};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use crate::notify;
use crate::sockets::{self, ListenError};

/// How much a process may write while nobody reads, in bytes; more than this an ordinary user may
/// not ask for.
pub(crate) const PIPE_BYTES: usize = 1 << 20;

/// The read end of a log pipe.
///
/// A process gets the pipe reopened for reading *and* writing, so that it never sees EPIPE: while
/// there is no shim it only has to wait once [`PIPE_BYTES`] are full.
#[derive(Debug)]
pub(crate) struct LogPipe {
    read: OwnedFd,
    /// It was not read to its end in the last turn.
    pub(crate) has_more: bool,
}

impl LogPipe {
    pub(crate) fn new() -> io::Result<Self> {
        let (read, _write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Beyond the user's limit of pipe memory a smaller pipe has to do.
        let _ = fcntl_setpipe_size(&read, PIPE_BYTES);
        Ok(Self { read, has_more: false })
    }

    /// Takes over a read end that somebody kept.
    pub(crate) fn from_kept(read: OwnedFd) -> Self {
        Self { read, has_more: true }
    }

    /// Returns an end for a process.
    pub(crate) fn open_for_process(&self) -> io::Result<OwnedFd> {
        let path = format!("/proc/self/fd/{}", self.read.as_raw_fd());
        Ok(OpenOptions::new().read(true).write(true).open(path)?.into())
    }
}

impl AsFd for LogPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

/// All of one slot; each may be missing after an adoption.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    pub(crate) socket: Option<OwnedFd>,
    pub(crate) stdout: Option<LogPipe>,
    pub(crate) stderr: Option<LogPipe>,
    pub(crate) notify: Option<OwnedFd>,
}

/// A slot's descriptors that could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HoldingsError {
    /// Its socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A pipe or the notify socket.
    #[error("failed to make {what}: {source}")]
    Make { what: &'static str, source: io::Error },
    /// A later version's kind of socket.
    #[error("this shim is too old for the kind of socket that is asked for")]
    UnknownSocket,
}

impl Holdings {
    /// Makes whatever of `spec` is missing.
    pub(crate) fn complete(&mut self, spec: &SlotSpec) -> Result<(), HoldingsError> {
        match &spec.socket {
            SlotSocket::Unix { path, mode, group } if self.socket.is_none() => {
                self.socket = Some(sockets::bind_slot(Path::new(path), *mode, *group)?);
            }
            SlotSocket::None | SlotSocket::Unix { .. } => {}
            SlotSocket::Unknown => return Err(HoldingsError::UnknownSocket),
        }
        for pipe in [&mut self.stdout, &mut self.stderr] {
            if pipe.is_none() {
                let made = LogPipe::new();
                *pipe = Some(
                    made.map_err(|source| HoldingsError::Make { what: "a log pipe", source })?,
                );
            }
        }
        if spec.notify && self.notify.is_none() {
            let made = notify::bind();
            let made =
                made.map_err(|source| HoldingsError::Make { what: "a notify socket", source })?;
            self.notify = Some(made);
        }
        Ok(())
    }

    /// Returns whether nothing that `spec` asks for is missing.
    pub(crate) fn are_complete(&self, spec: &SlotSpec) -> bool {
        (self.socket.is_some() || spec.socket == SlotSocket::None)
            && self.stdout.is_some()
            && self.stderr.is_some()
            && (self.notify.is_some() || !spec.notify)
    }

    /// Takes over a descriptor; returns it if it is not what it is said to be.
    pub(crate) fn put(&mut self, held: Held, fd: OwnedFd) -> Result<(), OwnedFd> {
        match held {
            Held::Socket if sockets::is_listener(&fd) => self.socket = Some(fd),
            Held::Notify if sockets::is_datagram(&fd) => self.notify = Some(fd),
            Held::Stdout if is_pipe(&fd) => self.stdout = Some(LogPipe::from_kept(fd)),
            Held::Stderr if is_pipe(&fd) => self.stderr = Some(LogPipe::from_kept(fd)),
            _ => return Err(fd),
        }
        Ok(())
    }

    /// Returns what is held.
    pub(crate) fn list(&self) -> Vec<(Held, BorrowedFd<'_>)> {
        let mut list = Vec::new();
        list.extend(self.socket.as_ref().map(|fd| (Held::Socket, fd.as_fd())));
        list.extend(self.stdout.as_ref().map(|pipe| (Held::Stdout, pipe.as_fd())));
        list.extend(self.stderr.as_ref().map(|pipe| (Held::Stderr, pipe.as_fd())));
        list.extend(self.notify.as_ref().map(|fd| (Held::Notify, fd.as_fd())));
        list
    }
}

fn is_pipe(fd: &OwnedFd) -> bool {
    let Ok(file) = fd.try_clone().map(File::from) else { return false };
    file.metadata().is_ok_and(|found| found.file_type().is_fifo())
        && rustix::io::ioctl_fionbio(fd, true).is_ok()
}

/// Opens the read end of what process `pid` has as descriptor `number`, if that is a pipe and we
/// may.
pub(crate) fn reopen_pipe(pid: u32, number: u32) -> Option<LogPipe> {
    // Non-blocking, so that a fifo without a writer is no trap.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(format!("/proc/{pid}/fd/{number}"))
        .ok()?;
    let fd = OwnedFd::from(file);
    is_pipe(&fd).then(|| LogPipe::from_kept(fd))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    #[test]
    fn a_process_never_sees_a_broken_pipe() {
        let pipe = LogPipe::new().unwrap();
        let mut write = File::from(pipe.open_for_process().unwrap());
        let kept = pipe.as_fd().try_clone_to_owned().unwrap();
        drop(pipe);
        write.write_all(b"one\n").unwrap();
        drop(kept);
        write.write_all(b"two\n").unwrap();
        let mut text = [0; 8];
        write.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"one\ntwo\n");
    }

    #[test]
    fn a_descriptor_must_be_what_it_is_said_to_be() {
        let mut holdings = Holdings::default();
        let file: OwnedFd = tempfile::tempfile().unwrap().into();
        let file = holdings.put(Held::Stdout, file).unwrap_err();
        let file = holdings.put(Held::Socket, file).unwrap_err();
        assert!(holdings.put(Held::Notify, file).is_err());
        let pipe = LogPipe::new().unwrap().read;
        holdings.put(Held::Stderr, pipe).unwrap();
        holdings.put(Held::Notify, notify::bind().unwrap()).unwrap();
        let listed: Vec<_> = holdings.list().into_iter().map(|(held, _)| held).collect();
        assert_eq!(listed, [Held::Stderr, Held::Notify]);
    }
}
