//! The loop: one owner of everything, one thread, nothing that blocks.
//!
//! In each turn: what the kernel says is taken in, what is due is done, then a bounded part of what
//! processes have written is read, then the log is handed over and every changed slot is told to
//! the clients, once. So control never waits for logs, and a client sees levels.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use control::shim::{Held, Message};
use logs::Stream;
use rustix::process::Signal;

use crate::clients::{Clients, Said};
use crate::clock;
use crate::context::Context;
use crate::own_process::Signals;
use crate::poll::{Interest, Token};
use crate::process;
use crate::slot::Slot;
use crate::survivors::Survivor;

/// How soon a journal or a log that could not be written is tried again, though nothing happens.
const DISK_RETRY: Duration = Duration::from_secs(1);

/// Most ended children reaped in one turn of the loop: orphans may end faster than they are reaped.
const REAPS_PER_TURN: usize = 256;

/// How long the last answers may take to leave at the end.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);

/// All of a running shim.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) context: Context,
    pub(crate) slots: Vec<Slot>,
    pub(crate) survivors: Vec<Survivor>,
    pub(crate) clients: Clients,
    pub(crate) next_slot_key: u32,
    pub(crate) exit_by: Option<Duration>,
    listener: OwnedFd,
    signals: Signals,
    is_init: bool,
    /// It was asked to end by a signal, as the first process of its pid namespace.
    ends_when_empty: bool,
    /// Children may have ended that were not reaped.
    has_ended_children: bool,
    /// When a disk that took not everything is tried again.
    retry_at: Option<Duration>,
}

impl Keeper {
    /// Puts together a shim; `is_init`: it is the first process of its pid namespace.
    pub(crate) fn new(
        context: Context,
        survivors: Vec<Survivor>,
        clients: Clients,
        listener: OwnedFd,
        signals: Signals,
        is_init: bool,
    ) -> io::Result<Self> {
        context.poll.add(signals.fd(), Token::Signals, Interest::Read)?;
        context.poll.add(&listener, Token::Control, Interest::Read)?;
        Ok(Self {
            context,
            slots: Vec::new(),
            survivors,
            clients,
            next_slot_key: 0,
            exit_by: None,
            listener,
            signals,
            is_init,
            ends_when_empty: false,
            has_ended_children: false,
            retry_at: None,
        })
    }

    /// Keeps the service until a client asks the shim to end.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let mut has_more = false;
        loop {
            let timeout = self.timeout(has_more);
            if timeout.is_none_or(|timeout| !timeout.is_zero()) {
                self.context.output.rest();
            }
            for token in self.context.poll.wait(timeout)? {
                self.take_in(token);
            }
            if self.has_ended_children {
                self.reap();
            }
            for client in self.clients.with_more() {
                self.client_ready(client);
            }
            self.do_what_is_due();
            has_more = false;
            for slot in &mut self.slots {
                has_more |= slot.read_logs(&mut self.context);
            }
            self.context.output.flush();
            let is_behind = self.context.journal.is_behind() || self.context.output.is_behind();
            if is_behind && self.retry_at.is_none() {
                self.retry_at = Some(clock::now() + DISK_RETRY);
            }
            self.tell();
            if let Some(by) = self.exit_by
                && (!self.clients.are_behind() || clock::now() >= by)
            {
                return Ok(());
            }
        }
    }

    fn timeout(&self, has_more: bool) -> Option<Duration> {
        if has_more || self.has_ended_children || !self.clients.with_more().is_empty() {
            return Some(Duration::ZERO);
        }
        let deadlines = [
            self.clients.deadline(),
            self.context.refusals.deadline(),
            self.retry_at,
            self.exit_by,
        ];
        let is_ending = self.exit_by.is_some();
        let slots = self.slots.iter().filter(|_| !is_ending).filter_map(Slot::deadline);
        let survivors = self.survivors.iter().filter_map(Survivor::deadline);
        let next = deadlines.into_iter().flatten().chain(slots).chain(survivors).min()?;
        Some(next.saturating_sub(clock::now()))
    }

    fn take_in(&mut self, token: Token) {
        match token {
            Token::Signals => self.read_signals(),
            Token::Control => self.clients.accept(&self.context.poll, &self.listener),
            Token::Client(key) => self.client_ready(key),
            Token::Stdout(key) => self.with_slot(key, |slot, _| slot.output_ready(Stream::Stdout)),
            Token::Stderr(key) => self.with_slot(key, |slot, _| slot.output_ready(Stream::Stderr)),
            Token::Notify(key) => self.with_slot(key, Slot::read_notices),
            Token::Listener(key) => self.with_slot(key, Slot::refuse_waiting),
            Token::Main(key) => self.with_slot(key, Slot::stranger_ended),
            Token::Tree(key) => self.with_slot(key, Slot::look_at_tree),
            Token::Refused(key) => self.context.refusals.readable(&self.context.poll, key),
            Token::Survivor(_) => self.bury(),
        }
    }

    fn with_slot(&mut self, key: u32, act: impl FnOnce(&mut Slot, &mut Context)) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.key == key) {
            act(slot, &mut self.context);
        }
    }

    fn client_ready(&mut self, key: u32) {
        for said in self.clients.ready(&self.context.poll, key) {
            match said {
                Said::Hello { client } => self.greet(client),
                Said::Request { client, request, fds } => self.answer(client, *request, fds),
            }
        }
    }

    fn read_signals(&mut self) {
        while let Some(signal) = self.signals.next() {
            match signal {
                libc::SIGCHLD => self.has_ended_children = true,
                // Only as the first process of a container is a signal meant for the service.
                _ if !self.is_init => {}
                libc::SIGTERM | libc::SIGINT => {
                    for slot in &mut self.slots {
                        slot.stop(&mut self.context);
                    }
                    self.ends_when_empty = true;
                }
                signal => {
                    if let Some(signal) = Signal::from_named_raw(signal) {
                        self.slots.iter().for_each(|slot| slot.forward(signal));
                    }
                }
            }
        }
    }

    /// Reaps children that have ended: main processes, orphans of their trees, strangers.
    fn reap(&mut self) {
        for _ in 0..REAPS_PER_TURN {
            let Some((pid, status)) = process::next_ended() else {
                self.has_ended_children = false;
                break;
            };
            // The slot looks at its tree while the zombie still keeps its id from being reused.
            if let Some(slot) = self.slots.iter_mut().find(|slot| slot.is_child(pid)) {
                slot.main_ended(&mut self.context, status);
            }
            process::reap(pid);
        }
        // An orphan's end may be the end of a tree that cannot be polled.
        for slot in &mut self.slots {
            slot.settle(&mut self.context);
        }
        self.bury();
    }

    fn do_what_is_due(&mut self) {
        let now = clock::now();
        // A shim that was asked to end starts nothing more.
        if self.exit_by.is_none() {
            for slot in &mut self.slots {
                slot.tick(&mut self.context, now);
            }
        }
        for survivor in &mut self.survivors {
            survivor.tick(now);
        }
        self.bury();
        self.clients.expire(&self.context.poll, now);
        self.context.refusals.expire(&self.context.poll, now);
        if self.retry_at.is_some_and(|at| at <= now) {
            // The log is tried at the end of each turn.
            self.retry_at = None;
            let written = self.context.journal.retry();
            self.context.judge_journal(written);
        }
        if self.ends_when_empty && self.exit_by.is_none() && self.slots.iter().all(Slot::is_empty) {
            self.exit_by = Some(now + FAREWELL);
        }
    }

    /// Forgets survivors that were discarded and are gone.
    fn bury(&mut self) {
        let poll = &self.context.poll;
        let mut gone = Vec::new();
        self.survivors.retain(|survivor| {
            let over = survivor.is_over(poll);
            if over {
                gone.push(survivor.slot);
            }
            !over
        });
        for slot in gone {
            let is_kept = self.slots.iter().any(|kept| kept.spec.id == slot);
            if !is_kept && !self.survivors.iter().any(|survivor| survivor.slot == slot) {
                self.context.record(crate::journal::Record::Removed { slot });
                self.clients.broadcast(&self.context.poll, &Message::Removed { slot }, &[]);
            }
        }
    }

    /// Tells the clients what has changed.
    pub(crate) fn tell(&mut self) {
        for slot in &mut self.slots {
            if std::mem::take(&mut slot.are_holdings_changed) {
                let (message, fds) = holding(slot);
                self.clients.broadcast(&self.context.poll, &message, &fds);
            }
            if std::mem::take(&mut slot.is_changed) {
                let message = Message::Slot { state: slot.state() };
                self.clients.broadcast(&self.context.poll, &message, &[]);
            }
        }
        if let Some((bytes, reason)) = self.context.output.newly_dropped() {
            let message = Message::LogsDropped { bytes, reason };
            self.clients.broadcast(&self.context.poll, &message, &[]);
        }
    }

    /// Tells a new client everything.
    fn greet(&mut self, client: u32) {
        let poll = &self.context.poll;
        for (listener, fd) in &self.context.shared {
            let message = Message::HoldingListener { listener: listener.clone() };
            self.clients.send(poll, client, &message, &[fd.as_fd()]);
        }
        for slot in &self.slots {
            let (message, fds) = holding(slot);
            self.clients.send(poll, client, &message, &fds);
        }
        for slot in &self.slots {
            self.clients.send(poll, client, &Message::Slot { state: slot.state() }, &[]);
        }
        let mut told = Vec::new();
        // The latest start of a slot is the one to adopt; earlier ones go with it.
        for survivor in self.survivors.iter().rev().filter(|one| !one.is_discarded()) {
            if let Some(pid) = survivor.pid().filter(|_| !told.contains(&survivor.slot)) {
                told.push(survivor.slot);
                let message = Message::Adoptable { slot: survivor.slot, pid };
                self.clients.send(poll, client, &message, &[]);
            }
        }
        let containment = self.context.containment();
        let message = Message::Ready { pid: std::process::id(), containment };
        self.clients.send(poll, client, &message, &[]);
    }
}

fn holding(slot: &Slot) -> (Message, Vec<BorrowedFd<'_>>) {
    let (held, fds): (Vec<Held>, Vec<BorrowedFd<'_>>) = slot.held().into_iter().unzip();
    (Message::Holding { slot: slot.spec.id, held }, fds)
}
