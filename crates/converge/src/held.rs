//! A path that is held while it is worked on.
//!
//! Root changes files in directories that others may change at the same time: whoever owns a
//! directory on the way could put a link there that leads to `/etc`. So the way to the last directory
//! is walked by descriptors, one component after the other; a link on it is followed only if it
//! belongs to root or to this process's user; and what is done is done through the descriptor of the
//! last directory, whatever becomes of the way meanwhile.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use disk::DiskError;
use rustix::fs::{FileType, Mode, OFlags};

use crate::problem::Problem;

/// Most links on one way, as in the kernel.
const MAX_LINKS: u32 = 40;

/// A path whose directory is open.
#[derive(Debug)]
pub(crate) struct Held {
    /// Keeps the path below alive.
    _directory: OwnedFd,
    path: PathBuf,
    shown: PathBuf,
}

impl Held {
    /// Opens the directory of a real path.
    pub(crate) fn of(real: &Path) -> Result<Self, Problem> {
        let (Some(above), Some(name)) = (real.parent(), real.file_name()) else {
            return Err(Problem::Refused(format!("`{}` is no path to work on", real.display())));
        };
        let directory = walk(above)?;
        let path = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
        Ok(Self { _directory: directory, path, shown: real.to_owned() })
    }

    /// Returns the path to work with; valid in this process only, while this value lives.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path as others know it.
    pub(crate) fn shown(&self) -> &Path {
        &self.shown
    }

    /// Makes what was done in the directory durable.
    pub(crate) fn sync(&self) -> Result<(), Problem> {
        let above = self.path.parent().unwrap_or(&self.path);
        disk::sync_directory(above).map_err(|error| self.named(error))
    }

    /// Returns an error that names the path as others know it.
    pub(crate) fn named(&self, error: DiskError) -> Problem {
        DiskError::new(error.operation, &self.shown, error.source).into()
    }
}

/// Opens a directory.
fn walk(directory: &Path) -> Result<OwnedFd, Problem> {
    let failed = |error: rustix::io::Errno| DiskError::new("open", directory, error);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = || rustix::fs::open("/", flags, Mode::empty()).map_err(failed);
    let own = rustix::process::geteuid().as_raw();
    let mut at = root()?;
    let mut left: Vec<OsString> = components(directory);
    let mut links = 0;
    while let Some(name) = left.pop() {
        let next = rustix::fs::openat(&at, &*name, flags, Mode::empty()).map_err(failed)?;
        let found = rustix::fs::fstat(&next).map_err(failed)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::Symlink {
            at = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(failed(rustix::io::Errno::LOOP).into());
        }
        if found.st_uid != 0 && found.st_uid != own {
            let text = format!(
                "`{}` of `{}` is a link of somebody else's (uid {}), and is not followed",
                Path::new(&name).display(),
                directory.display(),
                found.st_uid
            );
            return Err(Problem::Refused(text));
        }
        let target = rustix::fs::readlinkat(&next, c"", Vec::new()).map_err(failed)?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.is_absolute() {
            at = root()?;
        }
        left.extend(components(&target));
    }
    let found = rustix::fs::fstat(&at).map_err(failed)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => Ok(at),
        _ => Err(DiskError::new("open", directory, io::ErrorKind::NotADirectory).into()),
    }
}

/// Returns the components of a path below its root, the last one first.
fn components(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut names: Vec<OsString> = names.collect();
    names.reverse();
    names
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn own_links_are_followed_and_the_directory_is_held() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("real/deep")).unwrap();
        symlink("real/../real", at("relative")).unwrap();
        symlink(at("relative"), at("absolute")).unwrap();
        let held = Held::of(&at("absolute/deep/file")).unwrap();
        fs::rename(at("real"), at("moved")).unwrap();
        fs::write(held.path(), "x").unwrap();
        held.sync().unwrap();
        assert_eq!(fs::read_to_string(at("moved/deep/file")).unwrap(), "x");
        symlink("loop", at("loop")).unwrap();
        assert!(Held::of(&at("loop/file")).is_err());
        fs::write(at("plain"), "").unwrap();
        assert!(Held::of(&at("plain/file")).is_err());
    }

    #[test]
    fn links_of_others_are_not() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let link = root.path().join("conf");
        symlink("/etc", &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(65534), Some(65534)).unwrap();
        let error = Held::of(&link.join("passwd")).unwrap_err();
        assert!(error.to_string().contains("is a link of somebody else's"), "{error}");
    }
}
