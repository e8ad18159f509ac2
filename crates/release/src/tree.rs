//! Reading a directory tree that somebody else may be changing.
//!
//! The agent is root and the tree is a user's: between a look at a path and its use, any component
//! may have become a symlink to `/etc/shadow`. Every access here goes through the descriptor of the
//! tree's root with `openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)`, so that it ends inside the
//! tree or fails.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use disk::{DiskError, PathContext};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};

/// The root of a tree, held open.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
    path: PathBuf,
}

/// What a path is, without following it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) kind: FileType,
    pub(crate) mode: u32,
    pub(crate) size_bytes: u64,
    pub(crate) inode: u64,
    pub(crate) device: u64,
    pub(crate) modified_ns: i128,
    pub(crate) changed_ns: i128,
}

/// `S_ISUID | S_ISGID`.
const SET_ID_BITS: u32 = 0o6000;

impl Found {
    /// Returns whether a file runs with somebody else's rights. The set-group-id bit of a
    /// directory only says which group its files get.
    pub(crate) fn is_set_id(&self) -> bool {
        self.kind == FileType::RegularFile && self.mode & SET_ID_BITS != 0
    }

    /// Returns whether its owner may execute it.
    pub(crate) fn is_executable(&self) -> bool {
        self.mode & 0o100 != 0
    }
}

#[allow(clippy::useless_conversion, clippy::unnecessary_cast)] // widths differ by architecture
fn found(stat: &Stat) -> Found {
    const NANOSECONDS: i128 = 1_000_000_000;
    Found {
        kind: FileType::from_raw_mode(stat.st_mode),
        mode: stat.st_mode & 0o7777,
        size_bytes: stat.st_size as u64,
        inode: stat.st_ino,
        device: stat.st_dev,
        modified_ns: i128::from(stat.st_mtime) * NANOSECONDS + i128::from(stat.st_mtime_nsec),
        changed_ns: i128::from(stat.st_ctime) * NANOSECONDS + i128::from(stat.st_ctime_nsec),
    }
}

impl Tree {
    /// Opens the root; it may itself be reached through symlinks.
    pub(crate) fn open(path: &Path) -> Result<Self, DiskError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).context("open directory", path)?;
        Ok(Self { root, path: path.to_owned() })
    }

    /// Returns where the tree is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what is at `path`, or `None` when nothing is.
    pub(crate) fn stat(&self, path: &str) -> Result<Option<Found>, DiskError> {
        let whole = self.path.join(path);
        // Cheap and good enough to classify; whoever reads the file looks again at what it opened.
        match rustix::fs::statat(&self.root, path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(found(&stat))),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(DiskError::new("read the attributes of", &whole, errno)),
        }
    }

    /// Opens a regular file for reading and returns what it is now.
    pub(crate) fn open_file(&self, path: &str) -> Result<(File, Found), DiskError> {
        let whole = self.path.join(path);
        // A FIFO put here in the meantime must not block the open.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = self.beneath(path, flags).context("open", &whole)?;
        let stat = rustix::fs::fstat(&file).context("read the attributes of", &whole)?;
        let found = found(&stat);
        if found.kind != FileType::RegularFile {
            let kind = io::Error::new(io::ErrorKind::InvalidData, "it is no longer a regular file");
            return Err(DiskError::new("read", &whole, kind));
        }
        Ok((file.into(), found))
    }

    /// Returns the target of the symlink at `path`.
    pub(crate) fn read_link(&self, path: &str) -> Result<String, DiskError> {
        let whole = self.path.join(path);
        let link = self
            .beneath(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC)
            .context("open", &whole)?;
        let target = rustix::fs::readlinkat(&link, "", Vec::new()).context("read link", &whole)?;
        target.into_string().map_err(|_| {
            let kind = io::Error::new(io::ErrorKind::InvalidData, "its target is not UTF-8");
            DiskError::new("read link", &whole, kind)
        })
    }

    fn beneath(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        /// A rename going on elsewhere makes the kernel give up with EAGAIN (openat2(2)).
        const ATTEMPTS: usize = 8;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let mut last = rustix::io::Errno::AGAIN;
        for _ in 0..ATTEMPTS {
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                Ok(file) => return Ok(file),
                Err(errno @ (rustix::io::Errno::AGAIN | rustix::io::Errno::INTR)) => last = errno,
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(last.into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_outside_is_ever_opened() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        let inside = tempfile::tempdir().unwrap();
        symlink(outside.path(), inside.path().join("directory")).unwrap();
        symlink(outside.path().join("secret"), inside.path().join("link")).unwrap();
        std::fs::write(inside.path().join("file"), "f").unwrap();
        let tree = Tree::open(inside.path()).unwrap();
        assert!(tree.open_file("directory/secret").is_err());
        assert!(tree.open_file("link").is_err());
        assert!(tree.open_file("../x").is_err());
        assert!(tree.open_file(".").is_err());
        assert!(tree.open_file("file").is_ok());
        let target = tree.read_link("link").unwrap();
        assert_eq!(Path::new(&target), outside.path().join("secret"));
    }
}
