//! Deploys by id and by app: who runs, who waits, what was told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use deploy::Feed;
use deploy::records::DeployRecord;
use tokio::sync::{Notify, watch};

/// Requests that may wait for one app; more are refused. Newer deploys replace older waiting ones,
/// so only different wishes add up.
pub(crate) const MAX_WAITING: usize = 16;

/// Feeds kept after their deploy ended, so that a client may attach late.
const KEPT_FEEDS: usize = 64;

/// A deploy that waits for its turn.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) record: DeployRecord,
    pub(crate) feed: Feed,
    pub(crate) build_environment: BTreeMap<String, String>,
}

/// A deploy that is going on.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) id: String,
    pub(crate) cancel: watch::Sender<bool>,
    pub(crate) hurry: watch::Sender<bool>,
    pub(crate) build: deploy::BuildCancel,
}

#[derive(Debug, Default)]
pub(crate) struct AppQueue {
    pub(crate) running: Option<Running>,
    pub(crate) waiting: VecDeque<Waiting>,
    /// The agent takes over what the one before it left; nothing else begins meanwhile.
    pub(crate) is_taken_over: bool,
}

#[derive(Debug, Default)]
struct Tables {
    apps: BTreeMap<String, AppQueue>,
    /// By id, oldest first.
    feeds: VecDeque<(String, Feed)>,
}

/// All queues and feeds.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    tables: Mutex<Tables>,
    /// An app was taken over.
    taken_over: Notify,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `change` on an app's queue.
    pub(crate) fn with<T>(&self, app: &str, change: impl FnOnce(&mut AppQueue) -> T) -> T {
        change(self.lock().apps.entry(app.to_owned()).or_default())
    }

    /// Says that an app is being taken over, or that it was.
    pub(crate) fn set_taken_over(&self, app: &str, going_on: bool) {
        self.with(app, |queue| queue.is_taken_over = going_on);
        self.taken_over.notify_waiters();
    }

    /// Waits until no app is being taken over.
    pub(crate) async fn all_taken_over(&self) {
        loop {
            // Made before the look: what changes after it is not missed.
            let changed = self.taken_over.notified();
            if !self.lock().apps.values().any(|queue| queue.is_taken_over) {
                return;
            }
            changed.await;
        }
    }

    /// Returns the id of the deploy of an app that is going on.
    pub(crate) fn running(&self, app: &str) -> Option<String> {
        self.lock().apps.get(app)?.running.as_ref().map(|running| running.id.clone())
    }

    /// Keeps a feed under its deploy's id.
    pub(crate) fn keep(&self, id: &str, feed: Feed) {
        let mut tables = self.lock();
        tables.feeds.push_back((id.to_owned(), feed));
        while tables.feeds.len() > KEPT_FEEDS {
            // Never one that is still told to somebody.
            match tables.feeds.iter().position(|(_, feed)| feed.is_over()) {
                Some(over) => drop(tables.feeds.remove(over)),
                None => break,
            }
        }
    }

    /// Returns the feed of a deploy.
    pub(crate) fn feed(&self, id: &str) -> Option<Feed> {
        self.lock().feeds.iter().find(|(known, _)| known == id).map(|(_, feed)| feed.clone())
    }

    /// Cancels a deploy, wherever it is in its queue. Returns whether it was there.
    pub(crate) fn cancel(&self, id: &str) -> Option<Cancelled> {
        let mut tables = self.lock();
        for queue in tables.apps.values_mut() {
            if let Some(running) = queue.running.as_ref().filter(|running| running.id == id) {
                running.cancel.send_replace(true);
                running.build.cancel();
                return Some(Cancelled::Running);
            }
            if let Some(index) = queue.waiting.iter().position(|waiting| waiting.record.id == id) {
                let waiting = queue.waiting.remove(index)?;
                return Some(Cancelled::Waiting(Box::new(waiting)));
            }
        }
        None
    }
}

/// What was cancelled.
#[derive(Debug)]
pub(crate) enum Cancelled {
    /// It hears of it at its next step.
    Running,
    /// It never began.
    Waiting(Box<Waiting>),
}
