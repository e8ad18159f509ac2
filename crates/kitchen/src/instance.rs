//! An instance: its machine, what was done to it, and what is to be done next.
//!
//! ```text
//! DIRECTORY/
//!   lock         held by whoever does something to it
//!   state.json   its state, the last action and the last error
//!   given/       what the machine is given with each converge; it sees this as /run/skep/given
//!   tools/       programs that go into the machine for somebody else
//!   machine/     the machine, see `machine`
//! ```
//!
//! States follow each other: absent, created, converged, verified. What is asked for is reached through those
//! that are missing; the present state or an earlier one is done again alone. What an action does not finish is
//! found as such: the state before is written when it begins, with what there is to say if it never ends.
//!
//! A machine that died takes its instance back to absent.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use disk::{DiskError, Lock, PathContext};
use serde::{Deserialize, Serialize};

use crate::machine::{self, Machine};

/// Largest `state.json`: a state, and an error of bounded length.
const MAX_STATE_BYTES: u64 = 64 << 10;

/// Longest part of an error that is remembered.
const MAX_ERROR_CHARS: usize = 4_000;

/// How far an instance is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There is no machine.
    #[default]
    Absent,
    /// There is one.
    Created,
    /// It is as its recipes say.
    Converged,
    /// Its checks were passed.
    Verified,
}

/// What is done to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Make its machine.
    Create,
    /// Run its recipes.
    Converge,
    /// Run its checks.
    Verify,
    /// End its machine and remove everything.
    Destroy,
}

impl Action {
    /// Returns the state that it leads to.
    pub fn state(self) -> State {
        match self {
            Self::Create => State::Created,
            Self::Converge => State::Converged,
            Self::Verify => State::Verified,
            Self::Destroy => State::Absent,
        }
    }

    /// Returns the state while it is going on, which is what is left if it fails.
    fn during(self, state: State) -> State {
        match self {
            // A machine that is half made is none, one that was half converged is only there.
            Self::Create => State::Absent,
            Self::Converge => State::Created,
            Self::Verify => state.min(State::Converged),
            Self::Destroy => state.min(State::Created),
        }
    }

    /// Returns its name, as that of the command.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Converge => "converge",
            Self::Verify => "verify",
            Self::Destroy => "destroy",
        }
    }
}

/// Returns what leads from a state to what an action asks for.
pub fn way(state: State, wanted: Action) -> Vec<Action> {
    const ALL: [Action; 3] = [Action::Create, Action::Converge, Action::Verify];
    if wanted == Action::Destroy || state >= wanted.state() {
        return vec![wanted];
    }
    let missing = |action: &Action| action.state() > state && action.state() <= wanted.state();
    ALL.into_iter().filter(missing).collect()
}

/// What is remembered of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// How far it is.
    pub state: State,
    /// What was done last, finished or not.
    pub last_action: Option<Action>,
    /// Why that failed.
    pub last_error: Option<String>,
}

/// A place for an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    directory: PathBuf,
}

impl Instance {
    /// Returns the instance at a path.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Returns where its machine lives.
    pub fn machine_directory(&self) -> PathBuf {
        self.directory.join("machine")
    }

    /// Returns the directory whose files the machine sees below `/run/skep/given`.
    pub fn given(&self) -> PathBuf {
        self.directory.join("given")
    }

    /// Returns the directory of programs that were written for it.
    pub fn tools(&self) -> PathBuf {
        self.directory.join("tools")
    }

    /// Returns whether there is anything of it.
    pub fn exists(&self) -> bool {
        self.directory.exists()
    }

    fn state_file(&self) -> PathBuf {
        self.directory.join("state.json")
    }

    /// Returns its machine, if that lives.
    pub fn machine(&self) -> Result<Option<Machine>, DiskError> {
        Machine::find(&self.machine_directory())
    }

    /// Returns what is remembered; a machine that died is said.
    pub fn record(&self) -> Result<Record, DiskError> {
        let mut record = self.read()?;
        if record.state > State::Absent && self.machine()?.is_none() {
            record.state = State::Absent;
            record.last_error = Some(
                "its processes ended: the machine restarted, or somebody \
                                      killed them"
                    .to_owned(),
            );
        }
        Ok(record)
    }

    fn read(&self) -> Result<Record, DiskError> {
        let path = self.state_file();
        match disk::read_limited(&path, MAX_STATE_BYTES) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| DiskError::new("read", &path, std::io::Error::other(error))),
            Err(error) if error.is_not_found() => Ok(Record::default()),
            Err(error) => Err(error),
        }
    }

    /// Takes it for this process alone, or returns `None` while somebody else is at it.
    pub fn lock(&self) -> Result<Option<Locked<'_>>, DiskError> {
        disk::create_directories(&self.directory, 0o700)?;
        let path = self.directory.join("lock");
        let lock = Lock::try_exclusive(&path)?;
        let Some(lock) = lock else { return Ok(None) };
        // Whoever removed the directory meanwhile held the lock of what is gone now.
        let held = rustix::fs::fstat(&lock).context("look at", &path)?;
        match std::fs::metadata(&path) {
            Ok(found) if (found.dev(), found.ino()) == (held.st_dev, held.st_ino) => {}
            _ => return Ok(None),
        }
        Ok(Some(Locked { instance: self, _lock: lock }))
    }
}

/// An instance that this process alone changes.
#[derive(Debug)]
pub struct Locked<'a> {
    instance: &'a Instance,
    _lock: Lock,
}

impl Locked<'_> {
    /// Returns the instance.
    pub fn instance(&self) -> &Instance {
        self.instance
    }

    /// Does something to it and remembers how it ended: the outer error is about remembering, the inner one is
    /// what `work` returns.
    pub fn act<E: std::fmt::Display>(
        &self,
        action: Action,
        work: impl FnOnce() -> Result<(), E>,
    ) -> Result<Result<(), E>, DiskError> {
        let before = self.instance.record()?.state;
        let during = action.during(before);
        let text = format!("`{}` did not come to its end", action.name());
        self.write(&Record { state: during, last_action: Some(action), last_error: Some(text) })?;
        let done = work();
        let (state, last_error) = match &done {
            Ok(()) if action == Action::Verify => (before.max(State::Verified), None),
            Ok(()) => (action.state(), None),
            Err(error) => {
                let text = error.to_string();
                let text = text.strip_prefix("error: ").unwrap_or(&text);
                (during, Some(text.chars().take(MAX_ERROR_CHARS).collect()))
            }
        };
        self.write(&Record { state, last_action: Some(action), last_error })?;
        Ok(done)
    }

    fn write(&self, record: &Record) -> Result<(), DiskError> {
        let path = self.instance.state_file();
        let text = serde_json::to_vec_pretty(record)
            .map_err(|error| DiskError::new("write", &path, std::io::Error::other(error)))?;
        disk::write_atomically(&path, &text, 0o600)
    }

    /// Ends the machine and whatever is left of one, and leaves an empty directory for the next.
    pub fn clear(&self) -> Result<PathBuf, DiskError> {
        let directory = self.instance.machine_directory();
        machine::clear(&directory)?;
        disk::create_directories(&directory, 0o700)?;
        Ok(directory)
    }

    /// Ends the machine and removes everything.
    pub fn destroy(self) -> Result<(), DiskError> {
        machine::clear(&self.instance.machine_directory())?;
        disk::remove_tree(&self.instance.directory)?;
        // The last one of a kitchen takes its directory along; one with others stays.
        if let Some(parent) = self.instance.directory.parent() {
            let _ = std::fs::remove_dir(parent);
        }
        Ok(())
    }
}

/// Returns the directory of a kitchen's instances below that of all kitchens: named after where its file lies.
pub fn kitchen_directory(all: &Path, kitchen: &Path) -> PathBuf {
    let digest = crate::digest::of(kitchen.as_os_str().as_encoded_bytes());
    let name = kitchen.file_name().unwrap_or_default().to_string_lossy();
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    all.join(format!("{name}-{}", &digest[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_done_and_what_is_there_is_done_again() {
        use Action::{Converge, Create, Destroy, Verify};
        assert_eq!(way(State::Absent, Verify), [Create, Converge, Verify]);
        assert_eq!(way(State::Created, Verify), [Converge, Verify]);
        assert_eq!(way(State::Absent, Create), [Create]);
        assert_eq!(way(State::Verified, Verify), [Verify]);
        assert_eq!(way(State::Verified, Converge), [Converge]);
        assert_eq!(way(State::Converged, Create), [Create]);
        assert_eq!(way(State::Converged, Destroy), [Destroy]);
    }

    #[test]
    fn an_action_is_remembered_however_it_ends() {
        let directory = tempfile::tempdir().unwrap();
        let instance = Instance::at(directory.path().join("a"));
        let locked = instance.lock().unwrap().unwrap();
        assert!(instance.lock().unwrap().is_none());
        let failed = || Err(DiskError::new("mount", Path::new("/x"), std::io::ErrorKind::NotFound));
        locked.act(Action::Create, failed).unwrap().unwrap_err();
        let record = instance.record().unwrap();
        assert_eq!((record.state, record.last_action), (State::Absent, Some(Action::Create)));
        assert_eq!(record.last_error.as_deref(), Some("failed to mount `/x`"));
        locked.act::<DiskError>(Action::Create, || Ok(())).unwrap().unwrap();
        // There are no processes behind it.
        let record = instance.record().unwrap();
        assert_eq!(record.state, State::Absent);
        assert!(record.last_error.unwrap().starts_with("its processes ended"));
        locked.destroy().unwrap();
        assert!(!directory.path().join("a").exists());
    }
}
