//! Duplicates of what shims hold.
//!
//! Sockets and pipes live as long as one process has them open. The shim has them, and here is the
//! second copy, so that a killed shim costs no queued connection and no unread log line.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use control::SlotId;
use control::shim::{Held, SharedListener};

use crate::limits::{MAX_HELD_PER_SLOT, MAX_LISTENERS_HELD, MAX_SLOTS_HELD};

/// The descriptors of one service.
#[derive(Debug, Default)]
pub(crate) struct FdStore {
    slots: BTreeMap<SlotId, BTreeMap<Held, OwnedFd>>,
    listeners: BTreeMap<String, (SharedListener, OwnedFd)>,
}

impl FdStore {
    /// Keeps what came for a slot; a newer one of the same kind replaces the older. Returns false
    /// when something had to be dropped because the store is full.
    pub(crate) fn keep(&mut self, slot: SlotId, held: &[Held], fds: Vec<OwnedFd>) -> bool {
        if !self.slots.contains_key(&slot) && self.slots.len() >= MAX_SLOTS_HELD {
            return false;
        }
        let kept = self.slots.entry(slot).or_default();
        for (kind, fd) in held.iter().zip(fds) {
            // A kind that we cannot name is one that we could not hand back.
            if *kind == Held::Unknown {
                continue;
            }
            if !kept.contains_key(kind) && kept.len() >= MAX_HELD_PER_SLOT {
                return false;
            }
            kept.insert(*kind, fd);
        }
        true
    }

    /// Keeps a shared listener. Returns false when the store is full.
    pub(crate) fn keep_listener(&mut self, listener: SharedListener, fd: OwnedFd) -> bool {
        if !self.listeners.contains_key(&listener.name)
            && self.listeners.len() >= MAX_LISTENERS_HELD
        {
            return false;
        }
        self.listeners.insert(listener.name.clone(), (listener, fd));
        true
    }

    /// Drops a slot's.
    pub(crate) fn forget(&mut self, slot: SlotId) {
        self.slots.remove(&slot);
    }

    /// Drops a shared listener.
    pub(crate) fn forget_listener(&mut self, name: &str) {
        self.listeners.remove(name);
    }

    /// Drops all shared listeners.
    pub(crate) fn forget_listeners(&mut self) {
        self.listeners.clear();
    }

    /// Drops those of all slots for which `keep` says no.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(SlotId) -> bool) {
        self.slots.retain(|slot, _| keep(*slot));
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns duplicates of a slot's, to be handed to a shim.
    pub(crate) fn duplicate(&self, slot: SlotId) -> io::Result<(Vec<Held>, Vec<OwnedFd>)> {
        let mut held = Vec::new();
        let mut fds = Vec::new();
        for (kind, fd) in self.slots.get(&slot).into_iter().flatten() {
            held.push(*kind);
            fds.push(fd.try_clone()?);
        }
        Ok((held, fds))
    }

    /// Returns duplicates of all shared listeners.
    pub(crate) fn duplicate_listeners(&self) -> io::Result<Vec<(SharedListener, OwnedFd)>> {
        self.listeners
            .values()
            .map(|(listener, fd)| Ok((listener.clone(), fd.try_clone()?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn fd() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn a_slot_has_one_descriptor_of_each_kind() {
        let mut store = FdStore::default();
        let slot = SlotId::new(1, 0);
        assert!(store.keep(slot, &[Held::Socket, Held::Stdout], vec![fd(), fd()]));
        assert!(store.keep(slot, &[Held::Stdout, Held::Unknown], vec![fd(), fd()]));
        let (held, fds) = store.duplicate(slot).unwrap();
        assert_eq!(held, [Held::Socket, Held::Stdout]);
        assert_eq!(fds.len(), 2);
        store.forget(slot);
        assert_eq!(store.duplicate(slot).unwrap().0, []);
    }

    #[test]
    fn more_kinds_than_descriptors_are_not_believed() {
        let mut store = FdStore::default();
        let slot = SlotId::new(1, 0);
        store.keep(slot, &[Held::Socket, Held::Stdout, Held::Stderr], vec![fd()]);
        assert_eq!(store.duplicate(slot).unwrap().0, [Held::Socket]);
    }
}
