//! Taking over a slot of an earlier shim.
//!
//! The descriptors come from the fd store. What it lacks is looked for in the survivors (their
//! listener by `pidfd_getfd`, their pipes through `/proc/PID/fd`), where we may; what is still
//! missing then makes the slot `incomplete` until its next start.

use std::path::Path;

use control::shim::{Exit, ExitStatus, Process, SlotSocket, SlotSpec};
use std::time::Duration;

use super::{Next, Slot, Stage, Start};
use crate::clock;
use crate::context::Context;
use crate::holdings::{Holdings, reopen_pipe};
use crate::journal::{Past, Record};
use crate::poll::{Interest, Token};
use crate::restart::{Life, restarts};
use crate::steal;
use crate::survivors::Survivor;

impl Slot {
    /// Takes over a slot: what the fd store kept of it, what the journal knows of it, and what is
    /// alive of its last start.
    pub(crate) fn adopt(
        context: &mut Context,
        key: u32,
        spec: SlotSpec,
        mut holdings: Holdings,
        survivor: Option<Survivor>,
    ) -> Self {
        if let Some(survivor) = &survivor {
            recover(&mut holdings, &spec, survivor);
        }
        let past = context.journal.past(spec.id).cloned().unwrap_or_default();
        let recorded = past.start.as_ref().map_or(0, |start| start.number);
        let mut slot = Self::new(key, spec, holdings);
        slot.incomplete = survivor.is_some() && !slot.holdings.are_complete(&slot.spec);
        slot.starts = survivor.as_ref().map_or(recorded, |survivor| survivor.number.max(recorded));
        slot.register(context);
        match survivor {
            Some(survivor) => slot.take_over(context, survivor, &past),
            None => slot.go_on_without(context, &past),
        }
        slot
    }

    /// Something is alive.
    fn take_over(&mut self, context: &mut Context, survivor: Survivor, past: &Past) {
        let now = clock::now();
        let Survivor { main, tree, number, .. } = survivor;
        let record = past.start.as_ref().filter(|start| start.number == number);
        let process = Process {
            pid: record.map_or(0, |start| start.pid),
            start_ticks: record.map_or(0, |start| start.start_ticks),
            started_at_ms: record.map_or(0, |start| start.started_at_ms),
            adopted: true,
        };
        let age = clock::wall_ms().saturating_sub(process.started_at_ms);
        let start = Start {
            process,
            began: now.saturating_sub(Duration::from_millis(age)),
            main: main.map(|(_, pidfd)| pidfd),
            tree,
            launch: None,
            startup: None,
            look_at: now,
            was_killed: false,
        };
        self.watch_tree(context, &start);
        self.notified = past.ready;
        if let Some(main) = &start.main {
            if let Err(error) = context.poll.add(main, Token::Main(self.key), Interest::Read) {
                crate::context::note(&format!("failed to watch an adopted process: {error}"));
            }
            self.start = Some(start);
            self.stage = Stage::Running;
            self.event(context, &format!("adopted, process {}", process.pid));
            if past.stopping {
                self.stage = Stage::Stopping { kill_at: now + self.stop_grace() };
                self.send_stop(context);
            }
            return;
        }
        let kill_at = now + self.clearing_grace();
        start.tree.signal(rustix::process::Signal::TERM);
        start.tree.signal(rustix::process::Signal::CONT);
        self.start = Some(start);
        self.event(context, "adopted what an ended process left behind, ending it");
        self.note_exit(context, past);
        self.stage = if past.stopping {
            Stage::Stopping { kill_at }
        } else {
            Stage::Clearing { kill_at, next: self.next() }
        };
        self.settle(context);
    }

    /// Nothing is alive.
    fn go_on_without(&mut self, context: &mut Context, past: &Past) {
        self.note_exit(context, past);
        if past.stopping {
            self.stage = Stage::Stopped;
            self.refuse(context);
            return;
        }
        if let Next::Restart(_) = self.next() {
            self.start(context);
        } else {
            self.stage = Stage::Finished;
            self.refuse(context);
        }
    }

    /// Takes over how the last process ended; if nobody saw it, that is unknown.
    fn note_exit(&mut self, context: &mut Context, past: &Past) {
        let Some(start) = &past.start else { return };
        let exit = past.exit.unwrap_or_else(|| {
            let exit = Exit {
                pid: start.pid,
                status: ExitStatus::Unknown,
                at_ms: clock::wall_ms(),
                lived_ms: clock::wall_ms().saturating_sub(start.started_at_ms),
                requested: past.stopping,
            };
            context.record(Record::Exited { slot: self.spec.id, exit });
            self.event(context, &format!("process {} ended unseen: exit unknown", exit.pid));
            exit
        });
        self.last_exit = Some(exit);
    }

    /// Returns what the policy wants after the exit that was noted.
    fn next(&self) -> Next {
        let status = self.last_exit.map_or(ExitStatus::Unknown, |exit| exit.status);
        let lived = self.last_exit.map_or(0, |exit| exit.lived_ms);
        if restarts(self.spec.restart, status) {
            let life =
                Life { began: clock::now(), lived: Duration::from_millis(lived), startup: None };
            Next::Restart(life)
        } else {
            Next::Finish
        }
    }
}

/// Looks in the survivors for what the fd store did not keep.
fn recover(holdings: &mut Holdings, spec: &SlotSpec, survivor: &Survivor) {
    for pid in survivor.tree.processes() {
        if holdings.are_complete(spec) {
            return;
        }
        if holdings.stdout.is_none() {
            holdings.stdout = reopen_pipe(pid, 1);
        }
        if holdings.stderr.is_none() {
            holdings.stderr = reopen_pipe(pid, 2);
        }
        if let SlotSocket::Unix { path, .. } = &spec.socket
            && holdings.socket.is_none()
        {
            holdings.socket = steal::slot_listener(pid, Path::new(path));
        }
    }
}
