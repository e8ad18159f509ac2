//! Files and directories.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{DiskError, PathContext};

static NEXT_TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// Returns a name beside `path` that no other writer of this machine uses.
fn temporary_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = NEXT_TEMPORARY.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}-{number}.new", std::process::id()))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Writes a whole file: synced, renamed into place, its directory synced. A reader sees the old
/// content or the new; so does the next boot.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DiskError> {
    let temporary = temporary_beside(path);
    let write = || -> io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        // The umask may have taken bits that the caller asked for.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    if let Err(error) = write() {
        let _ = fs::remove_file(&temporary);
        return Err(DiskError::new("write", path, error));
    }
    sync_directory(parent(path))
}

/// Reads a whole file of at most `max_bytes`; a larger one is an error before it is read.
pub fn read_limited(path: &Path, max_bytes: u64) -> Result<Vec<u8>, DiskError> {
    let file = File::open(path).context("open", path)?;
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes).context("read", path)?;
    if bytes.len() as u64 > max_bytes {
        let text = format!("it is larger than {max_bytes} bytes");
        return Err(DiskError::new("read", path, io::Error::new(io::ErrorKind::InvalidData, text)));
    }
    Ok(bytes)
}

/// Creates one directory with exactly this mode; one that exists keeps its own.
pub fn create_directory(path: &Path, mode: u32) -> Result<(), DiskError> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .context("set the mode of", path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(DiskError::new("create directory", path, error)),
    }
}

/// Creates a directory and those above it that are missing, all with this mode.
pub fn create_directories(path: &Path, mode: u32) -> Result<(), DiskError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent()
        && !above.as_os_str().is_empty()
    {
        create_directories(above, mode)?;
    }
    create_directory(path, mode)
}

/// Makes the entries of a directory durable.
pub fn sync_directory(path: &Path) -> Result<(), DiskError> {
    File::open(path).and_then(|directory| directory.sync_all()).context("sync", path)
}

/// Makes the filesystem that holds `path` durable; cheaper than syncing each of a tree's files.
pub fn sync_tree(path: &Path) -> Result<(), DiskError> {
    let directory = File::open(path).context("open", path)?;
    rustix::fs::syncfs(&directory).context("sync the filesystem of", path)
}

/// Points `link` at `target` in one step: made beside it, then renamed.
pub fn replace_symlink(link: &Path, target: &Path) -> Result<(), DiskError> {
    let temporary = temporary_beside(link);
    symlink(target, &temporary).context("create link", link)?;
    if let Err(error) = fs::rename(&temporary, link) {
        let _ = fs::remove_file(&temporary);
        return Err(DiskError::new("replace link", link, error));
    }
    sync_directory(parent(link))
}

/// Removes a file; one that is not there is fine.
pub fn remove_file(path: &Path) -> Result<(), DiskError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(DiskError::new("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// Removes a tree, also one whose directories are not writable; a missing one is fine.
pub fn remove_tree(path: &Path) -> Result<(), DiskError> {
    match fs::remove_dir_all(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        Err(error) => return Err(DiskError::new("remove", path, error)),
    }
    make_writable(path).context("make writable", path)?;
    fs::remove_dir_all(path).context("remove", path)
}

fn make_writable(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_whole_files_and_leaves_no_temporary() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("routes");
        write_atomically(&path, b"one", 0o640).unwrap();
        write_atomically(&path, b"two", 0o640).unwrap();
        assert_eq!(read_limited(&path, 3).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(read_limited(&path, 2).is_err());
    }

    #[test]
    fn errors_name_the_path() {
        let error = write_atomically(Path::new("/nonexistent/x"), b"", 0o600).unwrap_err();
        assert_eq!(error.to_string(), "failed to write `/nonexistent/x`");
        assert!(error.is_not_found());
    }

    #[test]
    fn links_are_replaced_in_place_and_read_only_trees_go() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("current");
        replace_symlink(&link, Path::new("a")).unwrap();
        replace_symlink(&link, Path::new("b")).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("b"));

        let tree = directory.path().join("tree");
        create_directories(&tree.join("x/y"), 0o755).unwrap();
        fs::write(tree.join("x/y/file"), "").unwrap();
        for part in ["x/y", "x"] {
            fs::set_permissions(tree.join(part), fs::Permissions::from_mode(0o555)).unwrap();
        }
        remove_tree(&tree).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }
}
