//! Reading and writing of an app's records, each write a transaction that compares.

use std::collections::BTreeSet;

use environment::Key;
use store::{Outcome, Revision, Store, Txn};

use crate::caller::Caller;
use crate::error::DeployError;
use crate::records::{
    AppRecord, DeployRecord, End, Intent, KEPT_DEPLOYS, KEPT_RELEASES, Phase, ReleaseRecord, Scale,
    Session, key,
};

/// The store, seen as an app's records.
#[derive(Debug, Clone, Copy)]
pub struct Journal<'a> {
    store: &'a Store,
}

impl<'a> Journal<'a> {
    /// Wraps the store.
    pub fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// Returns the records of all apps.
    pub fn apps(&self) -> Result<Vec<AppRecord>, DeployError> {
        let apps = self.store.range_json(key::APPS)?;
        Ok(apps.into_iter().map(|json| json.value).collect())
    }

    /// Returns the names of the apps that have a deploy that is going on or waits. The first deploy
    /// of an app comes before the app's record.
    pub fn deploying(&self) -> Result<BTreeSet<String>, DeployError> {
        let mut names = BTreeSet::new();
        for prefix in [key::DEPLOYING, key::WAITING] {
            for entry in self.store.range(prefix)? {
                let rest = entry.key.strip_prefix(prefix).unwrap_or_default();
                names.insert(rest.split('/').next().unwrap_or_default().to_owned());
            }
        }
        Ok(names)
    }

    /// Returns what is known of an app.
    pub fn app(&self, app: &str) -> Result<Option<AppRecord>, DeployError> {
        Ok(self.store.get_json(&key::app(app))?.map(|json| json.value))
    }

    /// Returns a release.
    pub fn release(&self, app: &str, number: u32) -> Result<ReleaseRecord, DeployError> {
        self.store
            .get_json(&key::release(app, number))?
            .map(|json| json.value)
            .ok_or_else(|| DeployError::NoRelease { app: app.to_owned(), number })
    }

    /// Returns all releases of an app, oldest first.
    pub fn releases(&self, app: &str) -> Result<Vec<ReleaseRecord>, DeployError> {
        let releases = self.store.range_json(&key::releases(app))?;
        Ok(releases.into_iter().map(|json| json.value).collect())
    }

    /// Returns the operator's numbers of slots.
    pub fn scale(&self, app: &str) -> Result<Scale, DeployError> {
        Ok(self.store.get_json(&key::scale(app))?.map(|json| json.value).unwrap_or_default())
    }

    /// Returns the deploy of an app that is going on.
    pub fn deploy(&self, app: &str) -> Result<Option<DeployRecord>, DeployError> {
        Ok(self.store.get_json(&key::deploy(app))?.map(|json| json.value))
    }

    /// Returns the deploys of an app that wait for their turn, the next one first.
    pub fn waiting(&self, app: &str) -> Result<Vec<DeployRecord>, DeployError> {
        let waiting = self.store.range_json(&key::waiting_of(app))?;
        Ok(waiting.into_iter().map(|json| json.value).collect())
    }

    /// Returns what the caller of a deploy gave along; nothing after its end.
    pub fn caller(&self, opener: &Key, app: &str, id: &str) -> Result<Caller, DeployError> {
        match self.store.get(&key::caller(app, id))? {
            Some(entry) => Ok(Caller::unseal(opener, app, id, &entry.value)?),
            None => Ok(Caller::default()),
        }
    }

    /// Returns a deploy that ended.
    pub fn ended(&self, id: &str) -> Result<Option<DeployRecord>, DeployError> {
        Ok(self.store.get_json(&key::ended(id))?.map(|json| json.value))
    }

    /// Returns the next number of a counter; it is never given out twice, whatever happens.
    pub fn count(&self, name: &str) -> Result<u64, DeployError> {
        let key = key::counter(name);
        loop {
            let found = self.store.get_json::<u64>(&key)?;
            let unchanged = found.as_ref().map(|json| json.mod_revision).unwrap_or_default();
            let next = found.map_or(0, |json| json.value) + 1;
            let txn = Txn::new().if_unchanged(&key, unchanged).put_json(&key, &next);
            if self.store.commit(&txn)?.committed().is_some() {
                return Ok(next);
            }
        }
    }

    /// Changes an app's record; made if it is missing.
    pub fn change_app(
        &self,
        app: &str,
        change: impl Fn(&mut AppRecord),
    ) -> Result<AppRecord, DeployError> {
        loop {
            let (txn, record) = self.with_app(Txn::new(), app, &change)?;
            if self.store.commit(&txn)?.committed().is_some() {
                return Ok(record);
            }
        }
    }

    /// Adds a change of the app's record to a transaction.
    pub fn with_app(
        &self,
        txn: Txn,
        app: &str,
        change: impl Fn(&mut AppRecord),
    ) -> Result<(Txn, AppRecord), DeployError> {
        let key = key::app(app);
        let found = self.store.get_json::<AppRecord>(&key)?;
        let unchanged = found.as_ref().map(|json| json.mod_revision).unwrap_or_default();
        let mut record = found.map(|json| json.value).unwrap_or_default();
        app.clone_into(&mut record.name);
        change(&mut record);
        Ok((txn.if_unchanged(&key, unchanged).put_json(&key, &record), record))
    }

    /// Takes on a deploy: from the return of this on it is begun one day, or ended. Older ones that
    /// it takes the place of end in the same transaction.
    pub fn wait(
        &self,
        record: &DeployRecord,
        caller: Option<Vec<u8>>,
        superseded: &[DeployRecord],
    ) -> Result<(), DeployError> {
        let waiting = key::waiting(&record.app, &record.id);
        let mut txn = Txn::new().if_absent(&waiting).put_json(waiting, record);
        if let Some(sealed) = caller {
            txn = txn.put(key::caller(&record.app, &record.id), sealed);
        }
        for older in superseded {
            txn = txn.if_exists(key::waiting(&older.app, &older.id));
            txn = ending(txn, &ended(older, End::Superseded));
        }
        self.commit(&txn).map(drop)
    }

    /// Begins a deploy that waits: refused while another one of the app is going on.
    pub fn begin(&self, record: &DeployRecord) -> Result<(), DeployError> {
        let (waiting, key) = (key::waiting(&record.app, &record.id), key::deploy(&record.app));
        let txn =
            Txn::new().if_exists(&waiting).if_absent(&key).delete(waiting).put_json(key, record);
        self.commit(&txn).map(drop)
    }

    /// Moves a deploy to its next phase, together with whatever else `txn` does. Refused when the
    /// record in the store is not in the phase that `before` says: somebody else moved it.
    pub fn advance(
        &self,
        before: &DeployRecord,
        after: &DeployRecord,
        txn: Txn,
    ) -> Result<(), DeployError> {
        let key = key::deploy(&after.app);
        let found = self.store.get_json::<DeployRecord>(&key)?;
        let unchanged = match found {
            Some(json) if json.value.id == before.id && json.value.phase == before.phase => {
                json.mod_revision
            }
            _ => return Err(DeployError::Conflict { key }),
        };
        self.commit(&txn.if_unchanged(&key, unchanged).put_json(&key, after)).map(drop)
    }

    /// Ends a deploy, whether it waits or is going on: it moves to those that can still be asked
    /// for, the oldest of which goes. In the same transaction is said whose session the app is now.
    pub fn end(&self, record: &DeployRecord, end: End) -> Result<DeployRecord, DeployError> {
        let record = ended(record, end);
        let mut txn = ending(Txn::new(), &record);
        let going_on = key::deploy(&record.app);
        let found = self.store.get_json::<DeployRecord>(&going_on)?;
        if let Some(found) = found.filter(|found| found.value.id == record.id) {
            txn = txn.if_unchanged(&going_on, found.mod_revision).delete(going_on);
        }
        if let Some(app) = self.app(&record.app)? {
            let owner = owner_after(&app, &record);
            if owner != app.session {
                (txn, _) = self.with_app(txn, &record.app, |app| app.session.clone_from(&owner))?;
            }
        }
        let old = self.store.range(key::ENDED)?;
        // The same few a time: this runs at each end.
        for old in old.iter().take(old.len().saturating_sub(KEPT_DEPLOYS)).take(10) {
            txn = txn.delete(&old.key);
        }
        self.commit(&txn)?;
        Ok(record)
    }

    /// Ends a deploy by its id if its record says that it is going on still. The record is the one
    /// in the store: where it was when somebody last could write.
    pub fn end_left(&self, app: &str, id: &str, end: &End) -> Result<(), DeployError> {
        match self.deploy(app)? {
            Some(left) if left.id == id => self.end(&left, end.clone()).map(drop),
            _ => Ok(()),
        }
    }

    /// Writes a release.
    pub fn put_release(&self, app: &str, release: &ReleaseRecord) -> Result<(), DeployError> {
        self.store.put_json(&key::release(app, release.number), release)?;
        Ok(())
    }

    /// Deletes the releases of an app that are beyond the last [`KEPT_RELEASES`] and whose files went.
    pub fn forget_releases(&self, app: &str) -> Result<(), DeployError> {
        let releases = self.releases(app)?;
        let releases: Vec<_> = releases.iter().map(|known| (known.number, known.removed)).collect();
        // One by one: nobody minds half of it, and a transaction has a size.
        for number in forgettable(&releases) {
            self.store.delete(&key::release(app, number))?;
        }
        Ok(())
    }

    /// Commits, or says which record was changed by somebody else.
    pub fn commit(&self, txn: &Txn) -> Result<Revision, DeployError> {
        match self.store.commit(txn)? {
            Outcome::Committed(revision) => Ok(revision),
            Outcome::Conflict { key, .. } => Err(DeployError::Conflict { key }),
        }
    }
}

fn ended(record: &DeployRecord, end: End) -> DeployRecord {
    DeployRecord { phase: Phase::Ended, end: Some(end), ..record.clone() }
}

/// Adds to a transaction that a deploy waits no more, needs nothing of its caller's, and ended.
fn ending(txn: Txn, record: &DeployRecord) -> Txn {
    txn.put_json(key::ended(&record.id), record)
        .delete(key::waiting(&record.app, &record.id))
        .delete(key::caller(&record.app, &record.id))
}

/// Returns the numbers of the releases that are deleted, of all (number, whether its files went),
/// oldest first.
fn forgettable(releases: &[(u32, bool)]) -> impl Iterator<Item = u32> + '_ {
    let beyond = releases.len().saturating_sub(KEPT_RELEASES);
    releases[..beyond].iter().filter(|(_, removed)| *removed).map(|(number, _)| *number)
}

/// Returns the session that what runs of an app belongs to after a deploy's end.
fn owner_after(app: &AppRecord, ended: &DeployRecord) -> Option<Session> {
    let serving = app.serving.as_ref();
    let made_what_serves =
        ended.release.is_some() && ended.release == serving.map(|serving| serving.release);
    let done = ended.end == Some(End::Done);
    match &ended.intent {
        // However it ended.
        _ if made_what_serves => ended.session.clone(),
        // Nothing had to be made: what serves is what somebody wants to stay.
        Intent::Deploy { .. } if done && ended.session.is_none() => None,
        // It started what was down, and did not find it up.
        Intent::Deploy { .. } if done && !ended.stages.is_empty() => ended.session.clone(),
        // Whoever starts it again wants it to stay.
        Intent::Stop { .. } if done && serving.is_none_or(crate::Serving::is_down) => None,
        _ => app.session.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{Placement, Serving};

    fn record(id: &str, intent: Intent) -> DeployRecord {
        DeployRecord {
            id: id.to_owned(),
            app: "shop".to_owned(),
            intent,
            who: "anna".to_owned(),
            at: String::new(),
            boot_id: "boot".to_owned(),
            phase: Phase::Queued,
            session: None,
            from: None,
            release: None,
            from_listener: None,
            listener: None,
            stages: Vec::new(),
            stage: 0,
            release_slot: None,
            end: None,
        }
    }

    fn deploy(id: &str) -> DeployRecord {
        record(id, Intent::Deploy { directory: "/srv/shop".to_owned(), force: false })
    }

    fn ids(journal: Journal<'_>) -> Vec<String> {
        journal.waiting("shop").unwrap().into_iter().map(|record| record.id).collect()
    }

    #[test]
    fn what_waits_is_in_the_store_until_it_begins_or_ends() {
        let store = Store::in_memory();
        let journal = Journal::new(&store);
        journal.wait(&deploy("d9"), Some(b"sealed".to_vec()), &[]).unwrap();
        let restart = record("d10", Intent::Restart { service: None });
        journal.wait(&restart, None, &[]).unwrap();
        assert_eq!(ids(journal), ["d9", "d10"], "in the order of their numbers");
        assert_eq!(journal.deploying().unwrap(), BTreeSet::from(["shop".to_owned()]));

        journal.wait(&deploy("d11"), None, &[deploy("d9")]).unwrap();
        assert_eq!(ids(journal), ["d10", "d11"]);
        assert_eq!(journal.ended("d9").unwrap().unwrap().end, Some(End::Superseded));
        assert_eq!(store.get(&key::caller("shop", "d9")).unwrap(), None);

        journal.begin(&restart).unwrap();
        assert_eq!(ids(journal), ["d11"]);
        assert!(journal.begin(&restart).is_err(), "it waits no more");
        assert!(journal.begin(&deploy("d11")).is_err(), "another one is going on");
        assert_eq!(ids(journal), ["d11"], "a refused begin takes nothing away");

        journal.end_left("shop", "d11", &End::Cancelled).unwrap();
        assert!(journal.deploy("shop").unwrap().is_some(), "another one's record is left alone");
        journal.end_left("shop", "d10", &End::Done).unwrap();
        assert_eq!(journal.deploy("shop").unwrap(), None);
        journal.begin(&deploy("d11")).unwrap();
        assert_eq!(ids(journal), [""; 0]);
    }

    #[test]
    fn what_serves_is_whose_deploy_made_it() {
        let store = Store::in_memory();
        let journal = Journal::new(&store);
        let session = Session {
            id: "s".to_owned(),
            deploy: "d1".to_owned(),
            boot_id: "boot".to_owned(),
            who: "anna".to_owned(),
        };
        let serve = |release, stopped| {
            let services = [("web".to_owned(), Placement { stopped, ..Placement::default() })];
            let serving = Serving { release, services: services.into() };
            journal.change_app("shop", |app| app.serving = Some(serving.clone())).unwrap();
        };
        let end = |record: DeployRecord, end| {
            journal.end(&record, end).unwrap();
            journal.app("shop").unwrap().unwrap().session
        };
        let made = |id, release, session: Option<&Session>| DeployRecord {
            release: Some(release),
            session: session.cloned(),
            ..deploy(id)
        };
        serve(1, false);
        assert_eq!(end(made("d1", 1, Some(&session)), End::Done), Some(session.clone()));
        let restart = record("d2", Intent::Restart { service: None });
        assert_eq!(end(restart, End::Done), Some(session.clone()), "the same release");
        assert_eq!(end(made("d3", 2, None), End::Cancelled), Some(session.clone()), "never served");
        assert_eq!(end(deploy("d4"), End::Cancelled), Some(session.clone()));
        assert_eq!(end(deploy("d5"), End::Done), None, "no change, and wanted");
        let started = DeployRecord {
            session: Some(session.clone()),
            stages: vec![Serving { release: 1, services: [].into() }],
            ..deploy("d12")
        };
        assert_eq!(end(started, End::Done), Some(session.clone()), "it was down");

        assert_eq!(end(made("d6", 1, Some(&session)), End::Done), Some(session.clone()));
        serve(3, false);
        assert_eq!(
            end(made("d7", 3, None), End::Done),
            None,
            "a newer release of nobody's session"
        );

        assert_eq!(end(made("d8", 3, Some(&session)), End::Done), Some(session.clone()));
        let stop = || record("d9", Intent::Stop { service: Some("queue".to_owned()) });
        assert_eq!(end(stop(), End::Done), Some(session), "another service is up");
        serve(3, true);
        assert_eq!(end(stop(), End::Done), None);
    }

    #[test]
    fn old_releases_without_files_are_forgotten() {
        let kept = u32::try_from(KEPT_RELEASES).unwrap();
        let releases: Vec<_> = (1..=kept + 3).map(|number| (number, number != 2)).collect();
        assert_eq!(forgettable(&releases).collect::<Vec<_>>(), [1, 3], "v2 has its files still");
        assert_eq!(forgettable(&releases[..5]).count(), 0);
    }
}
