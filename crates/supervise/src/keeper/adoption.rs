//! Handing a new shim what its predecessor held.
//!
//! A shim that we started just now is told of every slot we have a recipe for: it looks each one's
//! process up in its journal and keeps it, or treats it as ended. A shim that runs already is told
//! only of those it calls adoptable: another slot that it does not know was never started, or was
//! removed, and whether to start it is the agent's decision. The same goes for a slot that is only
//! expected and of which nothing lives: a deploy that its agent did not survive may never have come
//! to start it, and what it was to replace may live. (One that is never restarted is told in any
//! case: that starts nothing, and the shim may know how it ended.)
//!
//! Shared listeners go first, so that a slot which must be restarted finds them; every shim but the
//! one we talked to before gets them, and takes those that it lacks.

use std::os::fd::OwnedFd;

use control::shim::{AdoptSlot, Request, RestartPolicy, SharedListener, SlotSpec};
use control::{MAX_FRAME_FDS, SlotId};
use control_tokio::ChannelError;

use crate::keeper::Keeper;
use crate::keeper::conversation::Talk;
use crate::limits::{MAX_ADOPT_BYTES, MAX_HELD_PER_SLOT};
use crate::pending::{Asked, Purpose};

impl Keeper {
    /// Has the shim adopt what is known and discard what nobody expects.
    pub(super) fn adopt(&mut self, talk: &mut Talk) -> Result<(), ChannelError> {
        if std::mem::take(&mut talk.listeners_due) {
            self.hand_over_listeners(talk)?;
        }
        let adoptable = self.view.borrow().adoptable.clone();
        // A slot that was to be removed had no process. It may be gone from the journal, and would
        // be started as one that has ended; unknown to the shim, it is removed already.
        let removing = |id: &SlotId| {
            let remove = Request::Remove { slot: *id };
            self.again.iter().any(|asked| asked.request == remove)
        };
        let was_started = |id: &SlotId, spec: &SlotSpec| {
            !self.unconfirmed.contains(id) || spec.restart == RestartPolicy::Never
        };
        let slots: Vec<SlotId> = self
            .recipes
            .iter()
            .filter(|(id, spec)| {
                adoptable.contains_key(id) || (talk.fresh && was_started(id, spec))
            })
            .map(|(id, _)| id)
            .filter(|id| !removing(id))
            .filter(|id| !talk.reported.contains(id) && !talk.asked.contains(id))
            .copied()
            .collect();
        for batch in self.batches(&slots) {
            talk.asked.extend(&batch);
            talk.adopting.extend(&batch);
            let (request, fds) = self.adoption_of(&batch);
            let asked = Asked::new(request.clone(), Purpose::Adoption(batch), 0);
            self.send(talk, request, fds, asked)?;
        }
        if self.expectations_told {
            for slot in adoptable.into_keys() {
                if !self.recipes.contains_key(&slot) && talk.asked.insert(slot) {
                    tracing::warn!(service = %self.service, %slot, "ending a process nobody wants");
                    let request = Request::Discard { slot };
                    let asked = Asked::new(request.clone(), Purpose::Discard, 0);
                    self.send(talk, request, Vec::new(), asked)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the request that hands these slots over, with duplicates of their descriptors.
    pub(super) fn adoption_of(&self, ids: &[SlotId]) -> (Request, Vec<OwnedFd>) {
        let mut slots = Vec::new();
        let mut fds = Vec::new();
        for spec in ids.iter().filter_map(|id| self.recipes.get(id)) {
            let (held, duplicates) = self.store.duplicate(spec.id).unwrap_or_else(|error| {
                // The shim recovers what it can by itself and says what it could not.
                let (service, slot) = (&self.service, spec.id);
                tracing::warn!(%service, %slot, %error, "failed to duplicate its descriptors");
                Default::default()
            });
            slots.push(AdoptSlot { spec: spec.clone(), held });
            fds.extend(duplicates);
        }
        (Request::Adopt { slots, listeners: Vec::new() }, fds)
    }

    fn hand_over_listeners(&mut self, talk: &mut Talk) -> Result<(), ChannelError> {
        let mut kept = self.store.duplicate_listeners().unwrap_or_else(|error| {
            tracing::warn!(service = %self.service, %error, "failed to duplicate its listeners");
            Vec::new()
        });
        while !kept.is_empty() {
            let rest = kept.split_off(kept.len().min(MAX_FRAME_FDS));
            let (listeners, fds): (Vec<SharedListener>, _) = kept.into_iter().unzip();
            let request = Request::Adopt { slots: Vec::new(), listeners };
            let asked = Asked::new(request.clone(), Purpose::Adoption(Vec::new()), 0);
            self.send(talk, request, fds, asked)?;
            kept = rest;
        }
        Ok(())
    }

    /// Cuts slots into portions that fit one frame each, in bytes and in descriptors.
    fn batches(&self, slots: &[SlotId]) -> Vec<Vec<SlotId>> {
        let mut batches: Vec<Vec<SlotId>> = Vec::new();
        let mut bytes = usize::MAX;
        for id in slots {
            let size = self.recipes.get(id).map_or(0, |spec| {
                serde_json::to_vec(spec).map_or(MAX_ADOPT_BYTES, |bytes| bytes.len())
            });
            match batches.last_mut() {
                Some(batch)
                    if bytes.saturating_add(size) <= MAX_ADOPT_BYTES
                        && (batch.len() + 1) * MAX_HELD_PER_SLOT <= MAX_FRAME_FDS =>
                {
                    batch.push(*id);
                    bytes += size;
                }
                _ => {
                    batches.push(vec![*id]);
                    bytes = size;
                }
            }
        }
        batches
    }
}
