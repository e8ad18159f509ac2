//! What git says about a source directory: its files, its commit, what is not committed.
//!
//! Architecture invariant: git never runs as root in a tree that is not root's. A repository's own
//! configuration names programs that git executes (`core.fsmonitor`), which is what
//! `safe.directory` guards against; git runs as the directory's owner instead, with no
//! configuration of the user or the machine, so that the same tree gives the same files whoever
//! asks.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::command::{self, CommandError, Limits, Program};
use crate::identity::{BuildUser, Identity};
use crate::rules::DEFAULT_EXCLUDES;
use crate::source::SourceError;
use crate::variables::SYSTEM_PATH;

/// How long git may take; the largest repositories on a cold disk need a few seconds.
const GIT_TIMEOUT: Duration = Duration::from_secs(60);

/// What git lists.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Paths below the source directory, as git writes them: a nested repository ends with `/`.
    pub(crate) paths: Vec<Vec<u8>>,
    /// The commit, abbreviated; `None` before the first.
    pub(crate) commit: Option<String>,
    /// Paths that differ from it.
    pub(crate) uncommitted: usize,
}

/// Returns what git lists in `directory`, or `None` when it is in no work tree.
pub(crate) fn list(directory: &Path, cancel: &Cancel) -> Result<Option<Listing>, SourceError> {
    if !directory.ancestors().any(|above| above.join(".git").symlink_metadata().is_ok()) {
        return Ok(None);
    }
    let git = command::find("git", SYSTEM_PATH)
        .ok_or_else(|| SourceError::GitMissing { directory: directory.to_owned() })?;
    let identity = owner(directory)?;
    let limits = Limits { deadline: Instant::now() + GIT_TIMEOUT, cancel };
    let mut listing: Vec<&str> =
        vec!["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    // They apply to untracked files only; what somebody committed is meant.
    let excludes: Vec<String> =
        DEFAULT_EXCLUDES.iter().map(|name| format!("--exclude={name}")).collect();
    listing.extend(excludes.iter().map(String::as_str));
    let status = ["status", "--porcelain=v2", "--branch", "-z", "--", "."];

    // Both look at every file; side by side they take as long as one.
    let (files, status) = std::thread::scope(|scope| {
        let second = scope.spawn(|| run(&git, directory, &identity, limits, &status));
        let files = run(&git, directory, &identity, limits, &listing);
        (files, second.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let Some(files) = files? else { return Ok(None) };
    let paths: Vec<Vec<u8>> =
        files.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(Vec::from).collect();
    let (commit, uncommitted) = parse_status(&status?.unwrap_or_default());
    Ok(Some(Listing { paths, commit, uncommitted }))
}

/// Returns who runs git: this process's own user, or as root the owner of the directory.
fn owner(directory: &Path) -> Result<Identity, SourceError> {
    let found = std::fs::metadata(directory)
        .map_err(|source| disk::DiskError::new("read the owner of", directory, source))?;
    if rustix::process::geteuid().is_root() && found.uid() != 0 {
        let name = format!("uid {}", found.uid());
        return Ok(Identity::User(BuildUser { uid: found.uid(), gid: found.gid(), name }));
    }
    Ok(Identity::Same)
}

/// Runs git; `None` means "not a git repository".
fn run(
    git: &Path,
    directory: &Path,
    identity: &Identity,
    limits: Limits<'_>,
    arguments: &[&str],
) -> Result<Option<Vec<u8>>, SourceError> {
    let mut all: Vec<OsString> = ["-c", "core.quotePath=false"].map(OsString::from).into();
    if matches!(identity, Identity::User(_)) {
        // It already runs without any right but those of the directory's owner.
        all.extend(["-c", "safe.directory=*"].map(OsString::from));
    }
    all.extend(arguments.iter().map(OsString::from));
    let program = Program {
        path: git.to_owned(),
        arguments: all,
        directory: directory.to_owned(),
        environment: environment(),
    };
    let failed = |reason: String| SourceError::Git {
        directory: directory.to_owned(),
        // What it was asked besides is ours, and long.
        command: format!("git {}", arguments.first().unwrap_or(&"")),
        reason,
    };
    match command::capture(&program, identity, limits) {
        Ok(captured) if captured.status.success() => Ok(Some(captured.stdout)),
        Ok(captured) if captured.stderr.contains("not a git repository") => Ok(None),
        Ok(captured) => {
            // Further lines are advice on commands that do not concern the git that we run.
            Err(failed(captured.stderr.lines().next().unwrap_or_default().to_owned()))
        }
        Err(CommandError::Cancelled) => Err(SourceError::Cancelled),
        Err(error) => Err(failed(report::chain(&error).join(": "))),
    }
}

fn environment() -> BTreeMap<String, String> {
    [
        ("PATH", SYSTEM_PATH),
        ("HOME", "/nonexistent"),
        ("LC_ALL", "C"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_OPTIONAL_LOCKS", "0"),
        ("GIT_TERMINAL_PROMPT", "0"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

/// Digits of a commit id that people recognise it by.
const COMMIT_DIGITS: usize = 7;

/// Reads `git status --porcelain=v2 --branch -z`.
fn parse_status(bytes: &[u8]) -> (Option<String>, usize) {
    let mut commit = None;
    let mut uncommitted = 0;
    let mut records = bytes.split(|byte| *byte == 0);
    while let Some(record) = records.next() {
        match record.first() {
            Some(b'#') => {
                let text = String::from_utf8_lossy(record);
                if let Some(id) = text.strip_prefix("# branch.oid ")
                    && id.bytes().all(|b| b.is_ascii_hexdigit())
                {
                    commit = Some(id.chars().take(COMMIT_DIGITS).collect());
                }
            }
            // A rename is followed by the path it had.
            Some(b'2') => {
                uncommitted += 1;
                records.next();
            }
            Some(_) => uncommitted += 1,
            None => {}
        }
    }
    (commit, uncommitted)
}

/// Returns the top of the work tree that `directory` is in.
pub(crate) fn work_tree(directory: &Path) -> Option<PathBuf> {
    directory
        .ancestors()
        .find(|above| above.join(".git").symlink_metadata().is_ok())
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read_with_renames_and_before_the_first_commit() {
        let status = b"# branch.oid 8c1f2e9aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\0# branch.head main\0\
            1 .M N... 100644 100644 100644 a b app.py\0\
            2 R. N... 100644 100644 100644 a b R100 new.py\0old.py\0? notes\0";
        assert_eq!(parse_status(status), (Some("8c1f2e9".to_owned()), 3));
        assert_eq!(parse_status(b"# branch.oid (initial)\0"), (None, 0));
        assert_eq!(parse_status(b""), (None, 0));
    }
}
