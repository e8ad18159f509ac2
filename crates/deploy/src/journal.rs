//! Reading and writing of an app's records, each write a transaction that compares.

use store::{Outcome, Revision, Store, Txn};

use crate::error::DeployError;
use crate::records::{
    AppRecord, DeployRecord, End, KEPT_DEPLOYS, Phase, ReleaseRecord, Scale, key,
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

    /// Returns the names of all apps.
    pub fn apps(&self) -> Result<Vec<AppRecord>, DeployError> {
        let mut apps = Vec::new();
        for entry in self.store.range(key::APPS)? {
            if entry.key.ends_with("/app") && entry.key.matches('/').count() == 2 {
                apps.push(entry.json()?);
            }
        }
        Ok(apps)
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

    /// Begins a deploy: refused while another one of the app is going on.
    pub fn begin(&self, record: &DeployRecord) -> Result<(), DeployError> {
        let key = key::deploy(&record.app);
        let txn = Txn::new().if_absent(&key).put_json(&key, record);
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

    /// Ends a deploy: it moves to those that can still be asked for, the oldest of which goes.
    pub fn end(&self, record: &DeployRecord, end: End) -> Result<DeployRecord, DeployError> {
        let mut record = record.clone();
        record.phase = Phase::Ended;
        record.end = Some(end);
        let going_on = key::deploy(&record.app);
        let mut txn = Txn::new().put_json(key::ended(&record.id), &record);
        let current = self.deploy(&record.app)?;
        if current.is_some_and(|current| current.id == record.id) {
            txn = txn.delete(going_on);
        }
        let ended = self.store.range(key::ENDED)?;
        // The same few a time: this runs at each end.
        for old in ended.iter().take(ended.len().saturating_sub(KEPT_DEPLOYS)).take(10) {
            txn = txn.delete(&old.key);
        }
        self.commit(&txn)?;
        Ok(record)
    }

    /// Writes a release.
    pub fn put_release(&self, app: &str, release: &ReleaseRecord) -> Result<(), DeployError> {
        self.store.put_json(&key::release(app, release.number), release)?;
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
