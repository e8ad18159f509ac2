//! Unpacks the archive of a root tree, whoever made it.
//!
//! Nothing is ever written outside of the directory: every path is walked from its descriptor with `openat2` beneath
//! it and through no link, also none that the archive itself made. Refused are paths with `..`, entries below a link,
//! hard links out of the tree, names that are there already as something else, and more than the limits below. Left
//! out are devices, which a machine has of its own, and extended attributes.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use tar::EntryType;

use super::BaseError;

/// Largest tree: more than any base that a person waits for.
const MAX_TREE_BYTES: u64 = 16 << 30;

/// Most entries; a desktop has half as many.
const MAX_ENTRIES: u64 = 2_000_000;

/// Longest path and longest target of a link, PATH_MAX.
const MAX_PATH_BYTES: usize = 4_095;

/// What is wrong with an entry.
type Why = String;

/// Unpacks an archive into an empty directory.
pub(super) fn unpack(reader: impl Read, path: &Path, directory: &Path) -> Result<(), BaseError> {
    let refused =
        |entry: Option<String>, why: Why| BaseError::Archive { path: path.to_owned(), entry, why };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(directory, flags, Mode::empty())
        .map_err(|error| disk::DiskError::new("open", directory, error))?;
    let mut tree = Tree { root, bytes: 0, count: 0 };
    let mut archive = tar::Archive::new(reader);
    let entries = archive.entries().map_err(|error| refused(None, error.to_string()))?;
    for entry in entries {
        let mut entry = entry.map_err(|error| refused(None, error.to_string()))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        tree.take(&mut entry).map_err(|why| refused(Some(name), why))?;
    }
    match tree.count {
        0 => Err(refused(None, "there is nothing in it".to_owned())),
        _ => Ok(()),
    }
}

struct Tree {
    root: OwnedFd,
    bytes: u64,
    count: u64,
}

impl Tree {
    fn take(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<(), Why> {
        self.count += 1;
        if self.count > MAX_ENTRIES {
            return Err(format!("more than {MAX_ENTRIES} entries"));
        }
        let header = entry.header();
        let kind = header.entry_type();
        let text = |error: std::io::Error| error.to_string();
        let (mode, time) = (header.mode().map_err(text)?, header.mtime().map_err(text)?);
        let user = number(header.uid().map_err(text)?)?;
        let group = number(header.gid().map_err(text)?)?;
        let path = plain(&entry.path_bytes())?;
        let Some(name) = path.file_name().map(ToOwned::to_owned) else {
            return match kind {
                EntryType::Directory => own(&self.root, Path::new("."), user, group, mode),
                _ => Err("the root of a tree is a directory".to_owned()),
            };
        };
        let name = Path::new(&name);
        let parent = self.directory(path.parent().unwrap_or(Path::new("")))?;
        match kind {
            EntryType::Directory => {
                match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.to_string()),
                }
                // Not a link of that name: the next line follows none.
                let directory = beneath(&parent, name, OFlags::DIRECTORY | OFlags::RDONLY)?;
                own(&directory, Path::new("."), user, group, mode)
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(entry, &parent, name, (user, group, mode, time))
            }
            EntryType::Symlink => {
                let target = link(entry)?;
                rustix::fs::symlinkat(target, &parent, name).map_err(there)?;
                let owner = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
                rustix::fs::chownat(&parent, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|error| error.to_string())
            }
            EntryType::Link => {
                let target = plain(link(entry)?.as_os_str().as_bytes())?;
                let from = self.directory(target.parent().unwrap_or(Path::new("")))?;
                let of = target.file_name().ok_or("a hard link to the root")?;
                // Without AT_SYMLINK_FOLLOW the link itself is linked, never what it points at.
                rustix::fs::linkat(&from, Path::new(of), &parent, name, AtFlags::empty())
                    .map_err(there)
            }
            EntryType::Fifo => {
                rustix::fs::mkfifoat(&parent, name, Mode::from_raw_mode(0o600)).map_err(there)?;
                own(&parent, name, user, group, mode)
            }
            // A machine has devices of its own; the rest describes other entries.
            _ => Ok(()),
        }
    }

    fn file(
        &mut self,
        entry: &mut tar::Entry<'_, impl Read>,
        parent: &OwnedFd,
        name: &Path,
        (user, group, mode, time): (u32, u32, u32, u64),
    ) -> Result<(), Why> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600)).map_err(there)?;
        let mut file = std::fs::File::from(file);
        let left = MAX_TREE_BYTES - self.bytes;
        let copied = std::io::copy(&mut entry.take(left + 1), &mut file);
        let copied = copied.map_err(|error| error.to_string())?;
        if copied > left {
            return Err(format!("the tree is larger than {} GiB", MAX_TREE_BYTES >> 30));
        }
        self.bytes += copied;
        let text = |error: Errno| error.to_string();
        let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
        rustix::fs::fchown(&file, user, group).map_err(text)?;
        // Behind the owner, whose change takes set-id bits away.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o7777)).map_err(text)?;
        let time = Timespec { tv_sec: i64::try_from(time).unwrap_or_default(), tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::futimens(&file, &times).map_err(text)
    }

    /// Opens a directory of the tree; makes those that no entry made.
    fn directory(&self, path: &Path) -> Result<OwnedFd, Why> {
        let mut directory = beneath(&self.root, Path::new("."), OFlags::PATH | OFlags::DIRECTORY)?;
        for part in path {
            match rustix::fs::mkdirat(&directory, Path::new(part), Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.to_string()),
            }
            directory = beneath(&directory, Path::new(part), OFlags::PATH | OFlags::DIRECTORY)?;
        }
        Ok(directory)
    }
}

fn beneath(directory: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Why> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(directory, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve).map_err(
        |error| match error {
            Errno::LOOP => "it lies below a link".to_owned(),
            Errno::NOTDIR => "it lies below something that is no directory".to_owned(),
            error => error.to_string(),
        },
    )
}

fn own(directory: &impl AsFd, name: &Path, user: u32, group: u32, mode: u32) -> Result<(), Why> {
    let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
    let text = |error: Errno| error.to_string();
    rustix::fs::chownat(directory, name, user, group, AtFlags::SYMLINK_NOFOLLOW).map_err(text)?;
    let mode = Mode::from_raw_mode(mode & 0o7777);
    rustix::fs::chmodat(directory, name, mode, AtFlags::empty()).map_err(text)
}

/// Returns a path without `.` and a leading `/`; one with `..` is refused.
fn plain(bytes: &[u8]) -> Result<PathBuf, Why> {
    if bytes.len() > MAX_PATH_BYTES {
        return Err(format!("its path is longer than {MAX_PATH_BYTES} bytes"));
    }
    if bytes.contains(&0) {
        return Err("its path has a NUL".to_owned());
    }
    let mut plain = PathBuf::new();
    for part in Path::new(std::ffi::OsStr::from_bytes(bytes)).components() {
        match part {
            Component::Normal(part) => plain.push(part),
            Component::CurDir | Component::RootDir => {}
            _ => return Err("its path leads out of the tree".to_owned()),
        }
    }
    Ok(plain)
}

fn link(entry: &tar::Entry<'_, impl Read>) -> Result<PathBuf, Why> {
    let target = entry.link_name_bytes().ok_or("a link without a target")?;
    if target.is_empty() || target.len() > MAX_PATH_BYTES || target.contains(&0) {
        return Err("a link to nowhere".to_owned());
    }
    Ok(PathBuf::from(std::ffi::OsStr::from_bytes(&target)))
}

/// All bits set means "unchanged" to chown(2).
fn number(number: u64) -> Result<u32, Why> {
    u32::try_from(number)
        .ok()
        .filter(|number| *number != u32::MAX)
        .ok_or_else(|| format!("`{number}` is no user or group"))
}

fn there(error: Errno) -> Why {
    match error {
        Errno::EXIST => "it is there already".to_owned(),
        error => error.to_string(),
    }
}

/// Fuzz target: an archive of any bytes is unpacked or refused, and writes nowhere else.
#[doc(hidden)]
pub fn fuzz_root_archive(bytes: &[u8]) {
    let name = format!("skep-fuzz-root-archive-{}", std::process::id());
    let above = std::env::temp_dir().join(name);
    let tree = above.join("tree");
    if disk::create_directories(&tree, 0o700).is_ok() {
        let _ = unpack(bytes, Path::new("archive"), &tree);
        let beside = std::fs::read_dir(&above).into_iter().flatten().count();
        assert_eq!(beside, 1, "it was written beside the tree");
        let _ = disk::remove_tree(&above);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn header(kind: EntryType, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o640);
        header.set_mtime(1_000);
        let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
        header.set_uid(user.as_raw().into());
        header.set_gid(group.as_raw().into());
        header.set_size(size);
        header
    }

    /// Writes the name as it is: the builder refuses what is to be refused here.
    fn add(builder: &mut tar::Builder<Vec<u8>>, kind: EntryType, name: &str, data: &str) {
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        let mut header = header(kind, if is_link { 0 } else { data.len() as u64 });
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        if is_link {
            header.as_old_mut().linkname[..data.len()].copy_from_slice(data.as_bytes());
        }
        header.set_cksum();
        builder.append(&header, if is_link { &[][..] } else { data.as_bytes() }).unwrap();
    }

    fn unpacked(entries: &[(EntryType, &str, &str)]) -> (tempfile::TempDir, Result<(), BaseError>) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("tree")).unwrap();
        std::fs::create_dir(directory.path().join("outside")).unwrap();
        let mut builder = tar::Builder::new(Vec::new());
        for (kind, name, data) in entries {
            add(&mut builder, *kind, name, data);
        }
        let bytes = builder.into_inner().unwrap();
        let done = unpack(&bytes[..], Path::new("a.tar"), &directory.path().join("tree"));
        (directory, done)
    }

    #[test]
    fn a_tree_is_as_its_archive_says() {
        use EntryType::{Directory, Fifo, Link, Regular, Symlink};
        let (directory, done) = unpacked(&[
            (Directory, "./", ""),
            (Directory, "./etc/", ""),
            (Regular, "./etc/motd", "hello"),
            (Symlink, "bin", "usr/bin"),
            (Link, "etc/motd2", "./etc/motd"),
            (Regular, "usr/bin/true", "#!"),
            (Fifo, "pipe", ""),
            (EntryType::Char, "dev/null", ""),
        ]);
        done.unwrap();
        let tree = directory.path().join("tree");
        let motd = std::fs::metadata(tree.join("etc/motd2")).unwrap();
        assert_eq!((motd.mode() & 0o7777, motd.nlink(), motd.mtime()), (0o640, 2, 1_000));
        assert_eq!(std::fs::read_to_string(tree.join("etc/motd")).unwrap(), "hello");
        assert!(tree.join("bin/true").is_file());
        assert!(!tree.join("dev/null").exists());
    }

    #[test]
    fn nothing_is_ever_written_outside() {
        use EntryType::{Directory, Link, Regular, Symlink};
        type Case<'c> = (&'c [(EntryType, &'c str, &'c str)], &'c str);
        let cases: [Case<'_>; 7] = [
            (&[(Regular, "../outside/a", "x")], "its path leads out of the tree"),
            (&[(Regular, "a/../../outside/a", "x")], "its path leads out of the tree"),
            (&[(Symlink, "way", "../outside"), (Regular, "way/a", "x")], "it lies below a link"),
            (&[(Symlink, "way", "../outside/a"), (Regular, "way", "x")], "it is there already"),
            (&[(Symlink, "way", "../outside"), (Directory, "way", "")], "it lies below a link"),
            (&[(Link, "a", "../outside")], "its path leads out of the tree"),
            (&[], "there is nothing in it"),
        ];
        for (entries, why) in cases {
            let (directory, done) = unpacked(entries);
            let error = done.unwrap_err().to_string();
            assert!(error.ends_with(why), "{error}");
            let outside = std::fs::read_dir(directory.path().join("outside")).unwrap();
            assert_eq!(outside.count(), 0, "{entries:?}");
        }
    }

    #[test]
    fn a_path_below_the_root_is_below_the_tree() {
        let (directory, done) = unpacked(&[(EntryType::Regular, "/etc/hostname", "x")]);
        done.unwrap();
        assert!(directory.path().join("tree/etc/hostname").is_file());
    }
}
