//! A slot's descriptors: made, passed on, read, closed.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use control::shim::{Held, SLOT_SOCKET_NAME, SlotSocket, SlotSpec, encode_listener_name};
use logs::Stream;

use super::Slot;
use crate::clock;
use crate::context::{Context, note};
use crate::holdings::{Holdings, HoldingsError};
use crate::journal::Record;
use crate::lines::Tail;
use crate::notify;
use crate::output::Origin;
use crate::poll::{Interest, Token};
use crate::sockets;
use crate::tree::MARK;

/// The variables that are the shim's to set.
const OURS: [&str; 5] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", MARK];

type Variables = Vec<(String, String)>;

impl Slot {
    /// Makes a slot's descriptors; nothing is started yet.
    pub(crate) fn create(
        context: &Context,
        key: u32,
        spec: SlotSpec,
        starts: u64,
    ) -> Result<Self, HoldingsError> {
        let mut holdings = Holdings::default();
        if let Err(error) = holdings.complete(&spec) {
            if holdings.socket.is_some()
                && let SlotSocket::Unix { path, .. } = &spec.socket
            {
                let _ = sockets::unlink(Path::new(path));
            }
            return Err(error);
        }
        let slot = Self { starts, ..Self::new(key, spec, holdings) };
        slot.register(context);
        Ok(slot)
    }

    pub(super) fn complete_holdings(&mut self, context: &Context) -> Result<(), HoldingsError> {
        if !self.holdings.are_complete(&self.spec) {
            self.holdings.complete(&self.spec)?;
            self.register(context);
            self.are_holdings_changed = true;
        }
        Ok(())
    }

    /// Polls what is not polled yet.
    pub(super) fn register(&self, context: &Context) {
        let add = |fd: BorrowedFd<'_>, token, interest| match context.poll.add(fd, token, interest)
        {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                note(&format!("failed to watch a descriptor of {}: {error}", self.spec.id));
            }
            _ => {}
        };
        if let Some(pipe) = &self.holdings.stdout {
            add(pipe.as_fd(), Token::Stdout(self.key), Interest::ReadEdge);
        }
        if let Some(pipe) = &self.holdings.stderr {
            add(pipe.as_fd(), Token::Stderr(self.key), Interest::ReadEdge);
        }
        if let Some(socket) = &self.holdings.notify {
            add(socket.as_fd(), Token::Notify(self.key), Interest::Read);
        }
    }

    /// Returns the sockets that a process gets as descriptors 3 and up, and its environment.
    pub(super) fn passed<'a>(
        &'a self,
        context: &'a Context,
        mark: Option<&String>,
    ) -> (Vec<BorrowedFd<'a>>, io::Result<Variables>) {
        let mut sockets = Vec::new();
        let mut names = Vec::new();
        if let Some(socket) = &self.holdings.socket {
            sockets.push(socket.as_fd());
            names.push(SLOT_SOCKET_NAME.to_owned());
        }
        for (listener, fd) in &context.shared {
            sockets.push(fd.as_fd());
            names.push(encode_listener_name(&listener.name));
        }
        let given = self.spec.environment.iter();
        let mut environment: Variables =
            given.filter(|(name, _)| !OURS.contains(&name.as_str())).cloned().collect();
        let mut add = |name: &str, value| environment.push((name.to_owned(), value));
        if !sockets.is_empty() {
            // LISTEN_PID is known to the child only.
            add("LISTEN_FDS", sockets.len().to_string());
            add("LISTEN_FDNAMES", names.join(":"));
        }
        if let Some(mark) = mark {
            add(MARK, mark.clone());
        }
        if self.spec.notify
            && let Some(socket) = &self.holdings.notify
        {
            match notify::address(socket) {
                Ok(address) => add("NOTIFY_SOCKET", address),
                Err(error) => return (sockets, Err(error)),
            }
        }
        (sockets, Ok(environment))
    }

    /// Returns what is held, for the fd store.
    pub(crate) fn held(&self) -> Vec<(Held, BorrowedFd<'_>)> {
        self.holdings.list()
    }

    /// Notes that a pipe became readable.
    pub(crate) fn output_ready(&mut self, stream: Stream) {
        let pipe = match stream {
            Stream::Stdout => &mut self.holdings.stdout,
            _ => &mut self.holdings.stderr,
        };
        if let Some(pipe) = pipe {
            pipe.has_more = true;
        }
    }

    /// Reads one turn's worth of output; returns whether there is more.
    pub(crate) fn read_logs(&mut self, context: &mut Context) -> bool {
        self.each_pipe(context, |output, origin, stream, pipe| {
            if pipe.has_more {
                output.pull(origin, stream, pipe);
            }
        });
        let pipes = [&self.holdings.stdout, &self.holdings.stderr];
        pipes.into_iter().flatten().any(|pipe| pipe.has_more)
    }

    /// Reads everything that is in the pipes now.
    pub(crate) fn drain_logs(&mut self, context: &mut Context, tail: Tail) {
        self.each_pipe(context, |output, origin, stream, pipe| {
            output.drain(origin, stream, pipe, tail);
        });
    }

    fn each_pipe(
        &mut self,
        context: &mut Context,
        mut act: impl FnMut(
            &mut crate::output::Output,
            Origin<'_>,
            Stream,
            &mut crate::holdings::LogPipe,
        ),
    ) {
        let pid = self.start.as_ref().map_or(0, |start| start.process.pid);
        let origin = Origin { slot: self.spec.id, pid, release: &self.spec.release };
        if let Some(pipe) = &mut self.holdings.stdout {
            act(&mut context.output, origin, Stream::Stdout, pipe);
        }
        if let Some(pipe) = &mut self.holdings.stderr {
            act(&mut context.output, origin, Stream::Stderr, pipe);
        }
    }

    /// Records what the shim did with this slot.
    pub(super) fn event(&self, context: &mut Context, text: &str) {
        let pid = self.start.as_ref().map_or(0, |start| start.process.pid);
        let origin = Origin { slot: self.spec.id, pid, release: &self.spec.release };
        context.output.event(origin, text);
    }

    /// Reads the notify socket.
    pub(crate) fn read_notices(&mut self, context: &mut Context) {
        let mut notices = Vec::new();
        if let Some(socket) = &self.holdings.notify {
            notify::receive(socket, &mut |sender, notice| notices.push((sender, notice)));
        }
        for (sender, notice) in notices {
            self.notice(context, sender, notice);
        }
    }

    /// Answers for a process that is down for longer than a restart.
    pub(super) fn refuse(&mut self, context: &mut Context) {
        let Some(socket) = self.holdings.socket.as_ref().filter(|_| !self.is_refusing) else {
            return;
        };
        let ready = sockets::set_nonblocking(socket, true)
            .and_then(|()| context.poll.add(socket, Token::Listener(self.key), Interest::Read));
        match ready {
            Ok(()) => self.is_refusing = true,
            Err(error) => {
                note(&format!("failed to refuse connections of {}: {error}", self.spec.id));
            }
        }
    }

    pub(super) fn accept_no_more(&mut self, context: &Context) {
        if let Some(socket) = self.holdings.socket.as_ref().filter(|_| self.is_refusing) {
            context.poll.remove(socket);
        }
        self.is_refusing = false;
    }

    /// Answers who has connected.
    pub(crate) fn refuse_waiting(&mut self, context: &mut Context) {
        if let Some(socket) = self.holdings.socket.as_ref().filter(|_| self.is_refusing) {
            context.refusals.answer(&context.poll, socket, clock::now());
        }
    }

    /// Closes everything of a slot that has no process, and forgets it.
    pub(crate) fn close(mut self, context: &mut Context) {
        self.drain_logs(context, Tail::Ends);
        for (_, fd) in self.holdings.list() {
            context.poll.remove(fd);
        }
        let own = match &self.spec.socket {
            SlotSocket::Unix { path, .. } => Some(path),
            SlotSocket::None | SlotSocket::Unknown => None,
        };
        for path in own.into_iter().chain(&self.spec.process_socket) {
            if let Err(error) = sockets::unlink(Path::new(path)) {
                note(&format!("failed to remove `{path}`: {error}"));
            }
        }
        context.record(Record::Removed { slot: self.spec.id });
    }
}

/// Duplicates descriptors for a message.
pub(crate) fn duplicate(fds: &[BorrowedFd<'_>]) -> io::Result<Vec<OwnedFd>> {
    fds.iter().map(BorrowedFd::try_clone_to_owned).collect()
}
