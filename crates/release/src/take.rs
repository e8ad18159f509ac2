//! From a stage to a tree that nobody can write: copies what a build made and makes its manifest.
//!
//! Everything in the stage was written by the app's own code and may still be written by whatever
//! of it escaped. So the artifact is made of new files that only this process ever had open:
//! each is opened beneath the stage without following links, hashed while it is copied, and ends
//! up 0444 or 0555. Refused: set-id files, devices, sockets, FIFOs, names that are not UTF-8 or hold
//! control characters, symlinks out of the tree (but the interpreter's).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use disk::{DiskError, PathContext};
use rustix::fs::FileType;

use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::links;
use crate::manifest::{Entry, EntryKind};
use crate::path::{self, PathFault};
use crate::source::kind_name;
use crate::stage;
use crate::tree::Tree;

/// Why a built tree cannot become an artifact.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// A path no manifest can hold.
    #[error("the build made `{path}`, which cannot be part of a release")]
    Path {
        /// The path, control characters escaped.
        path: String,
        /// Why.
        #[source]
        fault: PathFault,
    },
    /// A name that is not UTF-8.
    #[error("the build made `{0}`, which cannot be part of a release: its name is not UTF-8")]
    NotUtf8(String),
    /// A file of a kind no artifact can hold.
    #[error("the build made `{path}`, which cannot be part of a release: it is {what}")]
    Kind {
        /// The path.
        path: String,
        /// `a set-id file` …
        what: &'static str,
    },
    /// A symlink that leaves the tree.
    #[error("the build made `{path}`, which points out of the release, to `{target}`")]
    LinkOut {
        /// The link.
        path: String,
        /// Its target.
        target: String,
    },
    /// A data path whose parent is not a directory.
    #[error("`{0}` is declared as data, but what it lies in is not a directory")]
    DataParent(String),
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Cancelled.
    #[error("copying the built files was cancelled")]
    Cancelled,
}

/// What to take.
#[derive(Debug)]
pub(crate) struct Taking<'a> {
    /// The built tree.
    pub(crate) from: &'a Path,
    /// Where it goes; made here.
    pub(crate) into: &'a Path,
    /// Paths that become links to the data directory, with their names in it.
    pub(crate) data: &'a [(String, String)],
    pub(crate) data_directory: &'a Path,
    /// The one absolute link target that is allowed.
    pub(crate) interpreter: Option<&'a Path>,
    /// Paths left behind.
    pub(crate) dropped: &'a BTreeSet<String>,
    /// Files with another content than they have.
    pub(crate) rewritten: &'a BTreeMap<String, Vec<u8>>,
    pub(crate) cancel: &'a Cancel,
}

/// What was taken.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Sorted by path.
    pub(crate) entries: Vec<Entry>,
    /// Data paths that the build had written to; it is not kept.
    pub(crate) data_written: Vec<String>,
}

/// Copies the tree.
pub(crate) fn take(taking: &Taking<'_>) -> Result<Taken, TakeError> {
    let tree = Tree::open(taking.from)?;
    disk::create_directory(taking.into, 0o700)?;
    let mut entries = Vec::new();
    let mut data_written = Vec::new();
    let mut walk = walkdir::WalkDir::new(taking.from).min_depth(1).into_iter();
    while let Some(entry) = walk.next() {
        if taking.cancel.is_requested() {
            return Err(TakeError::Cancelled);
        }
        let entry = entry.map_err(|error| DiskError::new("list", taking.from, error))?;
        let relative = entry.path().strip_prefix(taking.from).unwrap_or(entry.path());
        let Some(path) = relative.to_str() else {
            return Err(TakeError::NotUtf8(
                relative.as_os_str().as_encoded_bytes().escape_ascii().to_string(),
            ));
        };
        let is_data = taking.data.iter().any(|(data, _)| data == path);
        if is_data || taking.dropped.contains(path) {
            if is_data {
                data_written.push(path.to_owned());
            }
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
            continue;
        }
        path::check(path)
            .map_err(|fault| TakeError::Path { path: path.escape_debug().to_string(), fault })?;
        if let Some(kind) = take_one(taking, &tree, path)? {
            entries.push(Entry { path: path.to_owned(), kind });
        }
    }
    add_data_links(taking, &mut entries)?;
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    if let Some((path, target)) = links::first_out(&entries, taking.interpreter) {
        return Err(TakeError::LinkOut { path: path.to_owned(), target: target.to_owned() });
    }
    close_directories(taking.into, &entries)?;
    Ok(Taken { entries, data_written })
}

fn take_one(taking: &Taking<'_>, tree: &Tree, path: &str) -> Result<Option<EntryKind>, TakeError> {
    let into = taking.into.join(path);
    // Gone since it was listed: only an escaped process can do that, and it may.
    let Some(found) = tree.stat(path)? else { return Ok(None) };
    let kind = match found.kind {
        FileType::Directory => {
            disk::create_directory(&into, 0o700)?;
            EntryKind::Directory
        }
        FileType::RegularFile => {
            let (file, found) = tree.open_file(path)?;
            if found.is_set_id() {
                return Err(TakeError::Kind { path: path.to_owned(), what: "a set-id file" });
            }
            let executable = found.is_executable();
            let mode = if executable { 0o555 } else { 0o444 };
            if let Some(content) = taking.rewritten.get(path) {
                let mut new = fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&into)
                    .context("create", &into)?;
                new.write_all(content).context("write", &into)?;
                stage::finish_file(&new, &found, &into, mode)?;
                let size_bytes = content.len() as u64;
                EntryKind::File { executable, size_bytes, digest: Digest::of(content) }
            } else {
                let copy = stage::copy_file(file, &found, &into, mode)?;
                let stage::Copy { digest, size_bytes, .. } = copy;
                EntryKind::File { executable, size_bytes, digest }
            }
        }
        FileType::Symlink => {
            let target = tree.read_link(path)?;
            let allowed = path::resolve_link(path, &target).is_some()
                || taking.interpreter.is_some_and(|python| python == Path::new(&target));
            if !allowed || target.chars().any(char::is_control) {
                let target = target.escape_debug().to_string();
                return Err(TakeError::LinkOut { path: path.to_owned(), target });
            }
            symlink(&target, &into).context("create link", &into)?;
            EntryKind::Link { target }
        }
        other => return Err(TakeError::Kind { path: path.to_owned(), what: kind_name(other) }),
    };
    Ok(Some(kind))
}

fn add_data_links(taking: &Taking<'_>, entries: &mut Vec<Entry>) -> Result<(), TakeError> {
    for (path, name) in taking.data {
        let parent = path::parent(path);
        let mut above = String::new();
        for component in parent.split('/').filter(|component| !component.is_empty()) {
            if !above.is_empty() {
                above.push('/');
            }
            above.push_str(component);
            match entries.iter().find(|entry| entry.path == above) {
                Some(Entry { kind: EntryKind::Directory, .. }) => {}
                Some(_) => return Err(TakeError::DataParent(path.clone())),
                None => {
                    disk::create_directory(&taking.into.join(&above), 0o700)?;
                    entries.push(Entry { path: above.clone(), kind: EntryKind::Directory });
                }
            }
        }
        let link = taking.into.join(path);
        symlink(taking.data_directory.join(name), &link).context("create link", &link)?;
        entries.push(Entry { path: path.clone(), kind: EntryKind::Data { name: name.clone() } });
    }
    Ok(())
}

/// Takes the right to write from every directory, the deepest first.
fn close_directories(root: &Path, entries: &[Entry]) -> Result<(), DiskError> {
    let close = |path: &Path| {
        fs::set_permissions(path, Permissions::from_mode(0o555)).context("set the mode of", path)
    };
    for entry in entries.iter().rev().filter(|entry| entry.kind == EntryKind::Directory) {
        close(&root.join(&entry.path))?;
    }
    close(root)
}
