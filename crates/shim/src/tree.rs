//! All processes of one start of a slot.
//!
//! In a cgroup leaf they are what the kernel says. Without cgroups they are found in `/proc`: who
//! is in the main process's session, who carries the start's mark in its environment, and the
//! descendants of both. A process that leaves the session, orphans itself *and* clears its
//! environment is out of reach then.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cgroup::{CgroupError, Leaf, Watch};
use control::{ServiceName, SlotId};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::process::{self, Stat};

/// The environment variable that marks a start's processes where there are no cgroups.
pub(crate) const MARK: &str = "SKEP_START";

/// Returns the mark of one start. It names the installation: another one's app of the same name is
/// none of our business.
pub(crate) fn mark(installation: &str, service: &ServiceName, slot: SlotId, number: u64) -> String {
    format!("{}{slot}.{number}", mark_prefix(installation, service))
}

/// Returns what the marks of all starts of a service begin with.
pub(crate) fn mark_prefix(installation: &str, service: &ServiceName) -> String {
    format!("{installation}/{service}/")
}

/// The processes of one start.
#[derive(Debug)]
pub(crate) enum Tree {
    /// Those of a cgroup leaf; the watch becomes urgent when it becomes empty.
    Cgroup { leaf: Leaf, watch: Watch },
    /// Those of a session and of a mark.
    Session(Session),
}

/// How processes are recognised without cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// The main process, which made the session; `None`: only the mark is known.
    pub(crate) leader: Option<Leader>,
    /// The value of [`MARK`].
    pub(crate) mark: String,
}

/// The process that made a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leader {
    pub(crate) pid: u32,
    pub(crate) start_ticks: u64,
}

impl Tree {
    /// Returns the tree of an existing leaf, `None` if there is no such leaf.
    pub(crate) fn of_leaf(path: &Path) -> Result<Option<Self>, CgroupError> {
        let Some(leaf) = Leaf::open(path)? else { return Ok(None) };
        let watch = leaf.watch()?;
        Ok(Some(Self::Cgroup { leaf, watch }))
    }

    /// Returns what [`Tree::of_leaf`] needs to find it again.
    pub(crate) fn leaf(&self) -> Option<PathBuf> {
        match self {
            Self::Cgroup { leaf, .. } => Some(leaf.path().to_owned()),
            Self::Session(_) => None,
        }
    }

    /// Returns what to poll for [`crate::poll::Interest::Urgent`]; `None`: it has to be looked at.
    pub(crate) fn watch(&self) -> Option<&Watch> {
        match self {
            Self::Cgroup { watch, .. } => Some(watch),
            Self::Session(_) => None,
        }
    }

    /// Returns whether no process of it is alive; not knowing is not empty.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Cgroup { watch, .. } => watch.is_populated().is_ok_and(|populated| !populated),
            Self::Session(session) => session.processes().is_ok_and(|members| members.is_empty()),
        }
    }

    /// Returns its live processes, as far as they can be seen.
    pub(crate) fn processes(&self) -> BTreeSet<u32> {
        match self {
            Self::Cgroup { leaf, .. } => leaf.processes().unwrap_or_default(),
            Self::Session(session) => session.processes().unwrap_or_default(),
        }
    }

    /// Returns whether `pid` is one of them.
    pub(crate) fn contains(&self, pid: u32) -> bool {
        self.processes().contains(&pid)
    }

    /// Sends a signal to each that is there now.
    pub(crate) fn signal(&self, signal: Signal) {
        match self {
            Self::Cgroup { leaf, .. } => {
                // What fails is tried again by the kill at the end of the grace.
                let _ = leaf.signal(signal);
            }
            Self::Session(session) => session.signal(signal),
        }
    }

    /// Kills all of it; to be called again until it is empty.
    pub(crate) fn kill(&self) {
        match self {
            Self::Cgroup { leaf, .. } => {
                if leaf.kill().is_err() {
                    let _ = leaf.signal(Signal::KILL);
                }
            }
            Self::Session(session) => session.signal(Signal::KILL),
        }
    }

    /// Gives up an empty tree's leaf.
    pub(crate) fn remove(&self) {
        if let Self::Cgroup { leaf, .. } = self {
            // A leaf that cannot be removed now is taken or removed by the next shim.
            let _ = leaf.remove();
        }
    }
}

impl Session {
    fn processes(&self) -> io::Result<BTreeSet<u32>> {
        let all = snapshot()?;
        let us = std::process::id();
        // The id of a session is free for others once the session is empty.
        let leader = self.leader.filter(|leader| {
            all.get(&leader.pid).is_none_or(|stat| stat.start_ticks == leader.start_ticks)
        });
        // Nobody in the tree is older than its main process; most of a machine is.
        let oldest = self.leader.map_or(0, |leader| leader.start_ticks);
        let mut members = BTreeSet::new();
        for (pid, stat) in all.iter().filter(|(_, stat)| stat.start_ticks >= oldest) {
            if leader.is_some_and(|leader| stat.session == leader.pid)
                || (*pid != us && marks(*pid)?.is_some_and(|mark| mark == self.mark))
            {
                members.insert(*pid);
            }
        }
        loop {
            let before = members.len();
            let children = all.iter().filter(|(_, stat)| members.contains(&stat.parent));
            members.extend(children.map(|(pid, _)| *pid).collect::<Vec<_>>());
            if members.len() == before {
                break;
            }
        }
        members.retain(|pid| all.get(pid).is_some_and(Stat::is_alive));
        Ok(members)
    }

    /// A process id is trusted only if it is a member still after its pidfd was opened.
    fn signal(&self, signal: Signal) {
        let opened: Vec<(u32, OwnedFd)> = self
            .processes()
            .unwrap_or_default()
            .into_iter()
            .filter_map(|pid| Some((pid, process::open(pid)?)))
            .collect();
        if opened.is_empty() {
            return;
        }
        let still = self.processes().unwrap_or_default();
        for (_, pidfd) in opened.iter().filter(|(pid, _)| still.contains(pid)) {
            process::signal(pidfd, signal);
        }
    }
}

/// Returns every process that there is; an error, rather than some of them.
fn snapshot() -> io::Result<BTreeMap<u32, Stat>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if let Some(bytes) = of_process(fs::read(format!("/proc/{pid}/stat")))? {
            all.extend(Stat::parse(&bytes).map(|stat| (pid, stat)));
        }
    }
    Ok(all)
}

/// Returns what was read of a process; `None` if it is gone, or is nobody's that we may look at.
fn of_process<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(error)
            if matches!(
                Errno::from_io_error(&error),
                Some(Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM)
            ) =>
        {
            Ok(None)
        }
        // Too many open files, for example: that says nothing about the process.
        Err(error) => Err(error),
    }
}

/// Returns the mark in a process's environment; `None` also where it may not be read.
fn marks(pid: u32) -> io::Result<Option<String>> {
    let Some(environment) = of_process(fs::read(format!("/proc/{pid}/environ")))? else {
        return Ok(None);
    };
    Ok(environment.split(|byte| *byte == 0).find_map(|variable| {
        let value = variable.strip_prefix(MARK.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    }))
}

/// Returns the marks of live processes that begin with `prefix`.
pub(crate) fn find_marked(prefix: &str) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for (pid, _) in snapshot()?.into_iter().filter(|(_, stat)| stat.is_alive()) {
        found.extend(marks(pid)?.filter(|mark| mark.starts_with(prefix)));
    }
    Ok(found)
}
