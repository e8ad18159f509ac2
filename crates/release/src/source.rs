//! The source set: the files a build may see.
//!
//! In a git work tree those that git tracks and those it neither tracks nor ignores; elsewhere all.
//! [`crate::DEFAULT_EXCLUDES`] never come in uncommitted. Then the app file's `include` patterns add (also
//! ignored files) and its `exclude` patterns take away; a pattern that matches a directory takes
//! all of it. Data paths are never part of it: they live beside the releases.
//!
//! Refused, each with the path: a symlink out of the tree, a socket, FIFO or device, a set-id file,
//! a name that is not UTF-8 or holds a control character, a submodule (its files belong to another
//! repository, which nobody may have fetched).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use app::model::App;
use disk::DiskError;
use rustix::fs::FileType;

use crate::cancel::Cancel;
use crate::digest::{Digest, Parts, copy_hashed};
use crate::git;
use crate::path::{self, PathFault};
use crate::rules::Rules;
use crate::stat_cache::{self, StatCache};
use crate::tree::{Found, Tree};
use crate::walk::{walk, walk_everything};

/// Most files in a source set; far above any app, far below what would fill memory.
pub(crate) const MAX_FILES: usize = 200_000;

/// Why there is no source set.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The source directory is not one.
    #[error("`{}` is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// A path no release can hold.
    #[error("`{path}` in the source cannot be part of a release")]
    Path {
        /// The path, control characters escaped.
        path: String,
        /// Why.
        #[source]
        fault: PathFault,
    },
    /// A name that is not UTF-8.
    #[error("`{0}` in the source cannot be part of a release: its name is not UTF-8")]
    NotUtf8(String),
    /// A file of a kind no release can hold.
    #[error("`{path}` in the source cannot be part of a release: it is {what}")]
    Kind {
        /// The path.
        path: String,
        /// `a socket` …
        what: &'static str,
    },
    /// A symlink that leaves the tree.
    #[error("`{path}` in the source points out of it, to `{target}`")]
    LinkOut {
        /// The link.
        path: String,
        /// Its target.
        target: String,
    },
    /// A git submodule.
    #[error("`{0}` is a git submodule, and its files are not part of this repository")]
    Submodule(String),
    /// A pattern of the app file's that is none.
    #[error("`{pattern}` in `[build] {key}` is not a glob pattern")]
    Pattern {
        /// `include` or `exclude`.
        key: &'static str,
        /// The pattern.
        pattern: String,
        /// Why.
        #[source]
        source: globset::Error,
    },
    /// Too many files.
    #[error("the source has more than {MAX_FILES} files")]
    TooMany,
    /// Git is not installed.
    #[error("`{}` is in a git work tree, but there is no `git` here to list it", directory.display())]
    GitMissing {
        /// The source.
        directory: PathBuf,
    },
    /// Git failed.
    #[error("`{command}` failed in `{}`: {reason}", directory.display())]
    Git {
        /// The source.
        directory: PathBuf,
        /// The command.
        command: String,
        /// What it said.
        reason: String,
    },
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Cancelled.
    #[error("listing the source was cancelled")]
    Cancelled,
}

/// One entry of a source set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceEntry {
    /// Relative to the source directory.
    pub path: String,
    /// What it is.
    pub kind: SourceKind,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// A regular file.
    File {
        /// Whether its owner may execute it.
        executable: bool,
        /// Its length.
        size_bytes: u64,
        /// Its content.
        digest: Digest,
    },
    /// A symlink that stays inside the tree.
    Link {
        /// Its target as written.
        target: String,
    },
}

/// The files a build may see, sorted by path.
#[derive(Debug, Clone)]
pub struct SourceSet {
    /// The source directory.
    pub directory: PathBuf,
    /// Sorted by path.
    pub entries: Vec<SourceEntry>,
    /// Digest of all of it: paths, modes, contents.
    pub digest: Digest,
    /// Length of all files.
    pub size_bytes: u64,
    /// Abbreviated commit, where git knows one.
    pub commit: Option<String>,
    /// Paths that differ from that commit.
    pub uncommitted: usize,
    /// What a person should know.
    pub notices: Vec<String>,
}

impl SourceSet {
    /// Returns the entry at exactly this path.
    pub fn get(&self, path: &str) -> Option<&SourceEntry> {
        let index = self.entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok()?;
        self.entries.get(index)
    }

    /// Returns whether a file is at exactly this path.
    pub fn has_file(&self, path: &str) -> bool {
        matches!(self.get(path), Some(SourceEntry { kind: SourceKind::File { .. }, .. }))
    }

    /// Returns what the source is for people: `8c1f2e9 +2 uncommitted`; without git the digest.
    pub fn label(&self) -> String {
        match (&self.commit, self.uncommitted) {
            (Some(commit), 0) => commit.clone(),
            (Some(commit), count) => format!("{commit} +{count} uncommitted"),
            (None, _) => {
                let digest = self.digest.short();
                format!("files {}", &digest[..digest.len().min(7)])
            }
        }
    }
}

/// Reads the source set of `app` from `directory`. `cache` is `SKEP_HOME/cache`.
pub(crate) fn read(
    directory: &Path,
    app: &App,
    cache: &Path,
    cancel: &Cancel,
) -> Result<SourceSet, SourceError> {
    if !directory.is_dir() {
        return Err(SourceError::NotADirectory(directory.to_owned()));
    }
    let tree = Tree::open(directory)?;
    let rules = Rules::new(app)?;
    let mut notices = Vec::new();
    let mut listing = git::list(directory, cancel)?;
    if listing.as_ref().is_some_and(|listing| listing.paths.is_empty()) {
        let top = git::work_tree(directory).unwrap_or_default();
        notices.push(format!(
            "the git repository at {} ignores everything here: all files are taken",
            top.display()
        ));
        listing = None;
    }
    let (paths, commit, uncommitted) = match listing {
        Some(listing) => (listing.paths, listing.commit, listing.uncommitted),
        None => (walk(directory, &rules, cancel)?, None, 0),
    };
    let mut chosen = BTreeSet::new();
    for bytes in paths {
        choose(bytes, &rules, &tree, &mut chosen, &mut notices)?;
    }
    if !app.build.include.is_empty() {
        for bytes in walk_everything(directory, cancel)? {
            if String::from_utf8(bytes.clone()).is_ok_and(|path| rules.includes(&path)) {
                choose(bytes, &rules, &tree, &mut chosen, &mut notices)?;
            }
        }
    }
    leave_out_environments(&mut chosen, &mut notices);
    if chosen.len() > MAX_FILES {
        return Err(SourceError::TooMany);
    }
    let mut cache = StatCache::open(stat_cache::path(cache, &app.name));
    let mut entries = Vec::with_capacity(chosen.len());
    for path in chosen {
        if cancel.is_requested() {
            return Err(SourceError::Cancelled);
        }
        if let Some(kind) = classify(&tree, &path, &mut cache)? {
            entries.push(SourceEntry { path, kind });
        }
    }
    if let Err(error) = cache.save() {
        // Only slower next time.
        notices.push(report::chain(&error).join(": "));
    }
    Ok(SourceSet {
        directory: directory.to_owned(),
        digest: digest(&entries),
        size_bytes: entries.iter().map(|entry| entry.kind.size_bytes()).sum(),
        entries,
        commit,
        uncommitted,
        notices,
    })
}

impl SourceKind {
    fn size_bytes(&self) -> u64 {
        match self {
            Self::File { size_bytes, .. } => *size_bytes,
            Self::Link { .. } => 0,
        }
    }
}

/// Returns the digest of entries: those of a whole set, or those an environment is made from.
pub(crate) fn digest<'a>(entries: impl IntoIterator<Item = &'a SourceEntry>) -> Digest {
    let mut parts = Parts::new("source set 1");
    for entry in entries {
        parts.add("path", &entry.path);
        match &entry.kind {
            SourceKind::File { executable, digest, .. } => {
                parts.add("mode", if *executable { "x" } else { "-" });
                parts.add("content", digest.to_string());
            }
            SourceKind::Link { target } => parts.add("link", target),
        }
    }
    parts.finish()
}

/// Puts one listed path among the chosen, unless a rule keeps it out.
fn choose(
    bytes: Vec<u8>,
    rules: &Rules,
    tree: &Tree,
    chosen: &mut BTreeSet<String>,
    notices: &mut Vec<String>,
) -> Result<(), SourceError> {
    let path = String::from_utf8(bytes)
        .map_err(|error| SourceError::NotUtf8(error.as_bytes().escape_ascii().to_string()))?;
    let (path, nested) = match path.strip_suffix('/') {
        Some(path) => (path.to_owned(), true),
        None => (path, false),
    };
    if rules.excludes(&path) || rules.is_data(&path) {
        return Ok(());
    }
    path::check(&path)
        .map_err(|fault| SourceError::Path { path: path.escape_debug().to_string(), fault })?;
    if nested {
        notices.push(format!("{path}/ is a git repository of its own and left out"));
        return Ok(());
    }
    if tree.stat(&path)?.is_some_and(|found| found.kind == FileType::Directory) {
        return Err(SourceError::Submodule(path));
    }
    chosen.insert(path);
    Ok(())
}

/// Takes out virtual environments under any name: they hold links to one machine's interpreter.
fn leave_out_environments(chosen: &mut BTreeSet<String>, notices: &mut Vec<String>) {
    let found: Vec<String> = chosen
        .iter()
        .filter_map(|path| path.strip_suffix("/pyvenv.cfg"))
        .map(str::to_owned)
        .collect();
    for environment in found {
        notices.push(format!("{environment}/ is a virtual environment and left out"));
        chosen.retain(|path| !path::is_within(path, &environment));
    }
}

/// Returns what is at a path; `None` when it is gone (deleted, not yet committed).
fn classify(
    tree: &Tree,
    path: &str,
    cache: &mut StatCache,
) -> Result<Option<SourceKind>, SourceError> {
    let Some(found) = tree.stat(path)? else { return Ok(None) };
    match found.kind {
        FileType::RegularFile => file(tree, path, &found, cache).map(Some),
        FileType::Symlink => {
            let target = tree.read_link(path)?;
            if target.chars().any(char::is_control) || path::resolve_link(path, &target).is_none() {
                let target = target.escape_debug().to_string();
                return Err(SourceError::LinkOut { path: path.to_owned(), target });
            }
            Ok(Some(SourceKind::Link { target }))
        }
        other => Err(SourceError::Kind { path: path.to_owned(), what: kind_name(other) }),
    }
}

fn file(
    tree: &Tree,
    path: &str,
    found: &Found,
    cache: &mut StatCache,
) -> Result<SourceKind, SourceError> {
    if found.is_set_id() {
        return Err(SourceError::Kind { path: path.to_owned(), what: "a set-id file" });
    }
    let digest = if let Some(digest) = cache.get(path, found) {
        digest
    } else {
        let looked_ns = stat_cache::now_ns();
        let (file, found) = tree.open_file(path)?;
        let (digest, length) = copy_hashed(file, |_| Ok(()))
            .map_err(|source| DiskError::new("read", &tree.path().join(path), source))?;
        if length == found.size_bytes {
            cache.put(path, &found, digest, looked_ns);
        }
        digest
    };
    Ok(SourceKind::File { executable: found.is_executable(), size_bytes: found.size_bytes, digest })
}

/// Returns a file type for messages.
pub(crate) fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Socket => "a socket",
        FileType::Fifo => "a FIFO",
        FileType::BlockDevice | FileType::CharacterDevice => "a device",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symlink",
        FileType::RegularFile => "a file",
        FileType::Unknown => "of an unknown kind",
    }
}
