//! A throw-away machine: namespaces around an overlay of a root tree.
//!
//! ```text
//! DIRECTORY/
//!   setup.json    what it was made from
//!   machine.json  its processes, written once it runs
//!   lock          held by its keeper for as long as it lives
//!   keeper        the keeper's process id, written before anything is made
//!   cgroup        the machine's cgroup, if it has one
//!   keeper.log    what the keeper has to say
//!   upper, work   everything that was changed, unless that is in memory
//!   root          where the tree is mounted, in the machine's own mounts only
//! ```
//!
//! A machine has its own mounts, process ids, host name, IPC, network and cgroup namespaces; its
//! process 1 ([`init`]) only waits for others. A **keeper** outside of it is the parent of process
//! 1: it answers the machine's requests for packages and for instance metadata through sockets that
//! process 1 bound in a namespace beside the machine's and handed out, so that the machine itself has no
//! way out but these (`network`).
//! Killing process 1 ends everything in the machine, which is what [`Machine::destroy`] does: no
//! mount, process or interface is left, because all of them belong to namespaces that are gone.
//!
//! Whoever is killed, nothing stands without a keeper: process 1 dies with its keeper, and a keeper whose caller
//! died before it heard of the machine ends it. What such ends leave, files and an empty cgroup, [`clear`] removes.
//!
//! Needs root. It keeps a mistaken recipe from the host; it is no wall against a hostile one.

mod clear;
mod create;
mod enter;
mod init;
mod keeper;
mod metadata;
mod network;
mod outside;
mod own_files;
mod root;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use disk::{DiskError, Lock, PathContext};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

pub use clear::clear;
pub use create::KEEPER;
pub use enter::{ENTER, Foreground, enter};
pub use keeper::keep;
pub use network::{NEIGHBOUR, OUTSIDE_PORT};
pub use root::SHARED;

/// Largest `setup.json` and `machine.json`.
const MAX_RECORD_BYTES: u64 = 1 << 20;

/// How long the processes of a machine may take to end once they are killed. Reached only where one hangs in the
/// kernel, on a disk that does not answer.
const END_WITHIN: Duration = Duration::from_secs(30);

/// What a machine is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Its host name.
    pub hostname: String,
    /// Its files before anything is changed.
    pub lower: Lower,
    /// Directories and files of the host that it sees below `/run/skep`, by name there; read-only.
    pub shared: Vec<(String, PathBuf)>,
    /// What the fake instance metadata say, by path below `/latest/`.
    pub metadata: std::collections::BTreeMap<String, String>,
    /// Whether programs in it may fetch by HTTP, through the keeper.
    pub outside: bool,
}

/// The files of a machine before anything is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lower {
    /// Those of this machine, without homes and what Skep keeps: quick, and not pristine.
    Host {
        /// Directories and files that are empty in the machine.
        hidden: Vec<PathBuf>,
    },
    /// A root tree.
    Tree(PathBuf),
}

/// The processes of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Processes {
    /// The keeper.
    keeper: u32,
    /// Process 1, as the host numbers it.
    init: u32,
    /// The keeper's descriptor of the directory with all changes.
    changes: i32,
}

/// A machine that lives.
#[derive(Debug)]
pub struct Machine {
    directory: PathBuf,
    processes: Processes,
    /// Refers to the process, whatever becomes of its number.
    keeper: OwnedFd,
    init: OwnedFd,
}

impl Machine {
    /// Returns the machine that lives in a directory, if one does.
    pub fn find(directory: &Path) -> Result<Option<Self>, DiskError> {
        let record = directory.join("machine.json");
        let bytes = match disk::read_limited(&record, MAX_RECORD_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        // One that is cut short is from before a power loss, as its machine is.
        let Ok(processes) = serde_json::from_slice::<Processes>(&bytes) else { return Ok(None) };
        let (Some(keeper), Some(init)) = (open(processes.keeper), open(processes.init)) else {
            return Ok(None);
        };
        // Whoever has these numbers now is the machine only while its keeper holds the lock, which
        // is asked after the processes are held.
        if Lock::try_exclusive(&directory.join("lock"))?.is_some() {
            return Ok(None);
        }
        Ok(Some(Self { directory: directory.to_owned(), processes, keeper, init }))
    }

    /// Returns where it lives.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns what it was made from.
    pub fn setup(&self) -> Result<Setup, DiskError> {
        Setup::read(&self.directory)
    }

    /// Returns its process 1, as the host numbers it.
    pub fn init(&self) -> u32 {
        self.processes.init
    }

    /// Returns the directory that holds everything that was changed in it, while it lives.
    pub fn upper(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", self.processes.keeper, self.processes.changes).into()
    }

    /// Ends everything in it and removes its directory.
    pub fn destroy(self) -> Result<(), DiskError> {
        self.end()?;
        clear(&self.directory)
    }

    /// Ends everything in it.
    fn end(&self) -> Result<(), DiskError> {
        kill(&self.init).context("kill process 1 of", &self.directory)?;
        // The keeper ends after its child; both ends are awaited, not assumed.
        for process in [&self.init, &self.keeper] {
            clear::wait_for_end(process).context("end the machine in", &self.directory)?;
        }
        Ok(())
    }
}

impl Setup {
    /// Reads that of the machine in a directory.
    fn read(directory: &Path) -> Result<Self, DiskError> {
        let path = directory.join("setup.json");
        serde_json::from_slice(&disk::read_limited(&path, MAX_RECORD_BYTES)?)
            .map_err(|error| DiskError::new("read", &path, error))
    }
}

impl Lower {
    /// Returns the tree's root.
    pub fn root(&self) -> &Path {
        match self {
            Self::Host { .. } => Path::new("/"),
            Self::Tree(tree) => tree,
        }
    }
}

/// Kills a process; one that is gone is killed.
fn kill(process: &OwnedFd) -> rustix::io::Result<()> {
    match pidfd_send_signal(process, Signal::KILL) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        other => other,
    }
}

/// Writes a record of a machine, whole. It is not synced: a machine does not outlive what a sync is for.
fn write_record(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).context("write", &new)?;
    std::fs::rename(&new, path).context("write", path)
}

fn open(pid: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}
