//! The files of one cookbook: what they are, and one digest of all of them.
//!
//! A cookbook is regular files and directories. A link, a socket or a device in it is an error: a link
//! would make the digest a lie, and a recipe could copy what it leads to. `.git` is not part of it.
//!
//! The digest is SHA-256 over the files, sorted by path: the path's length and bytes, then the content's.
//! Modes are left out; they differ between checkouts and decide nothing.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use disk::{DiskError, PathContext};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

/// Most files of one cookbook: more is somebody's home directory.
pub const MAX_FILES: usize = 10_000;

/// Largest file of a cookbook. Larger ones belong into an archive that is fetched.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// Deepest nesting of directories.
const MAX_DEPTH: usize = 32;

/// Why a cookbook's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Neither a file nor a directory.
    #[error("`{}` is neither a file nor a directory; a cookbook has no links", .0.display())]
    Special(PathBuf),
    /// A name that is no text.
    #[error("the name of `{}` is not UTF-8", .0.display())]
    Name(PathBuf),
    /// Too many.
    #[error("`{}` has more than {MAX_FILES} files", .0.display())]
    TooMany(PathBuf),
    /// Too deep.
    #[error("`{}` is nested deeper than {MAX_DEPTH} directories", .0.display())]
    TooDeep(PathBuf),
}

/// Returns the paths of all files below `directory`, relative to `root` with `/`, sorted; none if there
/// is no such directory.
pub(crate) fn files(root: &Path, directory: &str) -> Result<Vec<String>, TreeError> {
    let mut found = Vec::new();
    let start = if directory.is_empty() { root.to_owned() } else { root.join(directory) };
    match fs::symlink_metadata(&start) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(DiskError::new("look at", &start, error).into()),
        Ok(metadata) if !metadata.is_dir() => return Err(TreeError::Special(start)),
        Ok(_) => {}
    }
    walk(root, &start, directory, 0, &mut found)?;
    found.sort_unstable();
    Ok(found)
}

fn walk(
    root: &Path,
    directory: &Path,
    prefix: &str,
    depth: usize,
    found: &mut Vec<String>,
) -> Result<(), TreeError> {
    if depth > MAX_DEPTH {
        return Err(TreeError::TooDeep(directory.to_owned()));
    }
    for entry in fs::read_dir(directory).context("list", directory)? {
        let entry = entry.context("list", directory)?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| TreeError::Name(path.clone()))?;
        if depth == 0 && prefix.is_empty() && name == ".git" {
            continue;
        }
        let relative = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        let kind = entry.file_type().context("look at", &path)?;
        if kind.is_dir() {
            walk(root, &path, &relative, depth + 1, found)?;
        } else if kind.is_file() {
            if found.len() >= MAX_FILES {
                return Err(TreeError::TooMany(root.to_owned()));
            }
            found.push(relative);
        } else {
            return Err(TreeError::Special(path));
        }
    }
    Ok(())
}

/// Returns a file's content, `None` if there is none. A link is an error.
pub(crate) fn read(root: &Path, path: &str) -> Result<Option<Vec<u8>>, TreeError> {
    let full = root.join(path);
    // NONBLOCK: opening a named pipe would wait for its writer.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut options = fs::OpenOptions::new();
    let opened = options.read(true).custom_flags(flags.bits().cast_signed()).open(&full);
    let file = match opened {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(TreeError::Special(full));
        }
        opened => opened.context("open", &full)?,
    };
    let metadata = file.metadata().context("look at", &full)?;
    if metadata.is_dir() {
        return Ok(None);
    }
    if !metadata.is_file() {
        return Err(TreeError::Special(full));
    }
    let mut bytes = Vec::with_capacity(metadata.len().min(MAX_FILE_BYTES) as usize);
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).context("read", &full)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let text = format!("it is larger than {} MiB", MAX_FILE_BYTES >> 20);
        return Err(DiskError::new("read", &full, std::io::Error::other(text)).into());
    }
    Ok(Some(bytes))
}

/// Returns the digest of a cookbook.
pub(crate) fn digest(root: &Path) -> Result<String, TreeError> {
    let mut digest = Sha256::new();
    let mut feed = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    for path in files(root, "")? {
        // One that vanished meanwhile is not there.
        if let Some(bytes) = read(root, &path)? {
            feed(path.as_bytes());
            feed(&bytes);
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
