//! Remembers the digest of files by what `stat` says, so that an unchanged source is not read again.
//!
//! `SKEP_HOME/cache/<app>.sources`, replaced whole, may be deleted at any time:
//!
//! ```text
//! skep-sources 1 <digest of all that follows>
//! <device> <inode> <size> <modified ns> <changed ns> <sha256> <path>
//! ```
//!
//! A file changed twice within one tick of the filesystem's clock shows the same times for two
//! contents (git calls it racy). So a file is remembered only when its times lie clearly before the
//! moment it was looked at. Change times cannot be set by hand, so `touch -d` hides nothing. A file
//! that cannot be read or parsed is an empty cache, never an error.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use disk::DiskError;

use crate::digest::Digest;
use crate::tree::Found;

/// Largest cache that is read: some 400,000 files.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Times younger than this are not trusted. The clock that filesystems stamp with advances in ticks
/// of at most 10 ms; some filesystems store whole seconds, VFAT two.
const RACY_NS: i128 = 2_000_000_000;

/// What the cache knows of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
    digest: Digest,
}

/// The cache of one app's source directory.
#[derive(Debug)]
pub(crate) struct StatCache {
    file: PathBuf,
    known: BTreeMap<String, Known>,
    next: BTreeMap<String, Known>,
}

impl StatCache {
    /// Reads the cache, or starts an empty one.
    pub(crate) fn open(file: PathBuf) -> Self {
        let known = disk::read_limited(&file, MAX_BYTES)
            .ok()
            .and_then(|bytes| parse(&bytes))
            .unwrap_or_default();
        Self { file, known, next: BTreeMap::new() }
    }

    /// Returns the digest of an unchanged file.
    pub(crate) fn get(&mut self, path: &str, found: &Found) -> Option<Digest> {
        let known = *self.known.get(path)?;
        let same = known.device == found.device
            && known.inode == found.inode
            && known.size_bytes == found.size_bytes
            && known.modified_ns == found.modified_ns
            && known.changed_ns == found.changed_ns;
        same.then(|| {
            self.next.insert(path.to_owned(), known);
            known.digest
        })
    }

    /// Remembers a file that was read; `looked_ns` is the wall clock before that.
    pub(crate) fn put(&mut self, path: &str, found: &Found, digest: Digest, looked_ns: i128) {
        if found.changed_ns.max(found.modified_ns) < looked_ns - RACY_NS {
            let known = Known {
                device: found.device,
                inode: found.inode,
                size_bytes: found.size_bytes,
                modified_ns: found.modified_ns,
                changed_ns: found.changed_ns,
                digest,
            };
            self.next.insert(path.to_owned(), known);
        }
    }

    /// Writes what was used and learned, when that differs from what was read.
    pub(crate) fn save(self) -> Result<(), DiskError> {
        if self.next == self.known {
            return Ok(());
        }
        disk::write_atomically(&self.file, render(&self.next).as_bytes(), 0o600)
    }
}

/// Returns the wall clock in nanoseconds.
pub(crate) fn now_ns() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
}

fn render(known: &BTreeMap<String, Known>) -> String {
    let mut body = String::new();
    for (path, known) in known {
        let Known { device, inode, size_bytes, modified_ns, changed_ns, digest } = known;
        // Writing to a string cannot fail.
        let _ = writeln!(
            body,
            "{device} {inode} {size_bytes} {modified_ns} {changed_ns} {digest} {path}"
        );
    }
    format!("skep-sources 1 {}\n{body}", Digest::of(body.as_bytes()))
}

fn parse(bytes: &[u8]) -> Option<BTreeMap<String, Known>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once('\n')?;
    let digest: Digest = head.strip_prefix("skep-sources 1 ")?.parse().ok()?;
    if digest != Digest::of(body.as_bytes()) {
        return None;
    }
    body.lines()
        .map(|line| {
            let mut words = line.splitn(7, ' ');
            let known = Known {
                device: words.next()?.parse().ok()?,
                inode: words.next()?.parse().ok()?,
                size_bytes: words.next()?.parse().ok()?,
                modified_ns: words.next()?.parse().ok()?,
                changed_ns: words.next()?.parse().ok()?,
                digest: words.next()?.parse().ok()?,
            };
            Some((words.next()?.to_owned(), known))
        })
        .collect()
}

/// Fuzz target: no bytes make the reader panic.
#[doc(hidden)]
pub fn fuzz_stat_cache(bytes: &[u8]) {
    let _ = parse(bytes);
    let body = String::from_utf8_lossy(bytes);
    let _ = parse(format!("skep-sources 1 {}\n{body}", Digest::of(body.as_bytes())).as_bytes());
}

/// Returns where the cache of an app lies.
pub(crate) fn path(cache: &Path, app: &str) -> PathBuf {
    cache.join(format!("{app}.sources"))
}

#[cfg(test)]
mod tests {
    use rustix::fs::FileType;

    use super::*;

    fn found(changed_ns: i128) -> Found {
        Found {
            kind: FileType::RegularFile,
            mode: 0o644,
            size_bytes: 3,
            inode: 7,
            device: 1,
            modified_ns: 5,
            changed_ns,
        }
    }

    #[test]
    fn only_settled_files_are_remembered_and_only_unchanged_ones_found() {
        let directory = tempfile::tempdir().unwrap();
        let file = path(directory.path(), "shop");
        let digest = Digest::of(b"abc");
        let mut cache = StatCache::open(file.clone());
        cache.put("settled", &found(10), digest, 10 + RACY_NS + 1);
        cache.put("racy", &found(10), digest, 10 + RACY_NS);
        cache.save().unwrap();

        let mut cache = StatCache::open(file.clone());
        assert_eq!(cache.get("settled", &found(10)), Some(digest));
        assert_eq!(cache.get("settled", &found(11)), None);
        assert_eq!(cache.get("racy", &found(10)), None);

        let mut bytes = std::fs::read(&file).unwrap();
        let last = bytes.len() - 3;
        bytes[last] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(StatCache::open(file).get("settled", &found(10)), None);
    }

    proptest::proptest! {
        #[test]
        fn hostile_bytes_are_an_empty_cache(bytes: Vec<u8>) {
            fuzz_stat_cache(&bytes);
        }
    }
}
