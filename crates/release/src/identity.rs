//! Who runs what a build runs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use disk::{DiskError, PathContext};

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildUser {
    /// User id.
    pub uid: u32,
    /// Primary group; supplementary groups are never passed on.
    pub gid: u32,
    /// For messages.
    pub name: String,
}

/// Who a build runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Whoever runs this process: an ordinary user's installation.
    Same,
    /// The app's own user; needs root.
    User(BuildUser),
}

impl Identity {
    /// Returns the user id that build commands have.
    pub(crate) fn uid(&self) -> u32 {
        match self {
            Self::Same => rustix::process::geteuid().as_raw(),
            Self::User(user) => user.uid,
        }
    }

    /// Returns the user for messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Same => format!("uid {}", self.uid()),
            Self::User(user) => user.name.clone(),
        }
    }

    /// Makes a command run as this user, without supplementary groups.
    pub(crate) fn apply(&self, command: &mut Command) {
        if let Self::User(user) = self {
            // As root the standard library also drops every supplementary group.
            command.uid(user.uid).gid(user.gid);
        }
    }

    /// Returns the first directory on the way to `directory`, itself included, that this user may
    /// not enter, and its mode.
    pub(crate) fn obstacle(&self, directory: &Path) -> Option<(PathBuf, u32)> {
        let Self::User(user) = self else { return None };
        let mut way: Vec<&Path> = directory.ancestors().collect();
        way.reverse();
        way.into_iter().find_map(|above| {
            let found = fs::metadata(above).ok()?;
            let search = match (found.uid() == user.uid, found.gid() == user.gid) {
                (true, _) => 0o100,
                (false, true) => 0o010,
                (false, false) => 0o001,
            };
            (found.mode() & search == 0).then(|| (above.to_owned(), found.mode() & 0o7777))
        })
    }

    /// Gives a file, directory or symlink to this user.
    pub(crate) fn own(&self, path: &Path) -> Result<(), DiskError> {
        match self {
            Self::Same => Ok(()),
            Self::User(user) => std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid))
                .context("change the owner of", path),
        }
    }

    /// Gives an open file to this user.
    pub(crate) fn own_file(&self, file: &fs::File, path: &Path) -> Result<(), DiskError> {
        match self {
            Self::Same => Ok(()),
            Self::User(user) => std::os::unix::fs::fchown(file, Some(user.uid), Some(user.gid))
                .context("change the owner of", path),
        }
    }
}
