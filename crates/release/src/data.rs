//! Data: what outlives releases.
//!
//! A data path that exists in the source is copied into the app's data directory *once*, before
//! the first release that declares it starts, and never again: what is there is the app's. One that
//! the source does not have is made as an empty directory, unless its name has an extension: then
//! it is a file (`db.sqlite3`) that the app makes itself, through the link in its code.
//!
//! The data directory belongs to the app's user, who may have put a symlink anywhere in it. So a
//! copy is prepared outside, where that user cannot go, and renamed into place beneath the data
//! directory's descriptor, without following links and without replacing anything.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use app::model::App;
use disk::{DiskError, PathContext};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Uid};
use rustix::io::Errno;

use crate::artifact::Artifact;
use crate::identity::Identity;
use crate::rules::DATABASE_COMPANIONS;
use crate::source::kind_name;
use crate::stage;
use crate::tree::Tree;

/// Where an installed project's `sys.prefix/var` is, below the data directory.
pub(crate) const ENVIRONMENT_DATA: &str = "env-var";

/// What became of a data path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeded {
    /// The path.
    pub path: String,
    /// What was done.
    pub what: Seed,
}

/// What was done for a data path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seed {
    /// It was there already and was not touched.
    Kept,
    /// It was copied from the source.
    Copied,
    /// An empty directory was made.
    Created,
    /// The app makes the file itself; only its directory was made.
    Left,
}

/// Why data could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Something in the source's data can be no data.
    #[error("`{path}` cannot be copied into the app's data: it is {what}")]
    Kind {
        /// The path.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// A name that is not UTF-8.
    #[error("`{0}` cannot be copied into the app's data: its name is not UTF-8")]
    NotUtf8(String),
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Makes the data directory of an app and fills in what `app` declares and `artifact` needs.
/// `source` is the directory the release came from; without it nothing is copied.
pub fn seed_data(
    app: &App,
    artifact: Option<&Artifact>,
    source: Option<&Path>,
    data_directory: &Path,
    identity: &Identity,
) -> Result<Vec<Seeded>, DataError> {
    let Some(above) = data_directory.parent() else {
        return Err(DiskError::new("create directory", data_directory, Errno::INVAL).into());
    };
    disk::create_directories(above, 0o711)?;
    if !data_directory.exists() {
        disk::create_directory(data_directory, 0o700)?;
        identity.own(data_directory)?;
    }
    let waiting = above.join(format!(".seed-{}", stage::random_name()?));
    disk::create_directory(&waiting, 0o700)?;
    let seeding = Seeding {
        data: open_directory(data_directory)?,
        data_directory,
        waiting: &waiting,
        source: source.map(Tree::open).transpose()?,
        identity,
    };
    let mut paths: Vec<&str> = app.data.iter().map(|data| data.path.as_str()).collect();
    if artifact.and_then(|a| a.environment.as_ref()).is_some_and(|layer| layer.has_var) {
        paths.push(ENVIRONMENT_DATA);
    }
    let result = paths
        .into_iter()
        .map(|path| Ok(Seeded { path: path.to_owned(), what: seeding.seed(path)? }))
        .collect();
    disk::remove_tree(&waiting)?;
    result
}

struct Seeding<'a> {
    data: OwnedFd,
    data_directory: &'a Path,
    /// Where copies are prepared; the app's user cannot enter.
    waiting: &'a Path,
    source: Option<Tree>,
    identity: &'a Identity,
}

impl Seeding<'_> {
    fn seed(&self, path: &str) -> Result<Seed, DataError> {
        let whole = self.data_directory.join(path);
        let parent = self.make_parents(path)?;
        let name = path.rsplit('/').next().unwrap_or(path);
        match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => return Ok(Seed::Kept),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(DiskError::new("look for", &whole, errno).into()),
        }
        let found = match &self.source {
            Some(source) => source.stat(path)?.map(|found| (source, found)),
            None => None,
        };
        let copy = self.waiting.join("copy");
        let Some((source, found)) = found else {
            if Path::new(name).extension().is_some() {
                return Ok(Seed::Left);
            }
            self.make(&copy)?;
            let placed = place(&copy, parent.as_fd(), name, &whole)?;
            return Ok(if placed { Seed::Created } else { Seed::Kept });
        };
        if found.kind == FileType::RegularFile {
            // A database is usable only together with its journal, so that comes first.
            for companion in DATABASE_COMPANIONS {
                let from = format!("{path}{companion}");
                if source.stat(&from)?.is_some_and(|f| f.kind == FileType::RegularFile) {
                    self.copy_file(source, &from, &copy)?;
                    place(&copy, parent.as_fd(), &format!("{name}{companion}"), &whole)?;
                }
            }
        }
        self.copy(source, path, &copy)?;
        let placed = place(&copy, parent.as_fd(), name, &whole)?;
        Ok(if placed { Seed::Copied } else { Seed::Kept })
    }

    /// Copies a file or a whole directory to a place that only this process can reach.
    fn copy(&self, source: &Tree, path: &str, to: &Path) -> Result<(), DataError> {
        let from = source.path().join(path);
        for entry in walkdir::WalkDir::new(&from) {
            let entry = entry.map_err(|error| DiskError::new("list", &from, error))?;
            let below = entry.path().strip_prefix(&from).unwrap_or(Path::new(""));
            let relative = Path::new(path).join(below);
            let Some(relative) = relative.to_str().map(|text| text.trim_end_matches('/')) else {
                return Err(DataError::NotUtf8(relative.display().to_string()));
            };
            let into = if below.as_os_str().is_empty() { to.to_owned() } else { to.join(below) };
            let Some(found) = source.stat(relative)? else { continue };
            match found.kind {
                FileType::Directory => self.make(&into)?,
                FileType::RegularFile => self.copy_file(source, relative, &into)?,
                FileType::Symlink => {
                    let target = source.read_link(relative)?;
                    std::os::unix::fs::symlink(target, &into).context("create link", &into)?;
                    self.identity.own(&into)?;
                }
                other => {
                    let what = kind_name(other);
                    return Err(DataError::Kind { path: relative.to_owned(), what });
                }
            }
        }
        Ok(())
    }

    fn copy_file(&self, source: &Tree, path: &str, to: &Path) -> Result<(), DataError> {
        let (file, found) = source.open_file(path)?;
        // The app must be able to change what is now its own.
        let mode = (found.mode & 0o777) | 0o600;
        let copy = stage::copy_file(file, &found, to, mode)?;
        self.identity.own_file(&copy.file, to)?;
        copy.file.sync_all().context("sync", to)?;
        Ok(())
    }

    fn make(&self, path: &Path) -> Result<(), DiskError> {
        disk::create_directory(path, 0o755)?;
        self.identity.own(path)
    }

    /// Opens the directory that `path` lies in, and makes it where it is missing.
    fn make_parents(&self, path: &str) -> Result<OwnedFd, DiskError> {
        let whole = self.data_directory.join(path);
        let context = "make the directory of";
        let mut directory = self.data.try_clone().context(context, &whole)?;
        let parent = crate::path::parent(path);
        for component in parent.split('/').filter(|component| !component.is_empty()) {
            let made = match rustix::fs::mkdirat(&directory, component, Mode::from_raw_mode(0o755))
            {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(errno) => return Err(DiskError::new(context, &whole, errno)),
            };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            directory = rustix::fs::openat2(&directory, component, flags, Mode::empty(), resolve)
                .context(context, &whole)?;
            if made && let Identity::User(user) = self.identity {
                let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
                rustix::fs::fchown(&directory, Some(uid), Some(gid)).context(context, &whole)?;
            }
        }
        Ok(directory)
    }
}

/// Renames a prepared copy into the data directory; returns whether nothing was there.
fn place(
    copy: &Path,
    parent: std::os::fd::BorrowedFd<'_>,
    name: &str,
    whole: &Path,
) -> Result<bool, DiskError> {
    match rustix::fs::renameat_with(CWD, copy, parent, name, RenameFlags::NOREPLACE) {
        Ok(()) => {
            rustix::fs::fsync(parent).context("sync the directory of", whole)?;
            Ok(true)
        }
        Err(Errno::EXIST) => {
            disk::remove_tree(copy).or_else(|_| disk::remove_file(copy))?;
            Ok(false)
        }
        Err(errno) => Err(DiskError::new("move data to", whole, errno)),
    }
}

fn open_directory(path: &Path) -> Result<OwnedFd, DiskError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).context("open directory", path)
}
