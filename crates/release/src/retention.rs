//! What is kept and what goes.
//!
//! [`decide`] is pure. Kept: the current artifact, the previous good one, the newest N good ones,
//! pinned ones and those of releases still being made, and the newest failed one (so that trying
//! again builds nothing). Good and failed ones are counted apart, so that a run of bad deploys never
//! takes the last good release away. An environment stays while a kept artifact uses it, and the
//! newest one stays in any case.
//!
//! [`collect`] carries it out: nothing goes while a process holds its lease (`flock`), whatever was
//! decided. What goes is renamed first and deleted then, so that nothing half deleted is ever found
//! under a name. It does nothing while the app is being built, and takes along what killed builds
//! left behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use disk::{DiskError, Lock, PathContext};

use crate::artifact::{Artifacts, ENVIRONMENT_PREFIX, LEASE, MANIFEST, read_manifest};
use crate::digest::Digest;
use crate::manifest::MAX_MANIFEST_BYTES;
use crate::stage::{self, STAGE_PREFIX};
use crate::strays;

/// How the directory of a tree begins that has not its name yet.
pub(crate) const NEW_PREFIX: &str = ".new-";
/// How the directory of a tree begins that is being deleted.
pub(crate) const TRASH_PREFIX: &str = ".trash-";
/// The lock of an app's builder, and of whoever deletes.
pub(crate) const BUILDER_LOCK: &str = ".lock";
/// Failed releases whose artifact is kept.
const KEEP_FAILED: usize = 1;

/// How a release stands, as far as retention cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It serves, or served and was replaced.
    Good,
    /// It never became good.
    Failed,
    /// It is being made.
    Pending,
}

/// One release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Its number: larger is newer.
    pub number: u32,
    /// Its artifact.
    pub artifact: Digest,
    /// How it stands.
    pub standing: Standing,
    /// Whether it is the current one.
    pub current: bool,
    /// Whether somebody asked to keep it.
    pub pinned: bool,
}

/// Returns the artifacts to keep: `keep_good` is the number of good *artifacts*, the current one
/// included.
pub fn decide(releases: &[Held], keep_good: usize) -> BTreeSet<Digest> {
    let mut newest_first: Vec<&Held> = releases.iter().collect();
    newest_first.sort_by_key(|release| std::cmp::Reverse(release.number));
    let mut kept: BTreeSet<Digest> = newest_first
        .iter()
        .filter(|r| r.current || r.pinned || r.standing == Standing::Pending)
        .map(|r| r.artifact)
        .collect();
    let current = newest_first.iter().find(|r| r.current);
    // Undo must always have somewhere to go, also when it was asked to keep one only.
    let previous = newest_first.iter().find(|r| {
        r.standing == Standing::Good
            && current
                .is_some_and(|current| r.number < current.number && r.artifact != current.artifact)
    });
    kept.extend(previous.map(|r| r.artifact));
    for (standing, count) in [(Standing::Good, keep_good), (Standing::Failed, KEEP_FAILED)] {
        let mut seen = BTreeSet::new();
        for release in newest_first.iter().filter(|r| r.standing == standing) {
            if seen.len() == count && !seen.contains(&release.artifact) {
                break;
            }
            seen.insert(release.artifact);
        }
        kept.extend(seen);
    }
    kept
}

/// What a collection did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Short ids of artifacts and environments that are gone.
    pub removed: Vec<String>,
    /// Short ids of artifacts that some process still holds.
    pub in_use: Vec<String>,
    /// Bytes that are free again, at least.
    pub freed_bytes: u64,
    /// The app was being built: nothing was done.
    pub skipped: bool,
}

/// Removes every artifact that is neither in `keep` nor in use, environments that nothing uses
/// any more, and what killed builds left behind.
pub fn collect(artifacts: &Artifacts, keep: &BTreeSet<Digest>) -> Result<Collected, DiskError> {
    let root = artifacts.directory();
    let mut collected = Collected::default();
    if !root.is_dir() {
        return Ok(collected);
    }
    let Some(_lock) = Lock::try_exclusive(&root.join(BUILDER_LOCK))? else {
        collected.skipped = true;
        return Ok(collected);
    };
    sweep(artifacts)?;
    let kept_names: BTreeSet<String> = keep.iter().map(Digest::short).collect();
    let mut used = BTreeSet::new();
    let mut environments = Vec::new();
    for (name, path) in entries(root)? {
        if name.starts_with(ENVIRONMENT_PREFIX) {
            environments.push((name, path));
            continue;
        }
        if !is_artifact_name(&name) {
            continue;
        }
        let environment = read_manifest(&path).ok().and_then(|manifest| manifest.environment);
        if kept_names.contains(&name) {
            used.extend(environment);
        } else if let Some(_lease) = take_lease(&path)? {
            collected.freed_bytes += size_of(&path);
            remove(root, &path)?;
            collected.removed.push(name);
        } else {
            used.extend(environment);
            collected.in_use.push(name);
        }
    }
    let used: BTreeSet<String> =
        used.iter().map(|id| format!("{ENVIRONMENT_PREFIX}{}", id.short())).collect();
    let newest = environments.iter().max_by_key(|(_, path)| modified(path)).map(|(n, _)| n.clone());
    for (name, path) in environments {
        if !used.contains(&name) && Some(&name) != newest.as_ref() {
            collected.freed_bytes += size_of(&path);
            remove(root, &path)?;
            collected.removed.push(name);
        }
    }
    Ok(collected)
}

/// Removes what killed builds and collections left. The builder's lock is held.
pub(crate) fn sweep(artifacts: &Artifacts) -> Result<(), DiskError> {
    let root = artifacts.directory();
    for (name, path) in entries(root)? {
        if let Some(id) = name.strip_prefix(STAGE_PREFIX) {
            // Its builder is dead, its programs may not be.
            if let Some(_lock) = stage::lock(&path)? {
                strays::kill(id);
                disk::remove_tree(&path)?;
            }
        } else if name.starts_with(NEW_PREFIX) || name.starts_with(TRASH_PREFIX) {
            disk::remove_tree(&path)?;
        }
    }
    remove_dead_keys(artifacts)
}

/// Removes keys that name nothing any more. Only names are compared: a key that names a damaged
/// artifact is found out where it is used.
fn remove_dead_keys(artifacts: &Artifacts) -> Result<(), DiskError> {
    for (name, path) in entries(&artifacts.keys())? {
        let alive = match name.strip_prefix(ENVIRONMENT_PREFIX) {
            Some(key) => key.parse().is_ok_and(|key| artifacts.lookup_environment(&key).is_some()),
            None => name.parse().is_ok_and(|key| artifacts.lookup(&key).is_some()),
        };
        if !alive {
            disk::remove_file(&path)?;
        }
    }
    Ok(())
}

fn entries(directory: &Path) -> Result<Vec<(String, PathBuf)>, DiskError> {
    let listing = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.context("list", directory)?,
    };
    let mut found = Vec::new();
    for entry in listing {
        let entry = entry.context("list", directory)?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

fn is_artifact_name(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Takes the lease alone; `None` while some process of a release holds it.
fn take_lease(artifact: &Path) -> Result<Option<Lock>, DiskError> {
    let lease = artifact.join(LEASE);
    // Without the file nobody can hold it; `Lock` would try to make it.
    if !lease.exists() {
        fs::set_permissions(artifact, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .context("set the mode of", artifact)?;
    }
    Lock::try_exclusive(&lease)
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path.join(MANIFEST))
        .and_then(|found| found.modified())
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

fn size_of(path: &Path) -> u64 {
    disk::read_limited(&path.join(MANIFEST), MAX_MANIFEST_BYTES)
        .ok()
        .and_then(|bytes| crate::manifest::Manifest::parse(&bytes).ok())
        .map_or(0, |manifest| manifest.size_bytes())
}

fn remove(root: &Path, path: &Path) -> Result<(), DiskError> {
    let trash = root.join(format!("{TRASH_PREFIX}{}", stage::random_name()?));
    fs::rename(path, &trash).context("rename", path)?;
    disk::remove_tree(&trash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(number: u32, artifact: &str, standing: Standing) -> Held {
        Held {
            number,
            artifact: Digest::of(artifact.as_bytes()),
            standing,
            current: false,
            pinned: false,
        }
    }

    fn names(kept: &BTreeSet<Digest>) -> Vec<&'static str> {
        ["a", "b", "c", "d", "e", "f", "x", "y"]
            .into_iter()
            .filter(|name| kept.contains(&Digest::of(name.as_bytes())))
            .collect()
    }

    #[test]
    fn failed_releases_never_push_out_good_ones() {
        use Standing::{Failed, Good};
        let mut releases = vec![
            held(1, "a", Good),
            held(2, "b", Good),
            held(3, "c", Good),
            held(4, "x", Failed),
            held(5, "y", Failed),
        ];
        releases[2].current = true;
        assert_eq!(names(&decide(&releases, 2)), ["b", "c", "y"]);
        assert_eq!(names(&decide(&releases, 1)), ["b", "c", "y"], "undo needs the previous one");
    }

    #[test]
    fn after_a_rollback_the_current_the_previous_and_the_newest_are_kept() {
        use Standing::Good;
        let mut releases: Vec<Held> = ["a", "b", "c", "d", "e"]
            .iter()
            .zip(1..)
            .map(|(name, number)| held(number, name, Good))
            .collect();
        releases[1].current = true;
        assert_eq!(names(&decide(&releases, 2)), ["a", "b", "d", "e"]);
    }

    #[test]
    fn releases_of_one_artifact_count_once_and_pins_and_pending_ones_stay() {
        use Standing::{Good, Pending};
        let mut releases = vec![
            held(1, "a", Good),
            held(2, "b", Good),
            held(3, "c", Good),
            held(4, "c", Good),
            held(5, "c", Good),
            held(6, "d", Pending),
        ];
        releases[0].pinned = true;
        releases[4].current = true;
        assert_eq!(names(&decide(&releases, 1)), ["a", "b", "c", "d"]);
        assert_eq!(names(&decide(&[], 5)), [""; 0]);
    }
}
