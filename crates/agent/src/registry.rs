//! Deploys by id and by app: who runs, who waits, what was told; sessions by id.
//!
//! The queue of an app is the one in the store, in memory: a change of it is a transaction first
//! (inside [`Registry::with`], so that nobody sees one without the other). Feeds and leases live
//! here only; the next agent makes new ones.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use deploy::Feed;
use deploy::records::{DeployRecord, Intent, Session};
use report::{Failure, Kind};
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
    /// The agent puts the app in order (what the one before it left, what a deploy left); nothing
    /// else begins meanwhile.
    pub(crate) is_held: bool,
    /// What could not be put in order is tried again.
    pub(crate) is_repaired: bool,
    /// The app is being removed: nothing is taken on but the deploy of this id, which stops it.
    pub(crate) removed_by: Option<String>,
}

impl AppQueue {
    /// Returns the waiting requests that a new one takes the place of, or why it is refused.
    pub(crate) fn admit(&self, record: &DeployRecord) -> Result<Vec<DeployRecord>, Failure> {
        let app = &record.app;
        if self.removed_by.as_ref().is_some_and(|stop| *stop != record.id) {
            return Err(Failure::new(Kind::Locked, format!("{app} is being removed")));
        }
        let superseded: Vec<DeployRecord> = self
            .waiting
            .iter()
            .map(|waiting| &waiting.record)
            .filter(|older| is_deploy(older) && is_deploy(record))
            .cloned()
            .collect();
        let stays = self.waiting.len() - superseded.len();
        // A session must be able to end, whatever waits.
        if stays >= MAX_WAITING && record.session.is_none() {
            let text = format!("{stays} requests wait for {app} already");
            return Err(Failure::new(Kind::Locked, text).hint(format!("skep ps {app}")));
        }
        Ok(superseded)
    }

    /// Takes waiting requests out of the queue.
    pub(crate) fn take(&mut self, records: &[DeployRecord]) -> Vec<Waiting> {
        let (taken, stays) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| records.iter().any(|record| record.id == waiting.record.id));
        self.waiting = stays;
        Vec::from(taken)
    }
}

fn is_deploy(record: &DeployRecord) -> bool {
    matches!(record.intent, Intent::Deploy { .. })
}

/// A session whose client is there, or may come back.
#[derive(Debug)]
struct Leased {
    app: String,
    session: Session,
    /// Connections that hold it.
    leases: usize,
}

#[derive(Debug, Default)]
struct Tables {
    apps: BTreeMap<String, AppQueue>,
    /// Everything is being stopped: all apps are held, and so is any other that is heard of.
    is_closed: bool,
    /// By id, oldest first.
    feeds: VecDeque<(String, Feed)>,
    /// By id.
    sessions: BTreeMap<String, Leased>,
}

/// All queues, feeds and sessions.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    tables: Mutex<Tables>,
    /// Something of it changed.
    changed: Notify,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `change` on an app's queue. Nothing else of the registry may be asked in it.
    pub(crate) fn with<T>(&self, app: &str, change: impl FnOnce(&mut AppQueue) -> T) -> T {
        let mut tables = self.lock();
        let is_held = tables.is_closed;
        let new = || AppQueue { is_held, ..AppQueue::default() };
        let changed = change(tables.apps.entry(app.to_owned()).or_insert_with(new));
        drop(tables);
        self.changed.notify_waiters();
        changed
    }

    /// Waits until something is so.
    async fn until(&self, is_so: impl Fn(&Tables) -> bool) {
        loop {
            // Made and enabled before the look: what changes after it is not missed.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if is_so(&self.lock()) {
                return;
            }
            changed.await;
        }
    }

    /// Waits until the agent has put every app in order, and holds all of them from then on, new ones
    /// too: nothing begins any more. Fails with what is going on; then none is held.
    pub(crate) async fn close(&self) -> Result<(), String> {
        let is_held = |tables: &Tables| tables.apps.values().any(|queue| queue.is_held);
        loop {
            self.until(|tables| tables.is_closed || !is_held(tables)).await;
            let mut tables = self.lock();
            if tables.is_closed {
                return Ok(());
            }
            if is_held(&tables) {
                continue;
            }
            for (app, queue) in &tables.apps {
                if let Some(running) = &queue.running {
                    return Err(format!("deploy {} of {app} is going on", running.id));
                }
                if queue.removed_by.is_some() {
                    return Err(format!("{app} is being removed"));
                }
            }
            tables.is_closed = true;
            tables.apps.values_mut().for_each(|queue| queue.is_held = true);
            drop(tables);
            self.changed.notify_waiters();
            return Ok(());
        }
    }

    /// Returns whether everything is being stopped.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Waits until everything is being stopped.
    pub(crate) async fn closed(&self) {
        self.until(|tables| tables.is_closed).await;
    }

    /// Ends [`Registry::close`]; returns the apps, which may go on.
    pub(crate) fn open(&self) -> Vec<String> {
        let mut tables = self.lock();
        tables.is_closed = false;
        tables.apps.values_mut().for_each(|queue| queue.is_held = false);
        let apps = tables.apps.keys().cloned().collect();
        drop(tables);
        self.changed.notify_waiters();
        apps
    }

    /// Waits until an app is not held.
    pub(crate) async fn not_held(&self, app: &str) {
        self.until(|tables| tables.apps.get(app).is_none_or(|queue| !queue.is_held)).await;
    }

    /// Waits until a deploy of an app neither waits nor runs.
    pub(crate) async fn over(&self, app: &str, id: &str) {
        let is_in = |queue: &AppQueue| {
            let runs = queue.running.as_ref().is_some_and(|running| running.id == id);
            runs || queue.waiting.iter().any(|waiting| waiting.record.id == id)
        };
        self.until(|tables| !tables.apps.get(app).is_some_and(is_in)).await;
    }

    /// Waits until no deploy of an app runs and nobody holds it.
    pub(crate) async fn idle(&self, app: &str) {
        let is_idle = |queue: &AppQueue| queue.running.is_none() && !queue.is_held;
        self.until(|tables| tables.apps.get(app).is_none_or(is_idle)).await;
    }

    /// Returns the id of the deploy of an app that is going on.
    pub(crate) fn running(&self, app: &str) -> Option<String> {
        self.lock().apps.get(app)?.running.as_ref().map(|running| running.id.clone())
    }

    /// Returns where a deploy waits.
    pub(crate) fn app_of_waiting(&self, id: &str) -> Option<String> {
        let waits = |queue: &AppQueue| queue.waiting.iter().any(|found| found.record.id == id);
        let tables = self.lock();
        tables.apps.iter().find(|(_, queue)| waits(queue)).map(|(app, _)| app.clone())
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

    /// Asks a running deploy to stop before its switch; it hears of it at its next step. Returns
    /// whether it runs.
    pub(crate) fn cancel(&self, id: &str) -> bool {
        let tables = self.lock();
        let mut running = tables.apps.values().filter_map(|queue| queue.running.as_ref());
        let Some(running) = running.find(|running| running.id == id) else { return false };
        running.cancel.send_replace(true);
        running.build.cancel();
        true
    }
}

/// Sessions: entered when they begin or are found, gone when they are over.
impl Registry {
    /// Enters a session that nobody holds yet; one that is known already is left as it is.
    pub(crate) fn enter(&self, app: &str, session: &Session) {
        let leased = Leased { app: app.to_owned(), session: session.clone(), leases: 0 };
        self.lock().sessions.entry(session.id.clone()).or_insert(leased);
    }

    /// Returns the sessions that nobody holds, with their apps.
    pub(crate) fn unheld(&self) -> Vec<(String, Session)> {
        let tables = self.lock();
        let unheld = tables.sessions.values().filter(|leased| leased.leases == 0);
        unheld.map(|leased| (leased.app.clone(), leased.session.clone())).collect()
    }

    /// Returns a session with its app; `None`: there is none of this id any more.
    pub(crate) fn session(&self, id: &str) -> Option<(String, Session)> {
        let tables = self.lock();
        tables.sessions.get(id).map(|leased| (leased.app.clone(), leased.session.clone()))
    }

    /// Holds a session; `None`: there is none of this id any more.
    pub(crate) fn hold_session(&self, id: &str) -> Option<(String, Session)> {
        let mut tables = self.lock();
        let leased = tables.sessions.get_mut(id)?;
        leased.leases += 1;
        let held = (leased.app.clone(), leased.session.clone());
        drop(tables);
        self.changed.notify_waiters();
        Some(held)
    }

    /// Gives a session back. Returns whether it is over: nobody else holds it.
    pub(crate) fn release_session(&self, id: &str) -> bool {
        if let Some(leased) = self.lock().sessions.get_mut(id) {
            leased.leases = leased.leases.saturating_sub(1);
        }
        self.expire(id)
    }

    /// Ends a session that nobody holds. Returns whether it did.
    pub(crate) fn expire(&self, id: &str) -> bool {
        let mut tables = self.lock();
        let unheld = tables.sessions.get(id).is_some_and(|leased| leased.leases == 0);
        unheld && tables.sessions.remove(id).is_some()
    }

    /// Waits until somebody holds a session.
    pub(crate) async fn held(&self, id: &str) {
        self.until(|tables| tables.sessions.get(id).is_some_and(|leased| leased.leases > 0)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_held(registry: &Registry, app: &str) -> bool {
        registry.with(app, |queue| queue.is_held)
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn nothing_begins_once_all_is_closed() {
        let registry = Registry::default();
        assert!(!is_held(&registry, "shop"));
        runtime().block_on(registry.close()).unwrap();
        assert!(is_held(&registry, "shop") && is_held(&registry, "heard of later"));
        // Asked for again it is so already: whoever asked first may have gone.
        runtime().block_on(registry.close()).unwrap();
        assert_eq!(registry.open(), ["heard of later", "shop"]);
        assert!(!is_held(&registry, "shop") && !is_held(&registry, "blog"));
    }

    #[test]
    fn what_is_going_on_is_said_and_nothing_is_closed() {
        let registry = Registry::default();
        is_held(&registry, "blog");
        registry.with("shop", |queue| {
            let build = deploy::BuildCancel::new().unwrap();
            let (cancel, hurry) = (watch::Sender::new(false), watch::Sender::new(false));
            queue.running = Some(Running { id: "d7".to_owned(), cancel, hurry, build });
        });
        let why = runtime().block_on(registry.close()).unwrap_err();
        assert_eq!(why, "deploy d7 of shop is going on");
        registry.with("shop", |queue| queue.running = None);
        registry.with("blog", |queue| queue.removed_by = Some("d8".to_owned()));
        let why = runtime().block_on(registry.close()).unwrap_err();
        assert_eq!(why, "blog is being removed");
        assert!(!registry.is_closed() && !is_held(&registry, "shop"));
    }

    #[test]
    fn closing_waits_for_what_is_being_put_in_order() {
        let registry = Registry::default();
        registry.with("shop", |queue| queue.is_held = true);
        runtime().block_on(async {
            let closing = registry.close();
            tokio::pin!(closing);
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(closing.as_mut().poll(&mut context).is_pending() && !registry.is_closed());
            registry.with("shop", |queue| queue.is_held = false);
            closing.await.unwrap();
        });
        assert!(registry.is_closed());
    }
}
