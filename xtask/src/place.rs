//! Where things are built, such that an ordinary user can reach them.
//!
//! Root tests and demonstrates services that run as other users, and runs the tests once more as
//! an ordinary user. Both fail on paths that only root may enter, and a clone below `/root` is
//! such a path. Then the build goes to a shared target directory, and what others must read is
//! taken from a copy of the clone beside it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Stop, Tried, announce, output};

/// The target directory that all users can reach.
const SHARED_TARGET: &str = "/var/tmp/skep-ci-target";

/// Where this run reads and builds.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The sources: the clone, or a copy of it.
    pub(crate) source: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
}

impl Place {
    /// Returns the place, made where it is missing.
    pub(crate) fn find() -> Result<Self, Stop> {
        let clone = clone();
        let target = target(&clone)?;
        let source = if is_root() && !others_may_enter(&clone) {
            let copy = target.join("source");
            announce(format_args!(
                "{} is root's alone: ordinary users test a copy in {}",
                clone.display(),
                copy.display()
            ));
            copy_sources(&clone, &copy)?;
            copy
        } else {
            clone
        };
        forget_other_clones(&source, &target)?;
        Ok(Self { source, target })
    }

    /// Returns a cargo command that builds here.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = crate::step::cargo();
        cargo.current_dir(&self.source).env("CARGO_TARGET_DIR", &self.target);
        cargo
    }

    /// Returns where programs live that were installed for tests.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }
}

/// Returns the root of the repository that cargo was called in.
///
/// Cargo says so when it runs us. What was compiled in may be the copy of it, where both have one
/// target directory.
pub(crate) fn clone() -> PathBuf {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map_or_else(|| xtask.clone(), Path::to_owned)
}

/// Returns whether we are root.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Returns whether users other than the owners may enter a directory, or run a program.
pub(crate) fn others_may_enter(path: &Path) -> bool {
    path.ancestors()
        .filter(|ancestor| ancestor.exists())
        .all(|ancestor| fs::metadata(ancestor).is_ok_and(|m| m.permissions().mode() & 0o001 != 0))
}

fn target(clone: &Path) -> Result<PathBuf, Stop> {
    if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
        return Ok(clone.join(target));
    }
    let own = clone.join("target");
    let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    if !ci && (!is_root() || others_may_enter(&own)) {
        return Ok(own);
    }
    let shared = PathBuf::from(SHARED_TARGET);
    match fs::create_dir(&shared) {
        Ok(()) => fs::set_permissions(&shared, fs::Permissions::from_mode(0o755))
            .tried(format_args!("set the mode of {SHARED_TARGET}"))?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        other => other.tried(format_args!("create {SHARED_TARGET}"))?,
    }
    // Its name is known to everybody, and what lies in it is run by us.
    let metadata = fs::symlink_metadata(&shared).tried(format_args!("look at {SHARED_TARGET}"))?;
    let us = fs::metadata("/proc/self").tried("look at ourselves")?.uid();
    if !metadata.is_dir() || metadata.uid() != us || metadata.mode() & 0o022 != 0 {
        return Err(Stop::Failed(format!(
            "{SHARED_TARGET} belongs to somebody else; set CARGO_TARGET_DIR to another directory"
        )));
    }
    Ok(shared)
}

/// Makes cargo build our crates anew if the target directory was last used for other sources.
///
/// Cargo names what it builds after the path of a crate *within* its workspace, and looks for
/// changes in the files it was built from: to it, two clones are one, and the tests of the second
/// would be those of the first. Other people's crates stay built.
fn forget_other_clones(source: &Path, target: &Path) -> Result<(), Stop> {
    let record = target.join("xtask-source");
    let ours = source.to_string_lossy().into_owned();
    if fs::read_to_string(&record).is_ok_and(|last| last == ours) {
        return Ok(());
    }
    let mut packages = vec!["xtask".to_owned()];
    let crates = source.join("crates");
    for entry in fs::read_dir(&crates).tried(format_args!("list {}", crates.display()))? {
        let name = entry.tried(format_args!("list {}", crates.display()))?.file_name();
        packages.push(name.to_string_lossy().into_owned());
    }
    for profile in ["debug", "release"] {
        let fingerprints = target.join(profile).join(".fingerprint");
        let Ok(entries) = fs::read_dir(&fingerprints) else { continue };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // `<package>-<16 hexadecimal digits>`
            if name
                .rsplit_once('-')
                .is_some_and(|(package, _)| packages.iter().any(|p| p == package))
            {
                fs::remove_dir_all(&path).tried(format_args!("remove {}", path.display()))?;
            }
        }
    }
    fs::create_dir_all(target).tried(format_args!("create {}", target.display()))?;
    fs::write(&record, ours).tried(format_args!("write {}", record.display()))
}

/// Makes `copy` have the files that git knows or would add, and no others. A file with the same
/// content is left as it is, so that cargo builds only what changed.
fn copy_sources(clone: &Path, copy: &Path) -> Result<(), Stop> {
    let listed = output(Command::new("git").current_dir(clone).args([
        // The clone may belong to whoever made it, not to root.
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    if !listed.status.success() {
        return Err(Stop::Failed(format!(
            "failed to list the files of {}: {}",
            clone.display(),
            String::from_utf8_lossy(&listed.stderr)
        )));
    }
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let names: BTreeSet<&str> =
        listed.split('\0').filter(|name| clone.join(name).is_file()).collect();
    for name in &names {
        let (from, to) = (clone.join(name), copy.join(name));
        let content = fs::read(&from).tried(format_args!("read {}", from.display()))?;
        if fs::read(&to).is_ok_and(|old| old == content) {
            continue;
        }
        let executable = fs::metadata(&from).is_ok_and(|m| m.permissions().mode() & 0o100 != 0);
        let mode = if executable { 0o755 } else { 0o644 };
        if let Some(directory) = to.parent() {
            fs::create_dir_all(directory).tried(format_args!("create {}", directory.display()))?;
        }
        fs::write(&to, content)
            .and_then(|()| fs::set_permissions(&to, fs::Permissions::from_mode(mode)))
            .tried(format_args!("write {}", to.display()))?;
    }
    remove_others(copy, copy, &names)
}

fn remove_others(directory: &Path, copy: &Path, names: &BTreeSet<&str>) -> Result<(), Stop> {
    let tried = || format!("clear {}", directory.display());
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).tried(tried())?;
    for entry in fs::read_dir(directory).tried(tried())? {
        let path = entry.tried(tried())?.path();
        let name = path.strip_prefix(copy).unwrap_or(&path).to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() {
            remove_others(&path, copy, names)?;
            // Fails, rightly, unless it is empty now.
            let _ = fs::remove_dir(&path);
        } else if !names.contains(name.as_str()) {
            fs::remove_file(&path).tried(format_args!("remove {}", path.display()))?;
        }
    }
    Ok(())
}
