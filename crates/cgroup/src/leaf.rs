//! One cgroup and the processes in it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::CgroupError;
use crate::usage::Usage;

/// How deep cgroups that a process made for itself below its leaf are followed.
const MAX_DEPTH: usize = 16;

/// One cgroup; by name, so that it costs no descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    path: PathBuf,
}

impl Leaf {
    /// Makes the cgroup at `path` and those above it that are missing.
    ///
    /// An empty one that exists already is taken as it is; one with processes is
    /// [`CgroupError::InUse`].
    pub fn create(path: &Path) -> Result<Self, CgroupError> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|e| CgroupError::io("make", parent, e))?;
        }
        let leaf = Self { path: path.to_owned() };
        match fs::create_dir(path) {
            Ok(()) => Ok(leaf),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if leaf.is_populated()? {
                    return Err(CgroupError::InUse { path: path.to_owned() });
                }
                Ok(leaf)
            }
            Err(error) => Err(CgroupError::io("make", path, error)),
        }
    }

    /// Returns the cgroup at `path`, or `None` where there is none.
    pub fn open(path: &Path) -> Result<Option<Self>, CgroupError> {
        match fs::metadata(path.join("cgroup.procs")) {
            Ok(_) => Ok(Some(Self { path: path.to_owned() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CgroupError::io("find", path, error)),
        }
    }

    /// Returns its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the cgroups directly below, by name.
    pub fn children(&self) -> Result<Vec<Self>, CgroupError> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(CgroupError::io("list", &self.path, error)),
        };
        let mut children: Vec<_> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| Self { path: entry.path() })
            .collect();
        children.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(children)
    }

    /// Returns its directory opened, as `CLONE_INTO_CGROUP` takes it.
    pub fn directory(&self) -> Result<OwnedFd, CgroupError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&self.path, flags, Mode::empty())
            .map_err(|errno| CgroupError::io("open", &self.path, errno))
    }

    /// Returns `cgroup.procs` opened for writing: a process that writes `0` to it moves here.
    pub fn entrance(&self) -> Result<File, CgroupError> {
        let path = self.path.join("cgroup.procs");
        OpenOptions::new()
            .write(true)
            .open(path)
            .map_err(|error| CgroupError::io("enter", &self.path, error))
    }

    /// Moves this process here.
    pub fn join(&self) -> Result<(), CgroupError> {
        self.entrance()?
            .write_all(b"0")
            .map_err(|error| CgroupError::io("enter", &self.path, error))
    }

    /// Returns the live processes here and below. One that is gone has none.
    pub fn processes(&self) -> Result<BTreeSet<u32>, CgroupError> {
        let mut found = BTreeSet::new();
        self.collect(&mut found, MAX_DEPTH)?;
        Ok(found)
    }

    fn collect(&self, into: &mut BTreeSet<u32>, depth: usize) -> Result<(), CgroupError> {
        match fs::read_to_string(self.path.join("cgroup.procs")) {
            Ok(text) => into.extend(text.lines().filter_map(|line| line.parse::<u32>().ok())),
            Err(error) if is_gone(&error) => return Ok(()),
            // A threaded subtree lists its processes in its root only.
            Err(error) if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => {}
            Err(error) => return Err(CgroupError::io("list", &self.path, error)),
        }
        if depth > 0 {
            for child in self.children()? {
                child.collect(into, depth - 1)?;
            }
        }
        Ok(())
    }

    /// Returns whether a process lives here or below. One that is gone is not populated.
    pub fn is_populated(&self) -> Result<bool, CgroupError> {
        match fs::read_to_string(self.path.join("cgroup.events")) {
            Ok(text) => Ok(parse_populated(&text)),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(CgroupError::io("read", &self.path, error)),
        }
    }

    /// Returns its state as something that can be polled.
    pub fn watch(&self) -> Result<Watch, CgroupError> {
        let path = self.path.join("cgroup.events");
        let file = File::open(path).map_err(|e| CgroupError::io("watch", &self.path, e))?;
        Ok(Watch { file, path: self.path.clone() })
    }

    /// Sends `signal` to every process that is here now; returns how many got it.
    ///
    /// A process id is trusted only if it is listed after its pidfd was opened: then the pidfd
    /// cannot be that of a stranger that took the id over in between.
    pub fn signal(&self, signal: Signal) -> Result<usize, CgroupError> {
        let opened: Vec<(u32, OwnedFd)> = self
            .processes()?
            .into_iter()
            .filter_map(|id| {
                let pid = Pid::from_raw(i32::try_from(id).ok()?)?;
                Some((id, pidfd_open(pid, PidfdFlags::empty()).ok()?))
            })
            .collect();
        let still = self.processes()?;
        let sent = opened
            .iter()
            .filter(|(id, _)| still.contains(id))
            .filter(|(_, pidfd)| pidfd_send_signal(pidfd, signal).is_ok())
            .count();
        Ok(sent)
    }

    /// Kills every process here and below; none can fork its way out.
    ///
    /// Kernels before 5.14 have no `cgroup.kill`: there the cgroup is frozen and its processes are
    /// killed one by one; call again until it is empty.
    pub fn kill(&self) -> Result<(), CgroupError> {
        match write(&self.path.join("cgroup.kill"), b"1") {
            Ok(()) => return Ok(()),
            Err(error) if is_gone(&error) && !self.path.exists() => return Ok(()),
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(CgroupError::io("kill", &self.path, error)),
        }
        self.kill_each()
    }

    /// Kills what is here now, process by process.
    fn kill_each(&self) -> Result<(), CgroupError> {
        let freeze = self.path.join("cgroup.freeze");
        // Without a freezer, a tree that forks quickly may need several rounds.
        let frozen = write(&freeze, b"1").is_ok();
        let killed = self.signal(Signal::KILL);
        if frozen {
            write(&freeze, b"0").map_err(|e| CgroupError::io("thaw", &self.path, e))?;
        }
        killed.map(|_| ())
    }

    /// Returns what its processes use now.
    pub fn usage(&self) -> Result<Usage, CgroupError> {
        Ok(Usage::of(&self.processes()?))
    }

    /// Removes it and the cgroups below it. One that is gone already is removed.
    pub fn remove(&self) -> Result<(), CgroupError> {
        self.remove_to_depth(MAX_DEPTH)
    }

    fn remove_to_depth(&self, depth: usize) -> Result<(), CgroupError> {
        if depth > 0 {
            for child in self.children()? {
                child.remove_to_depth(depth - 1)?;
            }
        }
        match fs::remove_dir(&self.path) {
            Ok(()) => Ok(()),
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(CgroupError::io("remove", &self.path, error)),
        }
    }
}

/// An open `cgroup.events`.
///
/// Becomes readable as urgent (`EPOLLPRI`) whenever the cgroup becomes populated or empty;
/// [`Watch::is_populated`] reads the level and arms it again.
#[derive(Debug)]
pub struct Watch {
    file: File,
    path: PathBuf,
}

impl Watch {
    /// Returns whether a process lives in the watched cgroup or below.
    pub fn is_populated(&self) -> Result<bool, CgroupError> {
        // The file has two or three short lines.
        let mut text = [0; 128];
        match rustix::io::pread(&self.file, &mut text, 0) {
            Ok(count) => Ok(parse_populated(&String::from_utf8_lossy(&text[..count]))),
            Err(Errno::NODEV) => Ok(false),
            Err(errno) => Err(CgroupError::io("read", &self.path, errno)),
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn parse_populated(text: &str) -> bool {
    // A text without the line would be a kernel that we do not know: not known to be empty.
    !text.lines().any(|line| line == "populated 0")
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(bytes)
}

/// Returns whether the cgroup (or its file) is not there: never was, or removed while open.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(Errno::NODEV.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Base;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::process::{Child, Command};

    /// Longest wait for the kernel; reached only by a defect.
    const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

    struct Scratch(Base);

    impl Drop for Scratch {
        fn drop(&mut self) {
            self.0.remove();
        }
    }

    /// Returns a base of the test's own, or `None` after saying why there is none.
    fn scratch(name: &str) -> Option<Scratch> {
        match Base::establish(&format!("{name}{}", std::process::id())) {
            Ok(base) => Some(Scratch(base)),
            Err(why) => {
                println!("not tried, no cgroups here: {why}");
                None
            }
        }
    }

    fn sleeper(leaf: &Leaf, script: &str) -> Child {
        let enter = format!("echo $$ > {}/cgroup.procs; {script}", leaf.path().display());
        Command::new("sh").args(["-c", &enter]).spawn().unwrap()
    }

    fn wait_until(leaf: &Leaf, populated: bool) {
        let watch = leaf.watch().unwrap();
        while watch.is_populated().unwrap() != populated {
            let mut polled = [PollFd::new(&watch, PollFlags::PRI)];
            assert_eq!(poll(&mut polled, Some(&PATIENCE)).unwrap(), 1, "nothing happened");
        }
    }

    #[test]
    fn a_tree_is_listed_killed_and_seen_to_be_empty() {
        let Some(base) = scratch("tree") else { return };
        let leaf = Leaf::create(&base.0.path().join("shop.web/g1.0.1")).unwrap();
        assert!(!leaf.is_populated().unwrap());
        // Double-forks, leaves its session, ignores SIGTERM.
        let mut child = sleeper(&leaf, "trap '' TERM; setsid sh -c 'sleep 600 & wait' & wait");
        wait_until(&leaf, true);
        assert!(matches!(Leaf::create(leaf.path()), Err(CgroupError::InUse { .. })));
        assert!(leaf.remove().is_err());
        let usage = leaf.usage().unwrap();
        assert!(usage.processes >= 1 && usage.resident_bytes > 4096, "{usage:?}");
        leaf.kill().unwrap();
        wait_until(&leaf, false);
        child.wait().unwrap();
        assert!(leaf.processes().unwrap().is_empty());
        leaf.remove().unwrap();
        assert!(Leaf::open(leaf.path()).unwrap().is_none());
        assert!(!leaf.is_populated().unwrap());
        leaf.kill().unwrap();
    }

    #[test]
    fn without_a_call_for_all_a_tree_that_keeps_forking_is_killed_one_by_one() {
        let Some(base) = scratch("each") else { return };
        let leaf = Leaf::create(&base.0.path().join("g1.0.1")).unwrap();
        // Each process makes its successor and ends: who is killed by name only is long gone.
        let relay = "trap '' TERM; relay() { (sleep 0.001; relay) & }; relay; relay";
        let mut child = sleeper(&leaf, relay);
        wait_until(&leaf, true);
        child.wait().unwrap();
        assert!(leaf.is_populated().unwrap());
        // As its callers do: again until it is empty.
        let mut rounds = 0;
        while leaf.is_populated().unwrap() {
            leaf.kill_each().unwrap();
            rounds += 1;
            assert!(rounds < 1000, "it forks its way out");
        }
        // It is thawed: whoever starts here next is not frozen.
        let mut child = sleeper(&leaf, "exit 0");
        assert!(child.wait().unwrap().success());
        wait_until(&leaf, false);
    }

    #[test]
    fn signals_reach_whom_is_inside() {
        let Some(base) = scratch("signal") else { return };
        let leaf = Leaf::create(&base.0.path().join("g1.0.1")).unwrap();
        let mut child = sleeper(&leaf, "exec sleep 600");
        wait_until(&leaf, true);
        assert_eq!(leaf.signal(Signal::TERM).unwrap(), 1);
        wait_until(&leaf, false);
        child.wait().unwrap();
    }

    #[test]
    fn an_unknown_events_file_is_not_taken_for_empty() {
        assert!(!parse_populated("populated 0\nfrozen 0\n"));
        assert!(parse_populated("populated 1\nfrozen 0\n"));
        assert!(parse_populated(""));
    }
}
