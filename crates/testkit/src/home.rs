//! A hermetic installation.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ::home::Home;

use crate::Skep;
use crate::processes::{Found, kill_naming, kill_naming_at_once, processes_naming};

/// Where homes are made; ordinary users must be able to reach it, which a `mktemp -d` is not.
const DEFAULT_ROOT: &str = "/var/tmp";
/// Names another directory for homes.
const ROOT_VARIABLE: &str = "SKEP_TEST_ROOT";
/// Set to keep what a test leaves in its directory, for looking at it.
const KEEP_VARIABLE: &str = "SKEP_TEST_KEEP";

/// How long each of the commands that stop the installation may take before what is left is
/// killed.
const STOP_WITHIN: Duration = Duration::from_secs(30);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A directory with a `SKEP_HOME` in it and room beside it. When it is dropped everything that
/// belongs to it ends: by Skep's own commands first, then by force, in any case.
#[derive(Debug)]
pub struct TempHome {
    directory: PathBuf,
    binary: Option<PathBuf>,
    owner: Option<(u32, u32)>,
    boots: u32,
}

impl TempHome {
    /// Makes a home for the user who runs the test, and knows `binary` as its `skep`.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self::make(Some(binary.into()), None)
    }

    /// Makes a home that belongs to another user; the test must run as root.
    pub fn of_user(binary: impl Into<PathBuf>, uid: u32, gid: u32) -> Self {
        Self::make(Some(binary.into()), Some((uid, gid)))
    }

    /// Makes a home without a program: nothing is stopped, only killed.
    pub fn bare() -> Self {
        Self::make(None, None)
    }

    fn make(binary: Option<PathBuf>, owner: Option<(u32, u32)>) -> Self {
        let root = std::env::var_os(ROOT_VARIABLE).map_or(DEFAULT_ROOT.into(), PathBuf::from);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = root.join(format!("skep-test.{}.{number}", std::process::id()));
        // A process of the same id that was killed may have left one.
        disk::remove_tree(&directory).unwrap();
        let home = Self { directory, binary, owner, boots: 0 };
        home.make_directory(&home.directory, 0o711);
        home.make_directory(&home.path("user"), 0o755);
        home
    }

    /// Returns the path of `name` beside the `SKEP_HOME`: for sources, for anything.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes a directory beside the `SKEP_HOME` that belongs to the home's user.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        self.make_directory(&path, 0o755);
        path
    }

    /// Returns the `SKEP_HOME`; it does not exist before Skep makes it.
    pub fn home(&self) -> Home {
        Home::at(self.path("home"))
    }

    /// Returns the program, to be run in this home.
    pub fn skep(&self) -> Skep {
        let binary = self.binary.as_deref().expect("this home was made with a program");
        let boot_id = (self.boots > 0).then(|| self.boot_id());
        Skep::new(binary, &self.directory, self.owner).with_boot_id(boot_id)
    }

    /// Ends the installation as a loss of power does: nobody of it gets to do anything about the
    /// death of another, its cgroups are gone, its files stay, and from now on its programs see
    /// another boot id. The test must run as root. Returns who was killed.
    pub fn reboot(&mut self) -> Vec<Found> {
        let killed = kill_naming_at_once(&self.directory);
        self.clear_cgroup();
        self.boots += 1;
        let text = format!("00000000-0000-4000-8000-{:012x}\n", self.boots);
        fs::write(self.boot_id(), text).unwrap();
        fs::set_permissions(self.boot_id(), fs::Permissions::from_mode(0o444)).unwrap();
        killed
    }

    fn boot_id(&self) -> PathBuf {
        self.path(&format!("boot_id.{}", self.boots))
    }

    /// Returns the live processes that belong to this home.
    pub fn processes(&self) -> Vec<Found> {
        processes_naming(&self.directory)
    }

    /// Stops the installation with its own commands; returns those that failed.
    pub fn stop(&self) -> Vec<String> {
        if self.binary.is_none() || !self.home().format_file().exists() {
            return Vec::new();
        }
        let output = self.skep().start(["agent:stop", "--all"]).finish_within(STOP_WITHIN);
        match output {
            Ok(output) if output.code == Some(0) => Vec::new(),
            Ok(output) => vec![format!("skep agent:stop --all: {output}")],
            Err(why) => vec![format!("skep agent:stop --all: {why}")],
        }
    }

    fn make_directory(&self, path: &Path, mode: u32) {
        fs::create_dir_all(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        if let Some((uid, gid)) = self.owner {
            chown(path, Some(uid), Some(gid)).unwrap();
        }
    }

    /// Kills what the installation's cgroup still holds and removes it.
    fn clear_cgroup(&self) {
        let Ok(installation) = self.home().open() else { return };
        let Ok(base) = cgroup::Base::establish(&installation.id) else { return };
        if let Ok(Some(leaf)) = cgroup::Leaf::open(base.path()) {
            // What is not killed here is found by its environment.
            let _ = leaf.kill();
        }
        base.remove();
    }
}

impl Drop for TempHome {
    fn drop(&mut self) {
        for failure in self.stop() {
            eprintln!("while stopping {}: {failure}", self.directory.display());
        }
        self.clear_cgroup();
        let (left, gone) = kill_naming(&self.directory);
        for process in left {
            eprintln!("left by {} and killed: {process}", self.directory.display());
        }
        if !gone {
            eprintln!("{} still has processes that do not die", self.directory.display());
        }
        // Once more: what was killed last had kept it populated.
        self.clear_cgroup();
        if std::env::var_os(KEEP_VARIABLE).is_some() {
            eprintln!("kept: {}", self.directory.display());
        } else if let Err(error) = disk::remove_tree(&self.directory) {
            eprintln!("{error}");
        }
    }
}
