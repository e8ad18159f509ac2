//! Why there are no cgroups, and what failed on one.

use std::io;
use std::path::{Path, PathBuf};

/// Why this installation cannot have cgroups of its own; each text is a sentence for people.
#[derive(Debug, thiserror::Error)]
pub enum WhyNot {
    /// `/proc` does not say where cgroups are.
    #[error("`{path}` cannot be read, so it is unknown where cgroups are mounted")]
    NoProc {
        /// What was read.
        path: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// There is no version 2 hierarchy.
    #[error("no cgroup2 filesystem is mounted; `mount -t cgroup2 none /sys/fs/cgroup` makes one")]
    NoMount,
    /// This process's own cgroup lies outside of what is mounted.
    #[error("this process's cgroup `{own}` is not below the mounted part `{root}`")]
    OutsideMount {
        /// From `/proc/self/cgroup`.
        own: String,
        /// The mount's root.
        root: String,
    },
    /// The hierarchy is mounted read-only, as in most containers.
    #[error("`{}` is mounted read-only", path.display())]
    ReadOnly {
        /// Where.
        path: PathBuf,
    },
    /// The cgroup belongs to somebody else.
    #[error(
        "cgroup `{}` is not delegated to this user; a user unit with `Delegate=yes`, or \
         `systemd-run --user --scope -p Delegate=yes`, has one of its own",
        path.display()
    )]
    NotDelegated {
        /// The cgroup that may not be written.
        path: PathBuf,
    },
    /// Anything else.
    #[error("cgroup `{}` cannot be made", path.display())]
    Failed {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl WhyNot {
    pub(crate) fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::PermissionDenied => Self::NotDelegated { path },
            _ => Self::Failed { path, source },
        }
    }
}

/// An operation on one cgroup that failed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The kernel refused.
    #[error("failed to {action} cgroup `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which cgroup.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A leaf that should be new has processes.
    #[error("cgroup `{}` is in use already", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
}

impl CgroupError {
    pub(crate) fn io(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.to_owned(), source: source.into() }
    }
}
