//! `FORMAT`, the first file that is read.

use std::path::PathBuf;

use disk::{DiskError, Lock};
use report::{Failure, Kind};

use crate::layout::Home;

/// Mode of the directories that slots' sockets and private directories lie in: other users pass through
/// them to their own.
pub const RUN_MODE: u32 = 0o711;

/// The layout this build reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// What an installation says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// 12 hexadecimal digits, drawn once; in cgroup names and hellos.
    pub id: String,
}

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Nothing was ever installed there.
    #[error("no installation at `{}`", .0.display())]
    Missing(PathBuf),
    /// It was written by a newer version.
    #[error("`{}` has format {found}, this build knows up to {FORMAT_VERSION}", path.display())]
    Newer {
        /// The home.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// `FORMAT` is not what a version of ours writes.
    #[error("`{}` is not a Skep home: its FORMAT file says {found:?}", path.display())]
    Foreign {
        /// The home.
        path: PathBuf,
        /// The file's beginning.
        found: String,
    },
    /// A file failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        let kind = match &error {
            HomeError::Disk(disk) if disk.kind() == std::io::ErrorKind::PermissionDenied => {
                Kind::Permission
            }
            HomeError::Missing(_) | HomeError::Disk(_) => Kind::Failed,
            HomeError::Newer { .. } | HomeError::Foreign { .. } => Kind::Usage,
        };
        let hint = match &error {
            HomeError::Missing(_) => Some("skep up"),
            HomeError::Newer { .. } => Some("run the newer `skep`, or set SKEP_HOME elsewhere"),
            HomeError::Foreign { .. } => Some("set SKEP_HOME to an empty directory"),
            HomeError::Disk(_) if kind == Kind::Permission => {
                Some("set SKEP_HOME to a directory of your own, or be the user whose home it is")
            }
            HomeError::Disk(_) => None,
        };
        let failure = Self::from_error(kind, &error);
        hint.map_or(failure.clone(), |hint| failure.hint(hint))
    }
}

impl Home {
    /// Reads `FORMAT`.
    pub fn open(&self) -> Result<Installation, HomeError> {
        /// `skep-home`, a number and an id.
        const MAX_BYTES: u64 = 256;
        let bytes = match disk::read_limited(&self.format_file(), MAX_BYTES) {
            Err(error) if error.is_not_found() => {
                return Err(HomeError::Missing(self.root().to_owned()));
            }
            other => other?,
        };
        let text = String::from_utf8_lossy(&bytes);
        let mut words = text.split_ascii_whitespace();
        let (magic, version, id) = (words.next(), words.next(), words.next());
        let version = version.and_then(|version| version.parse::<u32>().ok());
        match (magic, version, id) {
            (Some("skep-home"), Some(found), _) if found > FORMAT_VERSION => {
                Err(HomeError::Newer { path: self.root().to_owned(), found })
            }
            (Some("skep-home"), Some(FORMAT_VERSION), Some(id))
                if !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit()) =>
            {
                Ok(Installation { id: id.to_owned() })
            }
            _ => Err(HomeError::Foreign {
                path: self.root().to_owned(),
                found: text.chars().take(40).collect(),
            }),
        }
    }

    /// Makes the directories that are missing and `FORMAT` if there is none, and reads it. Safe to
    /// be called by several commands at once.
    pub fn create(&self) -> Result<Installation, HomeError> {
        // Those above the home are the user's own business; 0755 is what `mkdir -p` would do.
        if let Some(above) = self.root().parent() {
            disk::create_directories(above, 0o755)?;
        }
        disk::create_directory(self.root(), 0o711)?;
        let lock = Lock::exclusive(&self.root().join(".create.lock"))?;
        let installation = match self.open() {
            Err(HomeError::Missing(_)) => {
                let mut id = [0; 6];
                rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())
                    .map_err(|errno| DiskError::new("draw an id for", self.root(), errno))?;
                let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
                let text = format!("skep-home {FORMAT_VERSION} {id}\n");
                disk::write_atomically(&self.format_file(), text.as_bytes(), 0o644)?;
                Installation { id }
            }
            other => other?,
        };
        for (path, mode) in [
            (self.artifacts(), 0o711),
            (self.root().join("apps"), 0o711),
            (self.archives(), 0o700),
            (self.cache(), 0o711),
            (self.tools(), 0o755),
            (self.shims(), 0o700),
            (self.proxy(), 0o711),
            (self.run(), 0o711),
            (self.slots(), RUN_MODE),
            (self.slot_runtimes(), RUN_MODE),
        ] {
            disk::create_directory(&path, mode)?;
        }
        drop(lock);
        Ok(installation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_made_once_and_newer_ones_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path().join("deep/skep"));
        assert!(matches!(home.open(), Err(HomeError::Missing(_))));
        let first = home.create().unwrap();
        assert_eq!(home.create().unwrap(), first);
        assert_eq!(first.id.len(), 12);

        std::fs::write(home.format_file(), "skep-home 2 abc\n").unwrap();
        assert!(matches!(home.open(), Err(HomeError::Newer { found: 2, .. })));
        std::fs::write(home.format_file(), "PGDATA 15").unwrap();
        assert!(matches!(home.create(), Err(HomeError::Foreign { .. })));
    }
}
