//! The task that keeps one service's shim.
//!
//! ```text
//!            ensure, probe                    ready
//!   Gone ───────────────────► Connecting ───────────► Connected (conversation)
//!    ▲                          │     ▲                   │
//!    │ exit, or absent          │     └── end of stream ──┘
//!    │ and not wanted           ▼     │
//!    └───────────────── Unresponsive, Failing (rest, then again)
//! ```
//!
//! The task owns all state of its service: calls come in through a bounded queue, the view goes
//! out through a `watch`. It ends when the supervisor does.

mod adoption;
mod backoff;
mod conversation;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use control::shim::{Request, SlotSpec};
use control::{ServiceName, SlotId};
use control_tokio::{Channel, Watched};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::config::Config;
use crate::error::SuperviseError;
use crate::fds::FdStore;
use crate::keeper::backoff::Backoff;
use crate::limits::{EXIT_PATIENCE, LONGEST_PAUSE};
use crate::link::{self, Link, MayStart, Trouble};
use crate::pending::{Answer, Asked, Pending, Purpose, describe};
use crate::view::{ServiceView, ShimState};

/// What a handle asks of the task.
pub(crate) enum Call {
    /// Start a shim if there is none; answered when it is connected and has adopted.
    Ensure { done: oneshot::Sender<Result<(), SuperviseError>> },
    /// Connect to the shim if there is one.
    Probe { done: oneshot::Sender<Found> },
    /// These slots were started before us.
    Expect { slots: Vec<SlotSpec>, done: oneshot::Sender<()> },
    /// Send this request.
    Ask { request: Request, done: oneshot::Sender<Answer> },
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    Connected,
    NotRunning,
    Unresponsive(String),
}

/// Whether a shim should be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Nobody asked for one.
    Nothing,
    /// Connect to one that runs; start none.
    Find,
    /// There must be one.
    Keep,
}

/// Somebody who waits for contact.
enum Waiter {
    Ensure(oneshot::Sender<Result<(), SuperviseError>>),
    Probe(oneshot::Sender<Found>),
}

/// Why a state was left.
enum Next {
    /// Go on.
    Attempt,
    /// The supervisor was dropped.
    End,
}

/// The state of one service.
pub(crate) struct Keeper {
    config: Arc<Config>,
    service: ServiceName,
    calls: mpsc::Receiver<Call>,
    view: watch::Sender<ServiceView>,
    wish: Wish,
    waiters: Vec<Waiter>,
    /// How each slot is started: what a new shim must be told.
    recipes: BTreeMap<SlotId, SlotSpec>,
    /// Of those, the ones that were expected and that no shim has told of: perhaps never started.
    unconfirmed: BTreeSet<SlotId>,
    /// Whether [`Call::Expect`] came: before it, an unknown orphan is left alone.
    expectations_told: bool,
    store: FdStore,
    pending: Pending,
    /// Requests of a lost conversation, to be sent again.
    again: VecDeque<Asked>,
    backoff: Backoff,
    /// The process of the shim we talked to last.
    last_shim: Option<u32>,
}

impl Keeper {
    pub(crate) fn new(
        config: Arc<Config>,
        service: ServiceName,
        calls: mpsc::Receiver<Call>,
        view: watch::Sender<ServiceView>,
    ) -> Self {
        Self {
            config,
            service,
            calls,
            view,
            wish: Wish::Nothing,
            waiters: Vec::new(),
            recipes: BTreeMap::new(),
            unconfirmed: BTreeSet::new(),
            expectations_told: false,
            store: FdStore::default(),
            pending: Pending::default(),
            again: VecDeque::new(),
            last_shim: None,
            backoff: Backoff::default(),
        }
    }

    /// Keeps the service until the supervisor ends.
    pub(crate) async fn run(mut self) {
        loop {
            let next = match self.wish {
                Wish::Nothing => self.idle().await,
                Wish::Find | Wish::Keep => match self.establish().await {
                    Ok(link) => self.talk_until_the_end(link).await,
                    Err(trouble) => self.rest(trouble).await,
                },
            };
            if matches!(next, Next::End) {
                return;
            }
        }
    }

    /// Nothing is wanted: waits for a call that wants something.
    async fn idle(&mut self) -> Next {
        self.view.send_modify(|view| {
            *view = ServiceView { logs_dropped: view.logs_dropped.take(), ..Default::default() };
        });
        loop {
            let Some(call) = self.calls.recv().await else { return Next::End };
            if self.take_without_shim(call, "it has no shim") {
                return Next::Attempt;
            }
        }
    }

    async fn establish(&mut self) -> Result<Link, Trouble> {
        self.view.send_modify(|view| {
            // A trouble stays visible until it is over.
            if view.shim.trouble().is_none() {
                view.shim = ShimState::Connecting;
            }
        });
        let may_start = if self.wish == Wish::Keep { MayStart::Yes } else { MayStart::No };
        link::establish(&self.config, &self.service, may_start).await
    }

    /// Talks to a shim until the connection ends, and makes sure of what that means.
    async fn talk_until_the_end(&mut self, mut link: Link) -> Next {
        let exit = link.exit.take();
        let since = Instant::now();
        let next = self.converse(link).await;
        if matches!(next, Next::End) {
            return next;
        }
        self.backoff.lost_after(since.elapsed());
        self.save_unanswered();
        if self.wish == Wish::Keep {
            self.view.send_modify(|view| view.shim = ShimState::Connecting);
        }
        let ended = await_exit(exit).await;
        tracing::info!(service = %self.service, ended, "its shim hung up");
        // A shim that keeps dying is Failing; the first few are replaced at once.
        match self.backoff.pause() {
            pause if pause.is_zero() || self.wish != Wish::Keep => Next::Attempt,
            _ => {
                let reason = format!("its shim died {} times in a row", self.backoff.failures());
                self.pause(ShimState::Failing(reason), None).await
            }
        }
    }

    /// Reports why there is no contact and waits until it makes sense to try again.
    async fn rest(&mut self, trouble: Trouble) -> Next {
        let (state, waiting) = match trouble {
            Trouble::Absent => {
                // Only a wish to find leads here: there is nothing to be found.
                self.wish = Wish::Nothing;
                self.answer_waiters(&Found::NotRunning);
                self.abandon_again();
                return Next::Attempt;
            }
            Trouble::Unresponsive { reason, waiting } => {
                // There is one, so there is something to keep when it dies.
                self.wish = Wish::Keep;
                (ShimState::Unresponsive(reason), waiting)
            }
            Trouble::HungUp(reason) | Trouble::Ended(reason) | Trouble::Failed(reason) => {
                (ShimState::Failing(reason), None)
            }
        };
        self.backoff.failed();
        let reason = state.trouble().unwrap_or_default().to_owned();
        tracing::warn!(service = %self.service, reason, "no contact with its shim");
        self.answer_waiters(&Found::Unresponsive(reason));
        self.abandon_again();
        self.pause(state, waiting).await
    }

    /// Shows a trouble, refuses requests, and returns when the next attempt is due: after a pause,
    /// at the first sign of life on `waiting`, or when somebody asks for an attempt.
    async fn pause(&mut self, state: ShimState, waiting: Option<Channel>) -> Next {
        let reason = state.trouble().unwrap_or_default().to_owned();
        self.view.send_modify(|view| view.shim = state);
        // Somebody who waits on a connection is woken by it: looking more often would only fill
        // the shim's backlog with dead connections.
        let pause = if waiting.is_some() { LONGEST_PAUSE } else { self.backoff.pause() };
        let until = Instant::now() + pause;
        let sign_of_life = sign_of_life(waiting);
        tokio::pin!(sign_of_life);
        loop {
            tokio::select! {
                () = &mut sign_of_life => return Next::Attempt,
                () = sleep_until(until) => return Next::Attempt,
                call = self.calls.recv() => {
                    let Some(call) = call else { return Next::End };
                    if self.take_without_shim(call, &reason) {
                        return Next::Attempt;
                    }
                }
            }
        }
    }

    /// Takes a call while there is no contact; true when it asks for an attempt at once.
    fn take_without_shim(&mut self, call: Call, reason: &str) -> bool {
        match call {
            Call::Ensure { done } => {
                self.wish = Wish::Keep;
                self.waiters.push(Waiter::Ensure(done));
                true
            }
            Call::Probe { done } => {
                if self.wish == Wish::Nothing {
                    self.wish = Wish::Find;
                }
                self.waiters.push(Waiter::Probe(done));
                true
            }
            Call::Expect { slots, done } => {
                self.expect(slots);
                let _ = done.send(());
                false
            }
            Call::Ask { request: Request::Exit {}, done } if self.wish == Wish::Nothing => {
                let _ = done.send(Ok(Vec::new()));
                false
            }
            Call::Ask { request, done } => {
                let _ = done.send(Err(SuperviseError::Unavailable {
                    service: self.service.clone(),
                    request: describe(&request),
                    reason: reason.to_owned(),
                }));
                false
            }
        }
    }

    fn expect(&mut self, slots: Vec<SlotSpec>) {
        self.expectations_told = true;
        for spec in slots {
            let id = spec.id;
            if self.recipes.contains_key(&id) {
                continue;
            }
            self.recipes.insert(id, spec);
            if !self.view.borrow().slots.contains_key(&id) {
                self.unconfirmed.insert(id);
            }
        }
    }

    fn answer_waiters(&mut self, found: &Found) {
        for waiter in std::mem::take(&mut self.waiters) {
            match waiter {
                Waiter::Probe(done) => drop(done.send(found.clone())),
                Waiter::Ensure(done) => drop(done.send(match found {
                    Found::Connected => Ok(()),
                    Found::NotRunning => Err(self.unavailable("it has no shim")),
                    Found::Unresponsive(reason) => Err(self.unavailable(reason)),
                })),
            }
        }
    }

    fn unavailable(&self, reason: &str) -> SuperviseError {
        SuperviseError::Unavailable {
            service: self.service.clone(),
            request: "reach the shim".to_owned(),
            reason: reason.to_owned(),
        }
    }

    /// After a lost conversation: keeps callers' requests for the next shim.
    fn save_unanswered(&mut self) {
        for asked in self.pending.drain() {
            let Purpose::Caller(done) = asked.purpose else { continue };
            if matches!(asked.request, Request::Exit {}) {
                // It did.
                self.wish = Wish::Nothing;
                self.forget_everything();
                let _ = done.send(Ok(Vec::new()));
            } else if asked.sends >= crate::limits::MAX_SENDS {
                let _ = done.send(Err(lost(&self.service, &asked.request)));
            } else {
                self.again.push_back(Asked { purpose: Purpose::Caller(done), ..asked });
            }
        }
    }

    /// The shim ends because it was asked to: its slots are gone with it.
    fn forget_everything(&mut self) {
        self.recipes.clear();
        self.unconfirmed.clear();
        self.store.clear();
    }

    /// No shim took the place of the lost one: what it had not answered stays unanswered.
    fn abandon_again(&mut self) {
        for asked in self.again.drain(..) {
            if let Purpose::Caller(done) = asked.purpose {
                let _ = done.send(Err(lost(&self.service, &asked.request)));
            }
        }
    }
}

fn lost(service: &ServiceName, request: &Request) -> SuperviseError {
    SuperviseError::Lost { service: service.clone(), request: describe(request) }
}

/// Waits until the process has ended; false when it lives on, or nobody can tell.
async fn await_exit(exit: Option<Watched>) -> bool {
    let Some(exit) = exit else { return false };
    matches!(timeout(EXIT_PATIENCE, exit.readable()).await, Ok(Ok(())))
}

/// Returns when the peer of an unanswered connection says anything or dies; never without one.
async fn sign_of_life(waiting: Option<Channel>) {
    match waiting {
        Some(mut channel) => {
            let _: Result<Option<(serde::de::IgnoredAny, Vec<OwnedFd>)>, _> =
                channel.receive().await;
        }
        None => std::future::pending().await,
    }
}
