//! Ending whatever is in a machine's directory, in whichever state it is.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use disk::{DiskError, Lock, PathContext};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{END_WITHIN, Machine, kill, open};

/// Largest file with a path or a number.
const MAX_NOTE_BYTES: u64 = 8 << 10;

/// The keeper's process id.
pub(super) const KEEPER_FILE: &str = "keeper";

/// The machine's cgroup.
pub(super) const CGROUP_FILE: &str = "cgroup";

/// Ends the machine in a directory, one that is just being made, or what one left behind, and removes the
/// directory. Whoever calls this sees to it that nobody makes a machine there meanwhile.
pub fn clear(directory: &Path) -> Result<(), DiskError> {
    if !directory.exists() {
        return Ok(());
    }
    if let Some(machine) = Machine::find(directory)? {
        machine.end()?;
    }
    end_keeper(directory)?;
    if let Some(path) = note(directory, CGROUP_FILE)
        && let Ok(Some(leaf)) = cgroup::Leaf::open(path.as_ref())
    {
        empty(&leaf)
            .map_err(|error| DiskError::new("empty", leaf.path(), io::Error::other(error)))?;
    }
    disk::remove_tree(directory)
}

/// Ends who is left of a machine's cgroup, which are those that die with process 1 just now, and removes it.
fn empty(leaf: &cgroup::Leaf) -> Result<(), cgroup::CgroupError> {
    leaf.kill()?;
    let watch = leaf.watch()?;
    while watch.is_populated()? {
        let mut fds = [PollFd::new(&watch, PollFlags::PRI)];
        if poll(&mut fds, Some(&limit())) == Ok(0) {
            // Still populated: removing it says so.
            break;
        }
    }
    leaf.remove()
}

/// Ends a keeper whose caller was killed before the machine stood.
fn end_keeper(directory: &Path) -> Result<(), DiskError> {
    let lock = directory.join("lock");
    if let Some(number) = note(directory, KEEPER_FILE)
        && let Some(keeper) = number.parse().ok().and_then(open)
    {
        // It has this number only as long as it holds the lock, which is asked after it is held.
        if Lock::try_exclusive(&lock)?.is_some() {
            return Ok(());
        }
        // Process 1 asks to be killed with its parent, and ends if it cannot report to it.
        kill(&keeper).context("kill the keeper of", directory)?;
        return wait_for_end(&keeper).context("end the keeper of", directory);
    }
    Ok(())
}

fn note(directory: &Path, name: &str) -> Option<String> {
    let bytes = disk::read_limited(&directory.join(name), MAX_NOTE_BYTES).ok()?;
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

fn limit() -> Timespec {
    Timespec { tv_sec: END_WITHIN.as_secs() as i64, tv_nsec: 0 }
}

/// Waits until a process has ended.
pub(super) fn wait_for_end(process: &OwnedFd) -> rustix::io::Result<()> {
    let process = process.as_fd();
    let mut fds = [PollFd::new(&process, PollFlags::IN)];
    loop {
        match poll(&mut fds, Some(&limit())) {
            Err(Errno::INTR) => {}
            Ok(0) => return Err(Errno::TIMEDOUT),
            other => return other.map(drop),
        }
    }
}
