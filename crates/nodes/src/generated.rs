//! Which files Skep wrote, and what may be done to one.
//!
//! `generated.lock` stands beside the nodes file and is committed with it. Version 1: a line
//! `# skep generated 1`, then a line for each file, `SHA-256  PATH`, sorted by path, as
//! `sha256sum --check` reads it. A path is relative, below the lock's directory, without `.`, `..`
//! or control characters. A file whose bytes are not those of its digest was edited since.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use report::{Failure, Kind};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The lock's name.
pub const LOCK: &str = "generated.lock";
/// Largest lock: roles and images of [`crate::MAX_GROUPS`] groups are a fifth of it.
pub const MAX_LOCK_BYTES: u64 = 1024 * 1024;

const HEADER: &str = "# skep generated 1";

/// The files that Skep wrote, with the digests of what it wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    /// Lowercase hexadecimal SHA-256, by path.
    pub files: BTreeMap<String, String>,
}

/// Why a lock cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// It is not one, or of a later version.
    #[error("`{LOCK}` does not start with `{HEADER}`")]
    Header,
    /// A line is wrong.
    #[error("`{LOCK}`, line {line}: {why}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let hint = match &error {
            LockError::Header => "a newer Skep may have written it",
            LockError::Line { .. } => "after a merge, keep one line for each file",
        };
        Self::new(Kind::Usage, error.to_string()).hint(hint)
    }
}

impl Lock {
    /// Reads a lock's text.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let mut lines = text.lines().enumerate();
        if lines.next().map(|(_, line)| line) != Some(HEADER) {
            return Err(LockError::Header);
        }
        let mut files = BTreeMap::new();
        for (index, line) in lines {
            let wrong = |why| LockError::Line { line: index + 1, why };
            let (digest, path) =
                line.split_once("  ").ok_or(wrong("expected a digest, two spaces and a path"))?;
            let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            if digest.len() != 64 || !digest.bytes().all(digit) {
                return Err(wrong("the digest has not 64 lowercase hexadecimal digits"));
            }
            if !is_path(path) {
                return Err(wrong("the path leads out of the repository"));
            }
            if files.insert(path.to_owned(), digest.to_owned()).is_some() {
                return Err(wrong("the path is there twice"));
            }
        }
        Ok(Self { files })
    }

    /// Returns the lock's bytes.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        for (path, digest) in &self.files {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{digest}  {path}");
        }
        text
    }
}

/// Returns the digest of a file's bytes, as the lock has it.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_path(path: &str) -> bool {
    !path.chars().any(char::is_control)
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Whether files that Skep did not write may be written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopt {
    /// They are refused.
    No,
    /// They become Skep's.
    Yes,
}

/// What is to be done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It has the wanted bytes.
    Unchanged,
    /// It is not there yet.
    Create,
    /// It is written anew.
    Update,
    /// Nobody wants it any more, and Skep wrote it.
    Remove,
    /// It is left alone.
    Refuse(Refusal),
}

/// Why a file is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Skep did not write it.
    NotGenerated,
    /// Skep wrote it, and somebody changed it.
    Edited,
}

impl Refusal {
    /// Returns the reason in words.
    pub fn text(self) -> &'static str {
        match self {
            Self::NotGenerated => "not written by Skep",
            Self::Edited => "edited since Skep wrote it",
        }
    }
}

/// Decides what is to be done to a file.
///
/// `wanted` is what it shall hold, `None` if it shall go; `found` what it holds, `None` if it is not
/// there; `recorded` its digest in the lock. A file with exactly the wanted bytes counts as written
/// by Skep: a run that ended between file and lock is no edit. A file that was edited is never
/// removed, `adopt` or not.
pub fn decide(
    wanted: Option<&[u8]>,
    found: Option<&[u8]>,
    recorded: Option<&str>,
    adopt: Adopt,
) -> Decision {
    let ours = found.is_some_and(|bytes| recorded == Some(digest(bytes).as_str()));
    let refusal = if recorded.is_some() { Refusal::Edited } else { Refusal::NotGenerated };
    match (wanted, found) {
        (Some(_), None) => Decision::Create,
        (Some(wanted), Some(found)) if wanted == found => Decision::Unchanged,
        (Some(_), Some(_)) if ours || adopt == Adopt::Yes => Decision::Update,
        (None, None) => Decision::Remove,
        (None, Some(_)) if ours => Decision::Remove,
        (_, Some(_)) => Decision::Refuse(refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_of_a_file() {
        let (a, b) = (Some(b"a".as_slice()), Some(b"b".as_slice()));
        let of_a = digest(b"a");
        let (ours, none) = (Some(of_a.as_str()), None);
        let refuse = Decision::Refuse;
        for (wanted, found, recorded, no, yes) in [
            (a, None, none, Decision::Create, Decision::Create),
            (a, None, ours, Decision::Create, Decision::Create),
            (a, a, none, Decision::Unchanged, Decision::Unchanged),
            (b, b, ours, Decision::Unchanged, Decision::Unchanged),
            (b, a, ours, Decision::Update, Decision::Update),
            (a, b, none, refuse(Refusal::NotGenerated), Decision::Update),
            (a, b, ours, refuse(Refusal::Edited), Decision::Update),
            (None, a, ours, Decision::Remove, Decision::Remove),
            (None, None, ours, Decision::Remove, Decision::Remove),
            (None, b, ours, refuse(Refusal::Edited), refuse(Refusal::Edited)),
            (None, b, none, refuse(Refusal::NotGenerated), refuse(Refusal::NotGenerated)),
        ] {
            assert_eq!(decide(wanted, found, recorded, Adopt::No), no, "{wanted:?} {found:?}");
            assert_eq!(decide(wanted, found, recorded, Adopt::Yes), yes, "{wanted:?} {found:?}");
        }
    }

    #[test]
    fn a_lock_reads_back() {
        let mut lock = Lock::default();
        assert_eq!(Lock::parse(&lock.to_text()), Ok(lock.clone()));
        lock.files.insert("roles/web.json".to_owned(), digest(b"x"));
        assert_eq!(
            lock.to_text(),
            "# skep generated 1\n2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881  \
             roles/web.json\n"
        );
        assert_eq!(Lock::parse(&lock.to_text()), Ok(lock));
    }

    #[test]
    fn a_bad_lock_is_refused_with_its_line() {
        let good = digest(b"x");
        for (text, why) in [
            (String::new(), "`generated.lock` does not start with `# skep generated 1`"),
            (
                "# skep generated 2\n".to_owned(),
                "`generated.lock` does not start with `# skep generated 1`",
            ),
            (
                format!("{HEADER}\n{good} x\n"),
                "`generated.lock`, line 2: expected a digest, two spaces and a path",
            ),
            (
                format!("{HEADER}\n{}  x\n", good.to_uppercase()),
                "`generated.lock`, line 2: the digest has not 64 lowercase hexadecimal digits",
            ),
            (
                format!("{HEADER}\n{good}  x\n{good}  x\n"),
                "`generated.lock`, line 3: the path is there twice",
            ),
            (
                format!("{HEADER}\n{good}  ../x\n"),
                "`generated.lock`, line 2: the path leads out of the repository",
            ),
            (
                format!("{HEADER}\n{good}  /etc/x\n"),
                "`generated.lock`, line 2: the path leads out of the repository",
            ),
            (
                format!("{HEADER}\n<<<<<<< HEAD\n"),
                "`generated.lock`, line 2: expected a digest, two spaces and a path",
            ),
        ] {
            assert_eq!(Lock::parse(&text).unwrap_err().to_string(), why);
        }
    }
}
