//! A connected shim: its messages in, callers' requests out.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use control::shim::{Containment, Message, Numbered, Outcome, Request};
use control::{ConnectionError, SlotId};
use control_tokio::{Channel, ChannelError};
use tokio::time::{Instant, sleep_until};

use crate::error::SuperviseError;
use crate::keeper::{Call, Found, Keeper, Next, Waiter, Wish};
use crate::limits::{ADOPTION_PATIENCE, MAX_UNANSWERED, REQUEST_PATIENCE};
use crate::link::{Link, told};
use crate::pending::{Answer, Asked, Purpose, describe};
use crate::process::Silence;
use crate::view::{LogsDropped, ShimState};

/// What belongs to one connection.
pub(super) struct Talk {
    pub(super) channel: Channel,
    pub(super) pid: u32,
    pub(super) containment: Containment,
    /// Whether the shim has only its journal: what we know it must be told.
    pub(super) fresh: bool,
    /// Slots it has told of.
    pub(super) reported: BTreeSet<SlotId>,
    /// Slots it was told to start or adopt, so that no slot is asked for twice.
    pub(super) asked: BTreeSet<SlotId>,
    /// Of those, the adopted ones it has not told of yet.
    pub(super) adopting: BTreeSet<SlotId>,
    /// Shared listeners are still to be handed over.
    pub(super) listeners_due: bool,
    /// Until when the view waits for them; absent once the view is current.
    settle_by: Option<Instant>,
    /// It took on to exit.
    exiting: bool,
    /// It left a request unanswered and has said nothing since.
    silent: bool,
}

impl Keeper {
    /// Talks to a shim until the connection ends.
    pub(super) async fn converse(&mut self, link: Link) -> Next {
        let mut talk = Talk {
            channel: link.channel,
            pid: link.pid,
            containment: link.containment,
            fresh: link.fresh,
            reported: BTreeSet::new(),
            asked: BTreeSet::new(),
            adopting: BTreeSet::new(),
            listeners_due: self.last_shim != Some(link.pid),
            settle_by: Some(Instant::now() + ADOPTION_PATIENCE),
            exiting: false,
            silent: false,
        };
        self.last_shim = Some(link.pid);
        match self.talk(&mut talk, link.greeting).await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(service = %self.service, error = told(&error), "lost its shim");
                Next::Attempt
            }
        }
    }

    async fn talk(
        &mut self,
        talk: &mut Talk,
        greeting: Vec<(Message, Vec<OwnedFd>)>,
    ) -> Result<Next, ChannelError> {
        if self.wish == Wish::Find {
            self.wish = Wish::Keep;
        }
        self.view.send_modify(|view| view.adoptable.clear());
        if !talk.listeners_due {
            // The same shim as before is about to tell of all it has.
            self.store.forget_listeners();
            self.view.send_modify(|view| view.listeners.clear());
        }
        for (message, fds) in greeting {
            self.hear(talk, message, fds);
        }
        self.adopt(talk)?;
        while let Some(asked) = self.again.pop_front() {
            self.ask(talk, asked.request, asked.purpose, asked.sends)?;
        }
        loop {
            self.settle(talk);
            let alarm = [talk.settle_by, self.pending.first_deadline()].into_iter().flatten().min();
            tokio::select! {
                received = talk.channel.receive::<Message>() => {
                    let Some((message, fds)) = received? else { return Ok(Next::Attempt) };
                    self.hear(talk, message, fds);
                }
                call = self.calls.recv() => {
                    let Some(call) = call else { return Ok(Next::End) };
                    self.take(talk, call)?;
                }
                () = until(alarm) => self.give_up_late_replies(talk),
            }
        }
    }

    /// Declares the view current once all that was to be adopted is told of, or its time is over.
    fn settle(&mut self, talk: &mut Talk) {
        let Some(by) = talk.settle_by else { return };
        if !talk.adopting.is_empty() && Instant::now() < by {
            return;
        }
        for slot in std::mem::take(&mut talk.adopting) {
            tracing::warn!(service = %self.service, %slot, "its new shim does not tell of a slot");
        }
        talk.settle_by = None;
        self.view.send_modify(|view| {
            view.slots.retain(|slot, _| talk.reported.contains(slot));
            view.shim = ShimState::Connected { pid: talk.pid, containment: talk.containment };
            let adoptable = &view.adoptable;
            // Before it is told what is expected, what the last shim held may yet be.
            let undecided = talk.fresh && !self.expectations_told;
            self.store.retain(|id| {
                undecided || talk.reported.contains(&id) || adoptable.contains_key(&id)
            });
        });
        self.answer_waiters(&Found::Connected);
    }

    fn take(&mut self, talk: &mut Talk, call: Call) -> Result<(), ChannelError> {
        match call {
            Call::Ensure { done } if talk.exiting || talk.settle_by.is_some() => {
                self.wish = Wish::Keep;
                self.waiters.push(Waiter::Ensure(done));
            }
            Call::Ensure { done } => drop(done.send(Ok(()))),
            Call::Probe { done } if talk.settle_by.is_some() => {
                self.waiters.push(Waiter::Probe(done));
            }
            Call::Probe { done } => drop(done.send(Found::Connected)),
            Call::Expect { slots, done } => {
                self.expect(slots);
                let _ = done.send(());
                self.adopt(talk)?;
            }
            Call::Ask { request, done } => {
                self.ask(talk, request, Purpose::Caller(done), 0)?;
            }
        }
        Ok(())
    }

    /// Sends a caller's request.
    fn ask(
        &mut self,
        talk: &mut Talk,
        request: Request,
        purpose: Purpose,
        sends: u8,
    ) -> Result<(), ChannelError> {
        if let Request::Start { slot } = &request {
            let id = slot.id;
            // The shim keeps the recipe of a slot with processes; so does this.
            let kept = self.view.borrow().slots.get(&id).is_some_and(|s| !s.phase.is_empty());
            if !kept || !self.recipes.contains_key(&id) {
                self.recipes.insert(id, (**slot).clone());
            }
            talk.asked.insert(id);
            self.unconfirmed.remove(&id);
            if self.view.borrow().adoptable.contains_key(&id) {
                // It runs already, left by an earlier shim: started anew it would run twice.
                let (adoption, fds) = self.adoption_of(&[id]);
                talk.adopting.insert(id);
                return self.send(talk, adoption, fds, Asked::new(request, purpose, sends));
            }
        }
        self.send(talk, request.clone(), Vec::new(), Asked::new(request, purpose, sends))
    }

    /// Sends `wire`, and remembers it as `asked`.
    pub(super) fn send(
        &mut self,
        talk: &mut Talk,
        wire: Request,
        fds: Vec<OwnedFd>,
        asked: Asked,
    ) -> Result<(), ChannelError> {
        let unanswered = self.pending.len();
        if unanswered >= MAX_UNANSWERED {
            let (service, request) = (self.service.clone(), describe(&asked.request));
            answer(asked, Err(SuperviseError::Busy { service, request, unanswered }));
            return Ok(());
        }
        let id = self.pending.next_id();
        match talk.channel.queue(&Numbered { id, request: wire }, fds) {
            // Too large for a frame: the request's own fault, the connection is as it was.
            Err(ChannelError::Connection(ConnectionError::Frame(error))) => {
                let (service, request) = (self.service.clone(), describe(&asked.request));
                let reason = told(&error);
                answer(asked, Err(SuperviseError::Refused { service, request, reason }));
                Ok(())
            }
            // Failed or not, it may be sent again with the next connection.
            outcome => {
                self.pending.insert(id, asked);
                outcome
            }
        }
    }

    fn give_up_late_replies(&mut self, talk: &mut Talk) {
        let now = Instant::now();
        while let Some(asked) = self.pending.take_lapsed(now) {
            let error = SuperviseError::NoAnswer {
                service: self.service.clone(),
                request: describe(&asked.request),
                patience: REQUEST_PATIENCE,
            };
            answer(asked, Err(error));
            let silence = Silence { pid: Some(talk.pid) }.to_string();
            self.view.send_modify(|view| view.shim = ShimState::Unresponsive(silence));
            talk.silent = true;
        }
    }

    /// Takes in one message.
    fn hear(&mut self, talk: &mut Talk, message: Message, fds: Vec<OwnedFd>) {
        if talk.silent {
            talk.silent = false;
            let (pid, containment) = (talk.pid, talk.containment);
            self.view.send_modify(|view| view.shim = ShimState::Connected { pid, containment });
        }
        match message {
            Message::Reply { re, outcome } => self.hear_reply(talk, re, outcome, fds),
            Message::Holding { slot, held } => {
                if !self.store.keep(slot, &held, fds) {
                    tracing::warn!(service = %self.service, %slot, "too many descriptors to keep");
                }
            }
            Message::HoldingListener { listener } => {
                let Some(fd) = fds.into_iter().next() else { return };
                self.view.send_modify(|view| {
                    view.listeners.insert(listener.name.clone(), listener.clone());
                });
                if !self.store.keep_listener(listener, fd) {
                    tracing::warn!(service = %self.service, "too many listeners to keep");
                }
            }
            Message::Slot { state } => {
                let id = state.id;
                talk.reported.insert(id);
                talk.adopting.remove(&id);
                self.unconfirmed.remove(&id);
                self.view.send_modify(|view| {
                    view.adoptable.remove(&id);
                    view.slots.insert(id, state);
                });
            }
            Message::Removed { slot } => {
                for set in [&mut talk.reported, &mut talk.asked, &mut talk.adopting] {
                    set.remove(&slot);
                }
                self.recipes.remove(&slot);
                self.store.forget(slot);
                self.view.send_modify(|view| {
                    view.slots.remove(&slot);
                    view.adoptable.remove(&slot);
                });
            }
            Message::Adoptable { slot, pid } => {
                self.view.send_modify(|view| {
                    view.adoptable.insert(slot, pid);
                });
            }
            Message::Ready { pid, containment } => {
                (talk.pid, talk.containment) = (pid, containment);
            }
            Message::LogsDropped { bytes, reason } => {
                let dropped = Some(LogsDropped { bytes, reason });
                self.view.send_modify(|view| view.logs_dropped = dropped);
            }
            Message::TurnedAway { reason } => {
                tracing::warn!(service = %self.service, reason, "its shim turned us away");
            }
            Message::Unknown => {}
        }
    }

    fn hear_reply(&mut self, talk: &mut Talk, re: u64, outcome: Outcome, fds: Vec<OwnedFd>) {
        // One that came too late was given up; what came of it shows in the slots.
        let Some(asked) = self.pending.take(re) else { return };
        let (service, request) = (self.service.clone(), describe(&asked.request));
        let result = match outcome {
            Outcome::Accepted => {
                self.accepted(talk, &asked.request, &fds);
                Ok(fds)
            }
            Outcome::Refused { reason } => {
                self.not_done(talk, &asked);
                Err(SuperviseError::Refused { service, request, reason })
            }
            Outcome::Unsupported => {
                self.not_done(talk, &asked);
                Err(SuperviseError::Unsupported { service, request })
            }
        };
        answer(asked, result);
    }

    fn accepted(&mut self, talk: &mut Talk, request: &Request, fds: &[OwnedFd]) {
        match request {
            // Taken on: with the next shim it would come back to life.
            Request::Remove { slot } => drop(self.recipes.remove(slot)),
            Request::Open { listener } => {
                let kept = fds.first().and_then(|fd| fd.try_clone().ok());
                let Some(kept) = kept else { return };
                self.store.keep_listener(listener.clone(), kept);
                let listener = listener.clone();
                self.view.send_modify(|view| {
                    view.listeners.insert(listener.name.clone(), listener);
                });
            }
            Request::Close { name } => {
                self.store.forget_listener(name);
                self.view.send_modify(|view| drop(view.listeners.remove(name)));
            }
            Request::Exit {} => {
                talk.exiting = true;
                self.wish = Wish::Nothing;
                self.forget_everything();
            }
            _ => {}
        }
    }

    /// Forgets what a refused request had led us to expect.
    fn not_done(&mut self, talk: &mut Talk, asked: &Asked) {
        let slots = match (&asked.request, &asked.purpose) {
            (Request::Start { slot }, _) => std::slice::from_ref(&slot.id),
            (_, Purpose::Adoption(slots)) => slots.as_slice(),
            _ => &[],
        };
        for slot in slots {
            talk.asked.remove(slot);
            talk.adopting.remove(slot);
            if !talk.reported.contains(slot) {
                self.recipes.remove(slot);
            }
        }
    }
}

impl Asked {
    pub(super) fn new(request: Request, purpose: Purpose, sends: u8) -> Self {
        Self { request, purpose, deadline: Instant::now() + REQUEST_PATIENCE, sends: sends + 1 }
    }
}

/// Tells whoever waits for it what came of a request.
fn answer(asked: Asked, answer: Answer) {
    match asked.purpose {
        Purpose::Caller(done) => drop(done.send(answer)),
        Purpose::Adoption(_) | Purpose::Discard => {
            if let Err(error) = answer {
                tracing::warn!(error = told(&error), "a takeover failed");
            }
        }
    }
}

async fn until(alarm: Option<Instant>) {
    match alarm {
        Some(alarm) => sleep_until(alarm).await,
        None => std::future::pending().await,
    }
}
