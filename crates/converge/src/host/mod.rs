//! The machine, as it is: paths below a root, and its databases parsed natively.
//!
//! Each database is read once for a run, when something first asks for it, and again after a change
//! of ours. No process is started. Only the files are read: a user that only a directory service
//! knows is not seen.

mod accounts;
mod locks;
mod packages;

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use disk::{DiskError, PathContext};

pub use accounts::fuzz_accounts;
pub(crate) use accounts::{Accounts, Group, User};
pub(crate) use locks::lock_holder;
pub(crate) use packages::Packages;
pub use packages::fuzz_packages;

use crate::problem::Problem;

/// Largest database that is read: the package status of a machine with every package of Debian has
/// a third of it.
const MAX_DATABASE_BYTES: u64 = 256 << 20;

/// One machine, or a directory tree that looks like one.
#[derive(Debug)]
pub struct Host {
    root: PathBuf,
    accounts: RefCell<Option<Rc<Accounts>>>,
    packages: RefCell<Option<Rc<Packages>>>,
}

impl Host {
    /// Returns the machine this process runs on.
    pub fn this_machine() -> Self {
        Self::below("/")
    }

    /// Returns the machine whose files lie below a directory. Paths are joined to it; symbolic links
    /// in there lead where they lead, so it is no protection. Commands are refused.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), accounts: RefCell::default(), packages: RefCell::default() }
    }

    /// Returns whether commands may be run: they would see the machine of this process.
    pub(crate) fn is_this_machine(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Returns where an absolute path of the machine is found.
    pub(crate) fn real(&self, path: &Path) -> PathBuf {
        match path.strip_prefix("/") {
            Ok(relative) if !self.is_this_machine() => self.root.join(relative),
            _ => path.to_owned(),
        }
    }

    /// Returns what is at a path, without following a link there; `None` if nothing is.
    pub(crate) fn look(&self, path: &Path) -> Result<Option<std::fs::Metadata>, Problem> {
        match std::fs::symlink_metadata(self.real(path)) {
            Ok(found) => Ok(Some(found)),
            // A component that is no directory: nothing is there either.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(DiskError::new("look at", path, error).into()),
        }
    }

    /// Returns the users and groups.
    pub(crate) fn accounts(&self) -> Result<Rc<Accounts>, Problem> {
        if let Some(accounts) = &*self.accounts.borrow() {
            return Ok(Rc::clone(accounts));
        }
        let read = |name: &str| self.database(Path::new(name));
        let accounts = Accounts::parse(&read("/etc/passwd")?, &read("/etc/group")?);
        let accounts = Rc::new(accounts);
        *self.accounts.borrow_mut() = Some(Rc::clone(&accounts));
        Ok(accounts)
    }

    /// Returns the installed packages.
    pub(crate) fn packages(&self) -> Result<Rc<Packages>, Problem> {
        if let Some(packages) = &*self.packages.borrow() {
            return Ok(Rc::clone(packages));
        }
        let packages = Packages::parse(&self.database(Path::new("/var/lib/dpkg/status"))?);
        let packages = Rc::new(packages);
        *self.packages.borrow_mut() = Some(Rc::clone(&packages));
        Ok(packages)
    }

    /// Forgets what was read: something was started that may have changed it.
    pub(crate) fn forget(&self) {
        self.accounts.borrow_mut().take();
        self.packages.borrow_mut().take();
    }

    /// Reads a database; one that is not there is empty.
    fn database(&self, path: &Path) -> Result<Vec<u8>, Problem> {
        match disk::read_limited(&self.real(path), MAX_DATABASE_BYTES) {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error.into()),
            Ok(bytes) => Ok(bytes),
        }
    }

    /// Returns a file's bytes, at most this many.
    pub(crate) fn read(&self, path: &Path, max_bytes: u64) -> Result<Vec<u8>, Problem> {
        Ok(disk::read_limited(&self.real(path), max_bytes)?)
    }

    /// Returns where a link leads.
    pub(crate) fn link_target(&self, path: &Path) -> Result<PathBuf, Problem> {
        Ok(std::fs::read_link(self.real(path)).context("read the link", path)?)
    }
}
