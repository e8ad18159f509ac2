//! Takes whole lines out of log pipes so that a killed shim loses none.
//!
//! A byte leaves the pipe only after the writer has handed it to the kernel. For that the pipe is
//! looked at first: `tee(2)` copies references of its pages into a pipe of our own, which is read
//! and cut into lines; then they are written; then as many bytes are thrown away from the pipe
//! itself, without being copied (`splice(2)` to `/dev/null`). The beginning of an unfinished line
//! stays where it is, so there is no half line in memory either.
//!
//! Killed between writing and throwing away, a shim leaves lines to be written twice: at least
//! once, rather than at most once.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use logs::MAX_LINE_BYTES;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice, tee};

use crate::holdings::PIPE_BYTES;
use crate::lines::{self, Tail};

/// What one look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pulled {
    /// So many bytes; there may be more.
    Bytes(usize),
    /// Nothing more for now.
    Idle,
    /// Nothing more, and nobody has the other end.
    Ended,
}

/// What is needed to read any number of pipes, one after the other.
#[derive(Debug)]
pub(crate) struct Capture {
    look_read: OwnedFd,
    look_write: OwnedFd,
    nowhere: OwnedFd,
    buffer: Vec<u8>,
}

impl Capture {
    pub(crate) fn new() -> io::Result<Self> {
        let (look_read, look_write) = look_pipe()?;
        let nowhere = OpenOptions::new().write(true).open("/dev/null")?.into();
        Ok(Self { look_read, look_write, nowhere, buffer: Vec::new() })
    }

    /// Gives whole lines that are in `pipe` to `sink`, then calls `written`, then takes them out.
    pub(crate) fn pull<S>(
        &mut self,
        pipe: impl AsFd,
        tail: Tail,
        state: &mut S,
        sink: fn(&mut S, &[u8], bool),
        written: fn(&mut S),
    ) -> io::Result<Pulled> {
        let before = rustix::io::ioctl_fionread(&pipe)?;
        let count = loop {
            match tee(&pipe, &self.look_write, MAX_LINE_BYTES, SpliceFlags::NONBLOCK) {
                Ok(0) => return Ok(Pulled::Ended),
                Ok(count) => break count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Pulled::Idle),
                Err(errno) => return Err(errno.into()),
            }
        };
        if let Err(error) = self.read_look(count) {
            // Whatever is left in there would come out in front of the next look.
            (self.look_read, self.look_write) = look_pipe()?;
            return Err(error);
        }
        // Fewer bytes than there were: the end of these is no end. But a line that is spread over
        // more pages than a pipe of ours has must be cut, or it would be in the way for ever.
        let is_cut = (count as u64) < before;
        let used = {
            let mut each = |line: &[u8], partial| sink(state, line, partial);
            let tail = if is_cut { Tail::Keep } else { tail };
            match lines::split(&self.buffer, tail, &mut each) {
                0 if is_cut => lines::split(&self.buffer, Tail::Continues, &mut each),
                used => used,
            }
        };
        written(state);
        self.discard(&pipe, used)?;
        Ok(if used == 0 { Pulled::Idle } else { Pulled::Bytes(used) })
    }

    fn read_look(&mut self, count: usize) -> io::Result<()> {
        self.buffer.resize(count, 0);
        let mut filled = 0;
        while filled < count {
            match rustix::io::read(&self.look_read, &mut self.buffer[filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => filled += more,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn discard(&mut self, pipe: &impl AsFd, count: usize) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            let flags = SpliceFlags::NONBLOCK;
            match splice(pipe, None, &self.nowhere, None, left, flags) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(gone) => left -= gone,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Gives the buffer's memory back until it is needed again.
    pub(crate) fn rest(&mut self) {
        self.buffer = Vec::new();
    }
}

fn look_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    let _ = fcntl_setpipe_size(&write, PIPE_BYTES);
    Ok((read, write))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::holdings::LogPipe;
    use std::fs::File;
    use std::io::Write as _;

    #[derive(Default)]
    struct Seen {
        lines: Vec<(Vec<u8>, bool)>,
    }

    fn pull(capture: &mut Capture, pipe: &LogPipe, tail: Tail, seen: &mut Seen) -> Pulled {
        let sink =
            |seen: &mut Seen, line: &[u8], partial| seen.lines.push((line.to_vec(), partial));
        capture.pull(pipe, tail, seen, sink, |_| {}).unwrap()
    }

    #[test]
    fn an_unfinished_line_stays_in_the_pipe() {
        let (mut capture, pipe) = (Capture::new().unwrap(), LogPipe::new().unwrap());
        let mut process = File::from(pipe.open_for_process().unwrap());
        let mut seen = Seen::default();
        assert_eq!(pull(&mut capture, &pipe, Tail::Keep, &mut seen), Pulled::Idle);
        process.write_all(b"one\ntw").unwrap();
        assert_eq!(pull(&mut capture, &pipe, Tail::Keep, &mut seen), Pulled::Bytes(4));
        assert_eq!(pull(&mut capture, &pipe, Tail::Keep, &mut seen), Pulled::Idle);
        assert_eq!(rustix::io::ioctl_fionread(&pipe).unwrap(), 2);
        process.write_all(b"o\nthree").unwrap();
        assert_eq!(pull(&mut capture, &pipe, Tail::Keep, &mut seen), Pulled::Bytes(4));
        drop(process);
        assert_eq!(pull(&mut capture, &pipe, Tail::Ends, &mut seen), Pulled::Bytes(5));
        assert_eq!(pull(&mut capture, &pipe, Tail::Ends, &mut seen), Pulled::Ended);
        let lines: Vec<_> = seen.lines.iter().map(|(line, _)| line.as_slice()).collect();
        assert_eq!(lines, [b"one".as_slice(), b"two", b"three"]);
    }

    #[test]
    fn taking_everything_cuts_no_line_in_two() {
        let (mut capture, pipe) = (Capture::new().unwrap(), LogPipe::new().unwrap());
        let mut process = File::from(pipe.open_for_process().unwrap());
        let lines = 3 * MAX_LINE_BYTES / 7;
        process.write_all(&b"abcdef\n".repeat(lines)).unwrap();
        process.write_all(b"end").unwrap();
        let mut seen = Seen::default();
        while matches!(pull(&mut capture, &pipe, Tail::Ends, &mut seen), Pulled::Bytes(_)) {}
        assert_eq!(seen.lines.len(), lines + 1);
        assert_eq!(seen.lines.pop(), Some((b"end".to_vec(), false)));
        assert!(seen.lines.iter().all(|line| *line == (b"abcdef".to_vec(), false)));
    }

    #[test]
    fn a_line_longer_than_a_record_goes_on() {
        let (mut capture, pipe) = (Capture::new().unwrap(), LogPipe::new().unwrap());
        let mut process = File::from(pipe.open_for_process().unwrap());
        let long = 2 * MAX_LINE_BYTES + 10;
        process.write_all(&vec![b'x'; long]).unwrap();
        process.write_all(b"\n").unwrap();
        let mut seen = Seen::default();
        while matches!(pull(&mut capture, &pipe, Tail::Keep, &mut seen), Pulled::Bytes(_)) {}
        let shape: Vec<_> =
            seen.lines.iter().map(|(line, partial)| (line.len(), *partial)).collect();
        assert_eq!(shape, [(MAX_LINE_BYTES, true), (MAX_LINE_BYTES, true), (10, false)]);
    }
}
