//! Archives of root trees: which one it is, and how it is packed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use disk::{DiskError, PathContext};
use serde::{Deserialize, Serialize};

use super::{BaseError, unpack};

/// What is known of archives that were read before.
const SEEN: &str = "archives.json";

/// Most archives that are remembered; one that is forgotten is read again.
const MAX_SEEN: usize = 1_000;

/// Largest record of them.
const MAX_SEEN_BYTES: u64 = 1 << 20;

/// An archive as it was when it was read: its digest holds as long as nothing of this changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    device: u64,
    inode: u64,
    size_bytes: u64,
    /// Seconds and nanoseconds of the last change of content, and of anything.
    modified: (i64, i64),
    changed: (i64, i64),
    digest: String,
}

/// Returns the sha256 of an archive, read only if it is not the one that was read before.
pub(super) fn digest(trees: &Path, path: &Path) -> Result<String, BaseError> {
    let mut file = File::open(path).context("open", path)?;
    let found = file.metadata().context("look at", path)?;
    if !found.is_file() {
        let why = "it is not a regular file".to_owned();
        return Err(BaseError::Archive { path: path.to_owned(), entry: None, why });
    }
    let record = trees.join(SEEN);
    let mut all: BTreeMap<String, Seen> = disk::read_limited(&record, MAX_SEEN_BYTES)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let name = path.to_string_lossy().into_owned();
    let seen = |digest| Seen {
        device: found.dev(),
        inode: found.ino(),
        size_bytes: found.len(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
        digest,
    };
    if let Some(known) = all.get(&name)
        && *known == seen(known.digest.clone())
    {
        return Ok(known.digest.clone());
    }
    let digest = crate::digest::of_file(&mut file).context("read", path)?;
    if all.len() >= MAX_SEEN {
        all.clear();
    }
    all.insert(name, seen(digest.clone()));
    disk::create_directories(trees, 0o700)?;
    let text = serde_json::to_vec(&all).map_err(|error| DiskError::new("write", &record, error))?;
    disk::write_atomically(&record, &text, 0o600)?;
    Ok(digest)
}

/// Unpacks an archive, plain or packed by zstd or gzip, into an empty directory.
pub(super) fn unpack(path: &Path, directory: &Path) -> Result<(), BaseError> {
    let mut file = File::open(path).context("open", path)?;
    let mut start = [0; 4];
    let count = file.read(&mut start).context("read", path)?;
    file.rewind().context("read", path)?;
    match &start[..count] {
        [0x28, 0xb5, 0x2f, 0xfd] => {
            let reader = zstd::Decoder::new(file).context("read", path)?;
            unpack::unpack(reader, path, directory)
        }
        [0x1f, 0x8b, ..] => {
            let mut gzip = Command::new("gzip")
                .arg("-dc")
                .env_clear()
                .env("PATH", "/usr/bin:/bin")
                .stdin(file)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|error| DiskError::new("run gzip on", path, error))?;
            let done = match gzip.stdout.take() {
                Some(reader) => unpack::unpack(reader, path, directory),
                None => Ok(()),
            };
            let status = gzip.wait().context("run gzip on", path)?;
            // An archive that was refused leaves gzip without a reader; that is not its fault.
            done?;
            match status.success() {
                true => Ok(()),
                false => Err(BaseError::Archive {
                    path: path.to_owned(),
                    entry: None,
                    why: format!("gzip ended with {status}"),
                }),
            }
        }
        _ => unpack::unpack(file, path, directory),
    }
}
