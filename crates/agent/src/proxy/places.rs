//! Which slots of `skep/proxy` there may be, and which one goes on whatever happens.
//!
//! A record in the store, written before a slot is started and after one is gone, so that the next
//! agent finds every proxy that this one may have left, and knows which of them was never told to
//! leave: the current one. It is one value and has one writer, the agent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use store::{Store, StoreError};

/// Where the record is.
const KEY: &str = "proxy";

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Places {
    /// The generation that serves. No other one is needed.
    current: u64,
    /// Every generation that may have a slot, with the build that its recipe names.
    builds: BTreeMap<u64, String>,
    /// The highest generation that was ever given out.
    newest: u64,
}

impl Places {
    /// Reads the record; that of an installation without a proxy names no build.
    pub(super) fn read(store: &Store) -> Result<Self, StoreError> {
        let found = store.get_json(KEY)?.map(|json| json.value);
        Ok(found.unwrap_or_else(|| Self {
            current: 1,
            builds: BTreeMap::from([(1, String::new())]),
            newest: 1,
        }))
    }

    /// Writes the record.
    pub(super) fn write(&self, store: &Store) -> Result<(), StoreError> {
        store.put_json(KEY, self).map(drop)
    }

    /// Returns the generation that serves.
    pub(super) fn current(&self) -> u64 {
        self.current
    }

    /// Returns the build of a generation's recipe.
    pub(super) fn build(&self, generation: u64) -> &str {
        self.builds.get(&generation).map_or("", String::as_str)
    }

    /// Returns every generation that may have a slot.
    pub(super) fn all(&self) -> impl Iterator<Item = u64> {
        self.builds.keys().copied()
    }

    /// Returns those that are to end.
    pub(super) fn others(&self) -> Vec<u64> {
        self.all().filter(|generation| *generation != self.current).collect()
    }

    /// Notes that the current one is started by this build: it does not run.
    pub(super) fn start_afresh(&mut self, build: &str) {
        self.builds.insert(self.current, build.to_owned());
    }

    /// Returns the generation that is to follow the current one: what an agent before us had begun
    /// with this build, else a new one. An older one than the current may have been told to leave.
    pub(super) fn successor(&mut self, build: &str) -> u64 {
        let is_begun = |other: &u64| *other > self.current && self.build(*other) == build;
        let begun = self.others().into_iter().rfind(is_begun);
        begun.unwrap_or_else(|| {
            self.newest += 1;
            self.builds.insert(self.newest, build.to_owned());
            self.newest
        })
    }

    /// Makes a generation the current one: from here on it is the other that may be told to leave.
    pub(super) fn switch(&mut self, generation: u64) {
        self.current = generation;
    }

    /// Forgets a generation whose slot is gone.
    pub(super) fn forget(&mut self, generation: u64) {
        self.builds.remove(&generation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(store: &Store) -> Places {
        Places::read(store).unwrap()
    }

    #[test]
    fn an_upgrade_goes_on_where_an_agent_before_us_was_killed() {
        let store = Store::in_memory();
        let mut first = places(&store);
        first.start_afresh("a");
        first.write(&store).unwrap();
        assert_eq!((first.current(), first.others()), (1, vec![]));

        let mut second = places(&store);
        assert_eq!(second.successor("b"), 2);
        second.write(&store).unwrap();
        // Killed here, it comes to the same successor, and the current one still is the old one.
        let mut again = places(&store);
        assert_eq!((again.successor("b"), again.current(), again.build(2)), (2, 1, "b"));
        again.switch(2);
        again.write(&store).unwrap();
        // And here there is nothing left but to end the old one.
        let mut last = places(&store);
        assert_eq!((last.build(last.current()), last.others()), ("b", vec![1]));
        last.forget(1);
        assert_eq!(last.all().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_generation_is_never_given_out_twice() {
        let store = Store::in_memory();
        let mut places = places(&store);
        assert_eq!(places.successor("b"), 2);
        places.forget(2);
        assert_eq!(places.successor("b"), 3);
        // One of yet another build beside one that was begun.
        assert_eq!(places.successor("c"), 4);
        assert_eq!(places.others(), [3, 4]);
        // One that may have been told to leave follows nobody.
        places.switch(4);
        assert_eq!(places.successor("b"), 5);
    }
}
