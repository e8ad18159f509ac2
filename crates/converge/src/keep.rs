//! What was found and would be lost: kept so that an undo can bring it back.
//!
//! One file for each, in a directory that only its owner may enter, since what is kept may be
//! secret. A kept file is durable before the change that needs it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use disk::{DiskError, PathContext};

/// Largest file that is kept: a larger one is an error, so that nobody loses it in silence.
const MAX_KEPT_BYTES: u64 = 1 << 30;

/// The directory of kept files.
#[derive(Debug, Clone)]
pub(crate) struct Keep {
    directory: PathBuf,
}

impl Keep {
    pub(crate) fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Copies a file and returns the copy's name.
    pub(crate) fn take(&self, path: &Path) -> Result<String, DiskError> {
        disk::create_directories(&self.directory, 0o700)?;
        let size = fs::metadata(path).context("look at", path)?.len();
        if size > MAX_KEPT_BYTES {
            let text = "it is too large to be kept for an undo; say `backup = False`";
            return Err(DiskError::new("keep", path, io::Error::other(text)));
        }
        // A piece of the name, for people: the whole one and a number may be too long for a name.
        let shown = path.file_name().unwrap_or_default().to_string_lossy();
        let shown: String = shown.chars().take(50).collect();
        // Names that are free are found by trying: a crash may have left one that no ledger knows.
        for number in 0_u32.. {
            let name = format!("{number}-{shown}");
            match self.copy(path, &name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let _ = fs::remove_file(self.path(&name));
                    return Err(DiskError::new("keep", path, error));
                }
                Ok(()) => {
                    disk::sync_directory(&self.directory)?;
                    return Ok(name);
                }
            }
        }
        Err(DiskError::new("keep", path, io::Error::other("no name is free")))
    }

    fn copy(&self, path: &Path, name: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut copy = options.write(true).create_new(true).mode(0o600).open(self.path(name))?;
        io::copy(&mut File::open(path)?, &mut copy)?;
        copy.sync_all()
    }

    /// Returns where a kept file is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        // A name of a ledger that somebody edited leads nowhere else.
        self.directory.join(Path::new(name).file_name().unwrap_or_default())
    }

    /// Removes what nobody needs: of changes that did not happen, and of resources that were taken
    /// over.
    pub(crate) fn sweep(&self, needed: &BTreeSet<&str>) -> Result<(), DiskError> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.context("list", &self.directory)?,
        };
        for entry in entries {
            let entry = entry.context("list", &self.directory)?;
            if !entry.file_name().to_str().is_some_and(|name| needed.contains(name)) {
                disk::remove_file(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Forgets a kept file.
    pub(crate) fn forget(&self, name: &str) -> Result<(), DiskError> {
        disk::remove_file(&self.path(name))
    }
}
