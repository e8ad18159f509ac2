//! What was changed in a machine: the upper layer of its overlay, compared with the tree below.
//!
//! overlayfs(7): a removed file is a character device 0:0, a directory that replaces another one is marked
//! opaque, everything else in the upper layer is a copy. What was only touched (copied up and equal) is no change;
//! times are not compared. What Skep itself put there, the mount points and [`Setup::own_files`], is left out.

mod equal;
mod names;

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use disk::{DiskError, PathContext};
use serde::Serialize;

use crate::machine::Setup;
use equal::differs;
use names::Names;

/// Most changes that are listed: those of some hundred packages.
const MAX_CHANGES: usize = 100_000;

/// Deepest directory that is looked into; a path is not longer than 4096 bytes.
const MAX_DEPTH: usize = 2_048;

/// Mount points at the top of every machine.
const MOUNTED: [&str; 5] = ["dev", "proc", "run", "sys", "tmp"];

/// What became of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was not there.
    Added,
    /// Its content, type, mode or owner is another.
    Changed,
    /// It is no more, and nothing below it.
    Removed,
}

/// One path that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedPath {
    /// Absolute, in the machine.
    pub path: PathBuf,
    /// What became of it.
    pub change: Change,
    /// What it is now; of a removed one, what it was.
    pub kind: &'static str,
    /// Permissions, likewise.
    pub mode: u32,
    /// User and group, by name where they have one.
    pub owner: String,
}

/// Everything that was changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Sorted by path.
    pub paths: Vec<ChangedPath>,
    /// Those that are too many to list.
    pub omitted: usize,
}

/// Compares the upper layer of a machine with the tree below it.
pub fn list(upper: &Path, setup: &Setup) -> Result<Changes, DiskError> {
    compare(upper, setup.lower.root(), setup.own_files())
}

fn compare(
    upper: &Path,
    lower: &Path,
    own: Vec<(&'static str, String)>,
) -> Result<Changes, DiskError> {
    let names = Names::read(upper, lower);
    let mut walk = Walk { upper, lower, own, names, found: Changes::default() };
    walk.directory(Path::new(""), Below::There, 0)?;
    Ok(walk.found)
}

/// What the lower tree has where a directory of the upper one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Below {
    /// A directory, which is merged with this one.
    There,
    /// A directory, of which nothing is seen any more.
    Hidden,
    /// No directory.
    Nothing,
}

struct Walk<'a> {
    upper: &'a Path,
    lower: &'a Path,
    /// What Skep put there.
    own: Vec<(&'static str, String)>,
    names: Names,
    found: Changes,
}

impl Walk<'_> {
    fn directory(&mut self, path: &Path, below: Below, depth: usize) -> Result<(), DiskError> {
        if depth > MAX_DEPTH {
            return Err(DiskError::new("walk", path, io::ErrorKind::InvalidData));
        }
        let directory = self.upper.join(path);
        let mut names: Vec<_> = entries(&directory)?;
        if below == Below::Hidden {
            for name in entries(&self.lower.join(path))? {
                if !names.contains(&name) {
                    let gone = path.join(&name);
                    let was = metadata(&self.lower.join(&gone))?;
                    self.report(&gone, Change::Removed, was.as_ref());
                }
            }
        }
        names.sort();
        for name in names {
            let path = path.join(&name);
            if depth == 0 && MOUNTED.iter().any(|mounted| name == *mounted) || self.is_own(&path) {
                continue;
            }
            self.entry(&path, below, depth)?;
        }
        Ok(())
    }

    /// Returns whether a file is as Skep put it there.
    fn is_own(&self, path: &Path) -> bool {
        self.own.iter().any(|(own, text)| {
            let upper = self.upper.join(path);
            path == Path::new(own)
                && fs::symlink_metadata(&upper).is_ok_and(|found| {
                    found.is_file() && found.mode() & 0o7777 == 0o644 && found.uid() == 0
                })
                && disk::read_limited(&upper, text.len() as u64)
                    .is_ok_and(|bytes| bytes == text.as_bytes())
        })
    }

    fn entry(&mut self, path: &Path, below: Below, depth: usize) -> Result<(), DiskError> {
        let (upper, lower) = (self.upper.join(path), self.lower.join(path));
        let Some(now) = metadata(&upper)? else { return Ok(()) };
        let was = match below {
            // Not through a lower link: `lower` is followed only where it was a directory all the way.
            Below::Nothing => None,
            Below::There | Below::Hidden => metadata(&lower)?,
        };
        if now.file_type().is_char_device() && now.rdev() == 0 {
            if was.is_some() {
                self.report(path, Change::Removed, was.as_ref());
            }
            return Ok(());
        }
        match &was {
            None => self.report(path, Change::Added, Some(&now)),
            Some(was) if differs(&now, &upper, was, &lower)? => {
                self.report(path, Change::Changed, Some(&now));
            }
            Some(_) => {}
        }
        if !now.is_dir() {
            return Ok(());
        }
        let below = match was {
            Some(was) if was.is_dir() && (is_opaque(&upper)? || below == Below::Hidden) => {
                Below::Hidden
            }
            Some(was) if was.is_dir() => Below::There,
            _ => Below::Nothing,
        };
        self.directory(path, below, depth + 1)
    }

    fn report(&mut self, path: &Path, change: Change, metadata: Option<&Metadata>) {
        if self.found.paths.len() >= MAX_CHANGES {
            self.found.omitted += 1;
            return;
        }
        let (kind, mode, owner) = match metadata {
            Some(metadata) => {
                (kind(metadata), metadata.mode() & 0o7777, self.names.owner(metadata))
            }
            None => ("unknown", 0, String::new()),
        };
        let path = Path::new("/").join(path);
        self.found.paths.push(ChangedPath { path, change, kind, mode, owner });
    }
}

fn entries(directory: &Path) -> Result<Vec<std::ffi::OsString>, DiskError> {
    let entries = fs::read_dir(directory).context("list", directory)?;
    entries
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<_>>()
        .context("list", directory)
}

fn metadata(path: &Path) -> Result<Option<Metadata>, DiskError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(DiskError::new("look at", path, error)),
    }
}

fn is_opaque(path: &Path) -> Result<bool, DiskError> {
    let mut value = [0; 8];
    match rustix::fs::lgetxattr(path, "trusted.overlay.opaque", &mut value[..]) {
        Ok(count) => Ok(value[..count] == *b"y"),
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(DiskError::new("look at", path, error)),
    }
}

fn kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    match () {
        () if kind.is_dir() => "directory",
        () if kind.is_file() => "file",
        () if kind.is_symlink() => "link",
        () if kind.is_fifo() => "pipe",
        () if kind.is_socket() => "socket",
        () => "device",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn what_was_only_touched_is_no_change() {
        let directory = tempfile::tempdir().unwrap();
        let (upper, lower) = (directory.path().join("upper"), directory.path().join("lower"));
        for tree in [&upper, &lower] {
            fs::create_dir_all(tree.join("etc/apt")).unwrap();
            fs::write(tree.join("etc/same"), "same").unwrap();
            fs::write(tree.join("etc/mode"), "").unwrap();
            symlink("same", tree.join("etc/link")).unwrap();
        }
        fs::write(lower.join("etc/text"), "old").unwrap();
        fs::write(upper.join("etc/text"), "new").unwrap();
        fs::set_permissions(upper.join("etc/mode"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir_all(upper.join("srv/app")).unwrap();
        fs::create_dir_all(upper.join("run/skep")).unwrap();
        // A directory behind a link that is one now.
        symlink("/etc", lower.join("opt")).unwrap();
        fs::create_dir(upper.join("opt")).unwrap();
        fs::write(upper.join("opt/passwd"), "").unwrap();
        let found = compare(&upper, &lower, Vec::new()).unwrap();
        let told: Vec<_> = found
            .paths
            .iter()
            .map(|path| (path.path.to_str().unwrap(), path.change, path.kind))
            .collect();
        assert_eq!(
            told,
            [
                ("/etc/mode", Change::Changed, "file"),
                ("/etc/text", Change::Changed, "file"),
                ("/opt", Change::Changed, "directory"),
                ("/opt/passwd", Change::Added, "file"),
                ("/srv", Change::Added, "directory"),
                ("/srv/app", Change::Added, "directory"),
            ]
        );
        assert_eq!(found.paths[0].mode, 0o600);
    }
}
