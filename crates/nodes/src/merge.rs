//! The merge rules.
//!
//! | parent | child | result |
//! |---|---|---|
//! | list | list | the parent's items, then the child's |
//! | dict | dict | the keys of both; where both have one, the child's value, whole |
//! | anything else, or two types | | the child's |
//!
//! With [`Depth::All`] dicts inside dicts are merged in the same way instead of replaced; lists
//! inside dicts are replaced at either depth. Nothing is dropped silently: a value that took
//! another's place has it in `hides`.
//!
//! Merging is associative where types agree; where a list meets a string and then a list again it
//! is not, because what was hidden does not come back.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use crate::value::{Data, Entry, Value};

/// How far dicts are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// Their own keys.
    #[default]
    One,
    /// The keys of dicts in them as well.
    All,
}

/// Returns what a child makes of one key's value of its parent.
pub fn merge(parent: Value, mut child: Value, depth: Depth) -> Value {
    match (parent.data, child.data) {
        (Data::List(mut items), Data::List(more)) => {
            items.extend(more);
            child.data = Data::List(items);
            child
        }
        (Data::Map(entries), Data::Map(more)) => {
            child.data = Data::Map(merge_entries(entries, more, depth));
            child
        }
        (below, above) => {
            child.data = above;
            hiding(child, Value { data: below, ..parent })
        }
    }
}

fn merge_entries(
    mut entries: BTreeMap<String, Entry>,
    more: BTreeMap<String, Entry>,
    depth: Depth,
) -> BTreeMap<String, Entry> {
    for (key, entry) in more {
        match entries.entry(key) {
            Slot::Vacant(slot) => {
                slot.insert(entry);
            }
            Slot::Occupied(mut slot) => {
                let parent = slot.get().value.clone();
                let value = replace(parent, entry.value, depth);
                slot.insert(Entry { key: entry.key, value });
            }
        }
    }
    entries
}

/// Returns what a child makes of a value inside a dict.
fn replace(parent: Value, mut child: Value, depth: Depth) -> Value {
    match (parent.data, child.data, depth) {
        (Data::Map(entries), Data::Map(more), Depth::All) => {
            child.data = Data::Map(merge_entries(entries, more, depth));
            child
        }
        (below, above, _) => {
            child.data = above;
            hiding(child, Value { data: below, ..parent })
        }
    }
}

/// Puts `hidden` behind everything that `value` hides already.
pub(crate) fn hiding(mut value: Value, hidden: Value) -> Value {
    let mut last = &mut value.hides;
    while let Some(next) = last {
        last = &mut next.hides;
    }
    *last = Some(Box::new(hidden));
    value
}
