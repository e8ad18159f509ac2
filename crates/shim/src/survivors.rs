//! Processes of an earlier shim that are alive.
//!
//! Found once, before the first client is served: by the journal (process id, start time and boot
//! together), and by what a journal may lack, the cgroup leaves of this service or the marks of its
//! processes. They are kept, and nothing is started in their slot, until a client has one adopted
//! or discarded.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use cgroup::{CgroupError, Leaf};
use control::{ServiceName, SlotId};

use crate::context::note;
use crate::journal::{Journal, StartRecord};
use crate::poll::{Interest, Poll, Token};
use crate::process;
use crate::tree::{self, Leader, Session, Tree};

/// How long to wait before killing again what a kill left.
const KILL_AGAIN: Duration = Duration::from_millis(500);

/// What lives on cannot be seen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SurvivorsError {
    #[error("failed to look for what an earlier shim left")]
    Cgroup(#[from] CgroupError),
    #[error("failed to look for what an earlier shim left in `/proc`")]
    Proc(#[from] io::Error),
}

/// The name of the shim's own leaf.
pub(crate) const OWN_LEAF: &str = "shim";

/// One start of a slot by an earlier shim, of which something is alive.
#[derive(Debug)]
pub(crate) struct Survivor {
    /// In tokens.
    pub(crate) key: u32,
    pub(crate) slot: SlotId,
    /// Which start of the slot.
    pub(crate) number: u64,
    /// Its main process, if that is alive, with what was recorded of it.
    pub(crate) main: Option<(StartRecord, OwnedFd)>,
    pub(crate) tree: Tree,
    /// Nobody wants it: when to kill it again.
    kill_at: Option<Duration>,
}

impl Survivor {
    /// Returns a process of it, the main one if that is alive.
    pub(crate) fn pid(&self) -> Option<u32> {
        let main = self.main.as_ref().map(|(start, _)| start.pid);
        main.or_else(|| self.tree.processes().first().copied())
    }

    /// Returns whether it is being killed.
    pub(crate) fn is_discarded(&self) -> bool {
        self.kill_at.is_some()
    }

    /// Kills all of it; [`Survivor::is_over`] says when it is done.
    pub(crate) fn discard(&mut self, poll: &Poll, now: Duration) {
        if self.kill_at.is_some() {
            return;
        }
        if let Some(watch) = self.tree.watch()
            && let Err(error) = poll.add(watch, Token::Survivor(self.key), Interest::Urgent)
        {
            note(&format!("failed to watch a cgroup: {error}"));
        }
        self.kill(now);
    }

    fn kill(&mut self, now: Duration) {
        self.tree.kill();
        self.kill_at = Some(now + KILL_AGAIN);
    }

    /// Kills again what is due.
    pub(crate) fn tick(&mut self, now: Duration) {
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill(now);
        }
    }

    /// Returns when [`Survivor::tick`] is due.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.kill_at
    }

    /// Returns whether it was discarded and nothing is left; then its leaf is removed.
    pub(crate) fn is_over(&self, poll: &Poll) -> bool {
        let over = self.is_discarded() && self.tree.is_empty();
        if over {
            if let Some(watch) = self.tree.watch() {
                poll.remove(watch);
            }
            self.tree.remove();
        }
        over
    }
}

/// Finds all survivors of a service. An error, rather than some of them: what is not found would be
/// started a second time.
pub(crate) fn find(
    installation: &str,
    service: &ServiceName,
    cgroup: Option<&Path>,
    journal: &Journal,
) -> Result<Vec<Survivor>, SurvivorsError> {
    let mut found = BTreeMap::new();
    for (slot, start) in journal.living() {
        let main = process::open_same(start.pid, start.start_ticks);
        let tree = recorded_tree(installation, service, slot, start)?;
        if main.is_some() || !tree.is_empty() {
            let main = main.map(|pidfd| (start.clone(), pidfd));
            found.insert((slot, start.number), (main, tree));
        }
    }
    let unrecorded = match cgroup {
        Some(cgroup) => in_leaves(cgroup)?,
        None => Vec::new(),
    };
    let marked = marked(installation, service, journal)?;
    for (slot, number, tree) in unrecorded.into_iter().chain(marked) {
        found.entry((slot, number)).or_insert((None, tree));
    }
    let survivors = found.into_iter().zip(0..).map(|(((slot, number), (main, tree)), key)| {
        Survivor { key, slot, number, main, tree, kill_at: None }
    });
    Ok(survivors.collect())
}

fn recorded_tree(
    installation: &str,
    service: &ServiceName,
    slot: SlotId,
    start: &StartRecord,
) -> Result<Tree, CgroupError> {
    let leaf = start.cgroup.as_deref().map(Tree::of_leaf).transpose()?.flatten();
    Ok(leaf.unwrap_or_else(|| {
        Tree::Session(Session {
            leader: Some(Leader { pid: start.pid, start_ticks: start.start_ticks }),
            mark: tree::mark(installation, service, slot, start.number),
        })
    }))
}

/// Returns the populated leaves of a service; empty ones are removed.
fn in_leaves(cgroup: &Path) -> Result<Vec<(SlotId, u64, Tree)>, CgroupError> {
    let leaves = Leaf::open(cgroup)?.map(|leaf| leaf.children()).transpose()?;
    let mut found = Vec::new();
    for leaf in leaves.unwrap_or_default() {
        let name = leaf.path().file_name().and_then(|name| name.to_str());
        let Some((slot, number)) = name.and_then(parse) else { continue };
        if leaf.is_populated().is_ok_and(|populated| !populated) {
            let _ = leaf.remove();
        } else if let Some(tree) = Tree::of_leaf(leaf.path())? {
            found.push((slot, number, tree));
        }
    }
    Ok(found)
}

/// Returns the starts whose mark some process carries.
fn marked(
    installation: &str,
    service: &ServiceName,
    journal: &Journal,
) -> io::Result<Vec<(SlotId, u64, Tree)>> {
    let prefix = tree::mark_prefix(installation, service);
    let mut found = BTreeMap::new();
    for mark in tree::find_marked(&prefix)? {
        let Some((slot, number)) = mark.strip_prefix(&prefix).and_then(parse) else { continue };
        let start = journal.past(slot).and_then(|past| past.start.as_ref());
        let leader = start
            .filter(|start| start.number == number)
            .map(|start| Leader { pid: start.pid, start_ticks: start.start_ticks });
        found.entry((slot, number)).or_insert(Tree::Session(Session { leader, mark }));
    }
    Ok(found.into_iter().map(|((slot, number), tree)| (slot, number, tree)).collect())
}

/// Parses a leaf's name, `g7.0.3`: the third start of slot `g7.0`.
fn parse(name: &str) -> Option<(SlotId, u64)> {
    let (slot, number) = name.rsplit_once('.')?;
    Some((slot.parse().ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_are_named_by_slot_and_start() {
        assert_eq!(parse("g7.0.3"), Some((SlotId::new(7, 0), 3)));
        assert_eq!(parse(OWN_LEAF), None);
        assert_eq!(parse("g7.0"), None);
        assert_eq!(parse("g7.0.x"), None);
    }
}
