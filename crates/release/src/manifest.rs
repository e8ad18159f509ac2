//! Manifest v1: what an artifact or an environment consists of. Its SHA-256 is the id.
//!
//! ```text
//! skep-manifest 1
//! layer code
//! environment 4f1c…                                      id of the environment it belongs to
//! data media media                                       path, name below the data directory
//! dir static
//! file 444 1203 9a0b… static/site.css                    mode, size, sha256, path
//! link bin/python3 python                                path, target
//! ```
//!
//! ASCII lines, each ended by one line feed. In paths and targets every byte outside `!` to `~`, and
//! `%` itself, is written `%XX`. Entries are sorted by path (byte order) and name each path once;
//! every directory has its entry before what it holds. There is exactly one way to write a
//! manifest: [`Manifest::parse`] refuses every other, so that equal trees have equal ids. Times and
//! owners are not part of it, nor is SKEP_HOME: a data entry names no absolute path.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::digest::Digest;
use crate::path;

/// Largest manifest that is read.
pub const MAX_MANIFEST_BYTES: u64 = 128 * 1024 * 1024;
/// Most entries; an environment of a large scientific stack has some 100,000.
const MAX_ENTRIES: usize = 1_000_000;
/// Longest symlink target; the kernel's own limit.
const MAX_TARGET_BYTES: usize = 4095;

/// Which layer a manifest describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// The app's code and what its build steps made.
    Code,
    /// The interpreter's environment and installed packages.
    Environment,
}

/// One path of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the tree's root.
    pub path: String,
    /// What is there.
    pub kind: EntryKind,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory, mode 0555.
    Directory,
    /// A file, mode 0444 or 0555.
    File {
        /// Whether it is 0555.
        executable: bool,
        /// Its length.
        size_bytes: u64,
        /// Its content.
        digest: Digest,
    },
    /// A symlink inside the tree, or to the interpreter.
    Link {
        /// Its target as written.
        target: String,
    },
    /// A symlink to what outlives releases.
    Data {
        /// Its name below the app's data directory.
        name: String,
    },
}

/// A whole tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Which layer.
    pub layer: Layer,
    /// For code: the environment it was built with.
    pub environment: Option<Digest>,
    /// Sorted by path.
    pub entries: Vec<Entry>,
}

/// Why bytes are not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the manifest: {reason}")]
pub struct ManifestError {
    /// The line, from 1.
    pub line: usize,
    /// Why.
    pub reason: &'static str,
}

impl Manifest {
    /// Returns the id: the digest of the rendered manifest.
    pub fn id(&self) -> Digest {
        Digest::of(self.render().as_bytes())
    }

    /// Returns the length of all files.
    pub fn size_bytes(&self) -> u64 {
        self.entries
            .iter()
            .map(|entry| match entry.kind {
                EntryKind::File { size_bytes, .. } => size_bytes,
                _ => 0,
            })
            .sum()
    }

    /// Returns the manifest as text.
    pub fn render(&self) -> String {
        let mut text = String::from("skep-manifest 1\nlayer ");
        text.push_str(match self.layer {
            Layer::Code => "code\n",
            Layer::Environment => "environment\n",
        });
        // Writing to a string cannot fail.
        if let Some(environment) = self.environment {
            let _ = writeln!(text, "environment {environment}");
        }
        for Entry { path, kind } in &self.entries {
            let path = escape(path);
            let _ = match kind {
                EntryKind::Directory => writeln!(text, "dir {path}"),
                EntryKind::File { executable, size_bytes, digest } => {
                    let mode = if *executable { "555" } else { "444" };
                    writeln!(text, "file {mode} {size_bytes} {digest} {path}")
                }
                EntryKind::Link { target } => writeln!(text, "link {path} {}", escape(target)),
                EntryKind::Data { name } => writeln!(text, "data {path} {}", escape(name)),
            };
        }
        text
    }

    /// Reads a manifest; the bytes may be anything.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let fail = |line, reason| ManifestError { line, reason };
        let text = std::str::from_utf8(bytes)
            .ok()
            .filter(|text| text.is_ascii())
            .ok_or(fail(1, "it is not ASCII"))?;
        let body = text.strip_suffix('\n').ok_or(fail(1, "the last line has no end"))?;
        let mut lines = body.split('\n').enumerate().map(|(n, line)| (n + 1, line)).peekable();
        if lines.next().is_none_or(|(_, line)| line != "skep-manifest 1") {
            return Err(fail(1, "it does not begin with `skep-manifest 1`"));
        }
        let layer = match lines.next() {
            Some((_, "layer code")) => Layer::Code,
            Some((_, "layer environment")) => Layer::Environment,
            _ => return Err(fail(2, "it names no known layer")),
        };
        let mut environment = None;
        if let Some((number, id)) =
            lines.peek().and_then(|(n, line)| Some((*n, line.strip_prefix("environment ")?)))
        {
            if layer == Layer::Environment {
                return Err(fail(number, "an environment belongs to no environment"));
            }
            environment = Some(id.parse().map_err(|_| fail(number, "it is not a digest"))?);
            lines.next();
        }
        let mut entries: Vec<Entry> = Vec::new();
        let mut directories: HashSet<String> = HashSet::from([String::new()]);
        for (number, line) in lines {
            let entry = parse_entry(line).map_err(|reason| fail(number, reason))?;
            if entries.len() == MAX_ENTRIES {
                return Err(fail(number, "there are too many entries"));
            }
            if entries.last().is_some_and(|last| last.path >= entry.path) {
                return Err(fail(number, "it is out of order"));
            }
            if !directories.contains(path::parent(&entry.path)) {
                return Err(fail(number, "its directory has no entry"));
            }
            if entry.kind == EntryKind::Directory {
                directories.insert(entry.path.clone());
            }
            entries.push(entry);
        }
        Ok(Self { layer, environment, entries })
    }
}

fn parse_entry(line: &str) -> Result<Entry, &'static str> {
    let mut words = line.split(' ');
    let mut next = || words.next().ok_or("a word is missing");
    let (kind, path) = match next()? {
        "dir" => (EntryKind::Directory, next()?),
        "file" => {
            let executable = match next()? {
                "444" => false,
                "555" => true,
                _ => return Err("its mode is neither 444 nor 555"),
            };
            let digits = next()?;
            let size_bytes: u64 = digits.parse().map_err(|_| "its size is not a number")?;
            if size_bytes.to_string() != digits {
                return Err("its size is not written as a plain number");
            }
            let digest = next()?.parse().map_err(|_| "it has no digest")?;
            (EntryKind::File { executable, size_bytes, digest }, next()?)
        }
        word @ ("link" | "data") => {
            let path = next()?;
            let other = unescape(next()?)?;
            if word == "data" {
                path::check(&other).map_err(|_| "its name is not a path")?;
                (EntryKind::Data { name: other }, path)
            } else {
                if other.is_empty() || other.len() > MAX_TARGET_BYTES {
                    return Err("its target is empty or too long");
                }
                if other.chars().any(char::is_control) {
                    return Err("its target holds a control character");
                }
                (EntryKind::Link { target: other }, path)
            }
        }
        _ => return Err("it is of no known kind"),
    };
    if words.next().is_some() {
        return Err("there is a word too many");
    }
    let path = unescape(path)?;
    path::check(&path).map_err(|_| "its path is not a normalised relative path")?;
    Ok(Entry { path, kind })
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'%'
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

fn unescape(text: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = after.get(..2).ok_or("an escape is cut short")?;
            let digits = std::str::from_utf8(digits).map_err(|_| "an escape is not hexadecimal")?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| "an escape is not hexadecimal")?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    let unescaped = String::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    // Also refuses `%41` for `A`, `%c3` for `%C3` and `%+1`.
    if escape(&unescaped) == text { Ok(unescaped) } else { Err("it is not written canonically") }
}

/// Fuzz target: no bytes make the reader panic, and what it takes it writes again unchanged.
#[doc(hidden)]
pub fn fuzz_manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(manifest.render().as_bytes(), bytes, "a manifest has one form");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        let entry = |path: &str, kind| Entry { path: path.to_owned(), kind };
        let file =
            |executable| EntryKind::File { executable, size_bytes: 3, digest: Digest::of(b"abc") };
        Manifest {
            layer: Layer::Code,
            environment: Some(Digest::of(b"e")),
            entries: vec![
                entry("app.py", file(false)),
                entry("bin", EntryKind::Directory),
                entry("bin/100% ü", file(true)),
                entry("bin/link", EntryKind::Link { target: "../app.py".to_owned() }),
                entry("media", EntryKind::Data { name: "media".to_owned() }),
            ],
        }
    }

    #[test]
    fn a_manifest_reads_what_it_writes() {
        let manifest = sample();
        let text = manifest.render();
        assert!(text.contains("/100%25%20%C3%BC\n"), "{text}");
        assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest));
    }

    #[test]
    fn every_other_spelling_is_refused() {
        let digest = Digest::of(b"");
        for (lines, reason) in [
            ("", "the last line has no end"),
            ("skep-manifest 2\nlayer code\n", "it does not begin with `skep-manifest 1`"),
            ("skep-manifest 1\nlayer x\n", "it names no known layer"),
        ] {
            assert_eq!(Manifest::parse(lines.as_bytes()).unwrap_err().reason, reason);
        }
        for (line, reason) in [
            ("dir ../x".to_owned(), "its path is not a normalised relative path"),
            ("dir /etc".to_owned(), "its path is not a normalised relative path"),
            ("dir a%0Ab".to_owned(), "its path is not a normalised relative path"),
            ("dir %61".to_owned(), "it is not written canonically"),
            ("dir a/b".to_owned(), "its directory has no entry"),
            ("dir a\ndir a".to_owned(), "it is out of order"),
            ("dir b\ndir a".to_owned(), "it is out of order"),
            ("dir a b".to_owned(), "there is a word too many"),
            ("dir".to_owned(), "a word is missing"),
            ("fifo a".to_owned(), "it is of no known kind"),
            (format!("file 4755 0 {digest} a"), "its mode is neither 444 nor 555"),
            (format!("file 444 01 {digest} a"), "its size is not written as a plain number"),
            (format!("file 444 -1 {digest} a"), "its size is not a number"),
            ("file 444 0 abc a".to_owned(), "it has no digest"),
            ("data a ../../etc".to_owned(), "its name is not a path"),
            ("link a %0A".to_owned(), "its target holds a control character"),
            ("\n".to_owned(), "it is of no known kind"),
        ] {
            let text = format!("skep-manifest 1\nlayer code\n{line}\n");
            assert_eq!(Manifest::parse(text.as_bytes()).unwrap_err().reason, reason, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn hostile_bytes_do_no_harm(bytes: Vec<u8>) {
            fuzz_manifest(&bytes);
        }

        #[test]
        fn damaged_manifests_never_read_as_something_else(at in 0usize..400, with: u8) {
            let mut bytes = sample().render().into_bytes();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = with;
            }
            fuzz_manifest(&bytes);
        }
    }
}
