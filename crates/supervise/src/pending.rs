//! Requests that a shim has not answered.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use control::SlotId;
use control::shim::Request;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::error::SuperviseError;

/// What a caller gets: the descriptors of the reply.
pub(crate) type Answer = Result<Vec<OwnedFd>, SuperviseError>;

/// Who waits for a reply.
pub(crate) enum Purpose {
    /// A caller; told what came of it.
    Caller(oneshot::Sender<Answer>),
    /// Ourselves: these slots are being adopted.
    Adoption(Vec<SlotId>),
    /// Ourselves: an orphan is being ended.
    Discard,
}

/// One request.
pub(crate) struct Asked {
    /// As the caller wrote it; it may have been sent as something else.
    pub(crate) request: Request,
    pub(crate) purpose: Purpose,
    /// When to give up on a reply.
    pub(crate) deadline: Instant,
    /// How often it was sent.
    pub(crate) sends: u8,
}

/// All unanswered requests to one shim. Numbers rise, and so do deadlines with them.
#[derive(Default)]
pub(crate) struct Pending {
    unanswered: BTreeMap<u64, Asked>,
    last_id: u64,
}

impl Pending {
    /// Returns a number for the next request; never the same twice.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn insert(&mut self, id: u64, asked: Asked) {
        self.unanswered.insert(id, asked);
    }

    pub(crate) fn take(&mut self, id: u64) -> Option<Asked> {
        self.unanswered.remove(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.unanswered.len()
    }

    /// Returns when the oldest request is given up.
    pub(crate) fn first_deadline(&self) -> Option<Instant> {
        self.unanswered.first_key_value().map(|(_, asked)| asked.deadline)
    }

    /// Takes out the oldest request if its time is over.
    pub(crate) fn take_lapsed(&mut self, now: Instant) -> Option<Asked> {
        let first = self.unanswered.first_entry()?;
        (first.get().deadline <= now).then(|| first.remove())
    }

    /// Takes out all, oldest first.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Asked> + use<> {
        std::mem::take(&mut self.unanswered).into_values()
    }
}

/// Returns what is asked, for people: `start g7.0`.
pub(crate) fn describe(request: &Request) -> String {
    match request {
        Request::Start { slot } => format!("start {}", slot.id),
        Request::Stop { slot } => format!("stop {slot}"),
        Request::Remove { slot } => format!("remove {slot}"),
        Request::Open { listener } => format!("open {}", listener.name),
        Request::Close { name } => format!("close {name}"),
        Request::Adopt { slots, .. } => format!("adopt {} slots", slots.len()),
        Request::Discard { slot } => format!("discard {slot}"),
        Request::FlushLogs {} => "flush the logs".to_owned(),
        Request::Exit {} => "end the shim".to_owned(),
        Request::Unknown => "do something unknown".to_owned(),
    }
}
