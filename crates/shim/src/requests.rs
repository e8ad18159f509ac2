//! What each request does. Every one is answered once, and none waits.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use control::shim::{
    AdoptSlot, Message, Numbered, Outcome, Request, SharedListener, SlotSocket, SlotSpec,
};
use control::{MAX_FRAME_FDS, SlotId};
use rustix::process::Signal;

use crate::clock;
use crate::holdings::Holdings;
use crate::keeper::{FAREWELL, Keeper};
use crate::lines::Tail;
use crate::slot::Slot;
use crate::sockets;
use crate::spawn::MAX_SOCKETS;
use crate::steal;
use crate::survivors::Survivor;

/// Most slots of one service; each costs some eight descriptors.
const MAX_SLOTS: usize = 1024;

/// Longest path of a recipe: the kernel takes no longer one.
const MAX_PATH_BYTES: usize = 4095;

/// Longest name of a release or of a listener. Both are repeated in messages, which would be too
/// long for a frame, to every client, with names that are.
const MAX_NAME_BYTES: usize = 1024;

/// Most shared listeners; with the slot's own socket they are what a process can be passed.
const MAX_SHARED: usize = MAX_SOCKETS - 1;

/// What came of a request.
enum Answer {
    Accepted,
    /// Accepted, and the descriptor of this shared listener goes with it.
    Listener(usize),
    Refused(String),
    Unsupported,
}

impl Answer {
    fn of(result: Result<(), String>) -> Self {
        match result {
            Ok(()) => Self::Accepted,
            Err(reason) => Self::Refused(reason),
        }
    }
}

impl Keeper {
    /// Does what is asked and replies.
    pub(crate) fn answer(&mut self, client: u32, numbered: Numbered, fds: Vec<OwnedFd>) {
        let answer = match numbered.request {
            // Nobody would keep it.
            Request::Start { .. } | Request::Open { .. } | Request::Adopt { .. }
                if self.exit_by.is_some() =>
            {
                Answer::Refused("this shim was asked to end".to_owned())
            }
            Request::Start { slot } => Answer::of(self.start(*slot)),
            Request::Stop { slot } => Answer::of(self.stop(slot)),
            Request::Remove { slot } => Answer::of(self.remove(slot)),
            Request::Open { listener } => self.open(listener),
            Request::Close { name } => {
                self.context.shared.retain(|(listener, _)| listener.name != name);
                Answer::Accepted
            }
            Request::Adopt { slots, listeners } => Answer::of(self.adopt(slots, listeners, fds)),
            Request::Discard { slot } => Answer::of(self.discard(slot)),
            Request::FlushLogs {} => {
                for slot in &mut self.slots {
                    slot.drain_logs(&mut self.context, Tail::Continues);
                }
                self.context.output.flush();
                Answer::Accepted
            }
            Request::Exit {} => Answer::of(self.exit()),
            Request::Unknown => Answer::Unsupported,
        };
        // Before the reply: whoever has it knows the state that it led to, and takes a slot that
        // was started just now for no other.
        self.tell();
        let mut sent: Vec<BorrowedFd<'_>> = Vec::new();
        let outcome = match answer {
            Answer::Accepted => Outcome::Accepted,
            Answer::Listener(index) => {
                sent.push(self.context.shared[index].1.as_fd());
                Outcome::Accepted
            }
            Answer::Refused(reason) => Outcome::Refused { reason },
            Answer::Unsupported => Outcome::Unsupported,
        };
        let reply = Message::Reply { re: numbered.id, outcome };
        self.clients.send(&self.context.poll, client, &reply, &sent);
    }

    fn slot(&mut self, id: SlotId) -> Option<usize> {
        self.slots.iter().position(|slot| slot.spec.id == id)
    }

    fn start(&mut self, spec: SlotSpec) -> Result<(), String> {
        check(&spec)?;
        let alone = self.check_survivors(spec.id, |_| true);
        if let Some(index) = self.slot(spec.id) {
            let slot = &mut self.slots[index];
            slot.is_changed = true;
            if slot.can_start_again() {
                alone?;
                if slot.spec.socket != spec.socket {
                    return Err(format!("slot {} has another socket; remove it first", spec.id));
                }
                slot.spec = spec;
                slot.start(&mut self.context);
            }
            return Ok(());
        }
        alone?;
        if self.slots.len() >= MAX_SLOTS {
            return Err(format!("{MAX_SLOTS} slots are the most of one service"));
        }
        let past = self.context.journal.past(spec.id).and_then(|past| past.start.as_ref());
        let starts = past.map_or(0, |start| start.number);
        let key = self.new_key();
        let mut slot = Slot::create(&self.context, key, spec, starts).map_err(|e| chain(&e))?;
        slot.start(&mut self.context);
        self.slots.push(slot);
        Ok(())
    }

    /// Refuses a slot in which a process of an earlier shim lives that satisfies `condition`.
    fn check_survivors(
        &self,
        id: SlotId,
        condition: impl Fn(&Survivor) -> bool,
    ) -> Result<(), String> {
        match self.survivors.iter().find(|one| one.slot == id && condition(one)) {
            None => Ok(()),
            Some(survivor) if survivor.is_discarded() => {
                Err(format!("a process of an earlier shim is being ended in slot {id}"))
            }
            Some(_) => Err(format!(
                "a process of an earlier shim lives in slot {id}; adopt it or discard it"
            )),
        }
    }

    fn new_key(&mut self) -> u32 {
        self.next_slot_key += 1;
        self.next_slot_key
    }

    fn stop(&mut self, id: SlotId) -> Result<(), String> {
        let index = self.slot(id).ok_or_else(|| format!("there is no slot {id}"))?;
        self.slots[index].stop(&mut self.context);
        Ok(())
    }

    fn remove(&mut self, id: SlotId) -> Result<(), String> {
        // One that is not there is removed already.
        let Some(index) = self.slot(id) else { return Ok(()) };
        if !self.slots[index].is_empty() {
            return Err(format!("slot {id} has processes; stop it first"));
        }
        let slot = self.slots.remove(index);
        slot.close(&mut self.context);
        self.clients.broadcast(&self.context.poll, &Message::Removed { slot: id }, &[]);
        Ok(())
    }

    fn open(&mut self, listener: SharedListener) -> Answer {
        if listener.name.len() > MAX_NAME_BYTES {
            return Answer::Refused(format!("{MAX_NAME_BYTES} bytes are the most of a name"));
        }
        let same = |(known, _): &(SharedListener, OwnedFd)| known.name == listener.name;
        if let Some(index) = self.context.shared.iter().position(same) {
            let known = self.context.shared[index].0.address;
            return if known == listener.address {
                Answer::Listener(index)
            } else {
                Answer::Refused(format!("listener `{}` is on {known}", listener.name))
            };
        }
        if self.context.shared.len() >= MAX_SHARED {
            return Answer::Refused(format!("{MAX_SHARED} listeners are the most of one service"));
        }
        let bound = sockets::bind_shared(listener.address)
            .or_else(|error| self.recover_listener(&listener).ok_or(error));
        match bound {
            Ok(fd) => {
                self.keep_listener(listener, fd);
                Answer::Listener(self.context.shared.len() - 1)
            }
            Err(error) => Answer::Refused(chain(&error)),
        }
    }

    /// Returns the listener on this address that processes of ours have had from an earlier shim,
    /// if it and all who kept its descriptors died together.
    fn recover_listener(&self, listener: &SharedListener) -> Option<OwnedFd> {
        let slots = self.slots.iter().flat_map(Slot::processes);
        let survivors = self.survivors.iter().flat_map(|survivor| survivor.tree.processes());
        slots.chain(survivors).find_map(|pid| steal::shared_listener(pid, listener.address))
    }

    fn keep_listener(&mut self, listener: SharedListener, fd: OwnedFd) {
        let message = Message::HoldingListener { listener: listener.clone() };
        self.clients.broadcast(&self.context.poll, &message, &[fd.as_fd()]);
        self.context.shared.push((listener, fd));
    }

    fn adopt(
        &mut self,
        slots: Vec<AdoptSlot>,
        listeners: Vec<SharedListener>,
        fds: Vec<OwnedFd>,
    ) -> Result<(), String> {
        let named = slots.iter().map(|slot| slot.held.len()).sum::<usize>() + listeners.len();
        if named != fds.len() || named > MAX_FRAME_FDS {
            return Err(format!("{named} descriptors are named, {} came", fds.len()));
        }
        if self.context.shared.len() + listeners.len() > MAX_SHARED
            || self.slots.len() + slots.len() > MAX_SLOTS
        {
            return Err("too many slots or listeners for one service".to_owned());
        }
        for slot in &slots {
            check(&slot.spec)?;
            if slot.spec.socket == SlotSocket::Unknown {
                return Err(format!("slot {} has a socket of a kind too new", slot.spec.id));
            }
            // It would be taken for one that has ended, and started beside what is left of it.
            self.check_survivors(slot.spec.id, Survivor::is_discarded)?;
        }
        let mut fds = fds.into_iter();
        let mut kept = Vec::new();
        for AdoptSlot { spec, held } in slots {
            let mut holdings = Holdings::default();
            for (held, fd) in held.into_iter().zip(fds.by_ref()) {
                if holdings.put(held, fd).is_err() {
                    return Err(format!("the {held:?} descriptor of slot {} is none", spec.id));
                }
            }
            kept.push((spec, holdings));
        }
        for (listener, fd) in listeners.into_iter().zip(fds) {
            if !sockets::is_listener(&fd) {
                return Err(format!("the descriptor of `{}` is no listener", listener.name));
            }
            // Before the slots: one that is started again needs them.
            if !self.context.shared.iter().any(|(known, _)| known.name == listener.name) {
                self.keep_listener(listener, fd);
            }
        }
        for (spec, holdings) in kept {
            self.adopt_slot(spec, holdings);
        }
        Ok(())
    }

    fn adopt_slot(&mut self, spec: SlotSpec, holdings: Holdings) {
        if let Some(index) = self.slot(spec.id) {
            // Kept already; a client that asks twice is told again.
            self.slots[index].is_changed = true;
            return;
        }
        // The latest start is the slot's; what is left of earlier ones is nobody's.
        let now = clock::now();
        let latest = self
            .survivors
            .iter()
            .enumerate()
            .filter(|(_, survivor)| survivor.slot == spec.id && !survivor.is_discarded())
            .max_by_key(|(_, survivor)| survivor.number)
            .map(|(index, _)| index);
        let survivor = latest.map(|index| self.survivors.remove(index));
        for older in self.survivors.iter_mut().filter(|survivor| survivor.slot == spec.id) {
            older.discard(&self.context.poll, now);
        }
        let key = self.new_key();
        let slot = Slot::adopt(&mut self.context, key, spec, holdings, survivor);
        self.slots.push(slot);
    }

    fn discard(&mut self, id: SlotId) -> Result<(), String> {
        if self.slot(id).is_some() {
            return Err(format!("slot {id} is kept; stop it instead"));
        }
        let now = clock::now();
        for survivor in self.survivors.iter_mut().filter(|survivor| survivor.slot == id) {
            survivor.discard(&self.context.poll, now);
        }
        Ok(())
    }

    fn exit(&mut self) -> Result<(), String> {
        if let Some(slot) = self.slots.iter().find(|slot| !slot.is_empty()) {
            return Err(format!("slot {} has processes; stop it first", slot.spec.id));
        }
        if let Some(survivor) = self.survivors.first() {
            return Err(format!("slot {} has processes of an earlier shim", survivor.slot));
        }
        for slot in &mut self.slots {
            slot.drain_logs(&mut self.context, Tail::Ends);
        }
        self.exit_by = Some(clock::now() + FAREWELL);
        Ok(())
    }
}

/// Refuses a recipe that cannot be followed.
fn check(spec: &SlotSpec) -> Result<(), String> {
    let id = spec.id;
    if !spec.program.starts_with('/') || !spec.directory.starts_with('/') {
        return Err(format!("program and directory of slot {id} must be absolute"));
    }
    if spec.arguments.is_empty() {
        return Err(format!("slot {id} has no arguments, not even the program's name"));
    }
    if Signal::from_named_raw(spec.stop_signal).is_none() {
        return Err(format!("slot {id} has no valid stop signal: {}", spec.stop_signal));
    }
    let socket = match &spec.socket {
        SlotSocket::Unix { path, .. } => Some(path),
        SlotSocket::None | SlotSocket::Unknown => None,
    };
    let sockets = socket.into_iter().chain(&spec.process_socket);
    if sockets.clone().any(|path| !path.starts_with('/')) {
        return Err(format!("the socket of slot {id} must have an absolute path"));
    }
    let paths = [&spec.program, &spec.directory].into_iter().chain(&spec.lease).chain(sockets);
    if paths.clone().any(|path| path.len() > MAX_PATH_BYTES) || spec.release.len() > MAX_NAME_BYTES
    {
        return Err(format!("a path or the release's name of slot {id} is too long"));
    }
    let texts = spec.arguments.iter().chain(paths);
    let variables = spec.environment.iter();
    if texts.chain(variables.clone().map(|(_, value)| value)).any(|text| text.contains('\0')) {
        return Err(format!("a text of slot {id} holds a NUL byte"));
    }
    if variables.into_iter().any(|(name, _)| name.is_empty() || name.contains(['=', '\0'])) {
        return Err(format!("a variable of slot {id} has no valid name"));
    }
    Ok(())
}

/// Returns an error and its sources as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = source.source();
    }
    text
}
