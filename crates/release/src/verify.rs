//! Compares a tree with its manifest.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use disk::DiskError;
use rustix::fs::FileType;

use crate::digest::copy_hashed;
use crate::manifest::{Entry, EntryKind, Manifest};
use crate::tree::Tree;

/// Most differences that are listed; a person needs to see that, not all of it.
const MAX_DIFFERENCES: usize = 10;

/// One path that is not what the manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The path.
    pub path: String,
    /// What about it.
    pub what: &'static str,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path, self.what)
    }
}

/// Returns the first differences between a manifest and the tree at `root`.
pub(crate) fn compare(manifest: &Manifest, root: &Path) -> Result<Vec<Difference>, DiskError> {
    let tree = Tree::open(root)?;
    let mut expected: BTreeMap<&str, &Entry> =
        manifest.entries.iter().map(|entry| (entry.path.as_str(), entry)).collect();
    let mut differences = Vec::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|error| DiskError::new("list", root, error))?;
        let path = entry.path().strip_prefix(root).unwrap_or(entry.path()).to_string_lossy();
        let what = match expected.remove(path.as_ref()) {
            None => Some("is not in the manifest"),
            Some(entry) => difference(&tree, entry)?,
        };
        if let Some(what) = what {
            differences.push(Difference { path: path.into_owned(), what });
        }
        if differences.len() >= MAX_DIFFERENCES {
            return Ok(differences);
        }
    }
    let missing =
        expected.into_keys().map(|path| Difference { path: path.to_owned(), what: "is missing" });
    differences.extend(missing.take(MAX_DIFFERENCES));
    differences.truncate(MAX_DIFFERENCES);
    Ok(differences)
}

fn difference(tree: &Tree, entry: &Entry) -> Result<Option<&'static str>, DiskError> {
    let Some(found) = tree.stat(&entry.path)? else { return Ok(Some("is missing")) };
    let same_kind = match &entry.kind {
        EntryKind::Directory => found.kind == FileType::Directory,
        EntryKind::File { .. } => found.kind == FileType::RegularFile,
        EntryKind::Link { .. } | EntryKind::Data { .. } => found.kind == FileType::Symlink,
    };
    if !same_kind {
        return Ok(Some("is of another kind"));
    }
    Ok(match &entry.kind {
        EntryKind::Directory if found.mode & 0o222 != 0 => Some("is writable"),
        EntryKind::File { executable, .. }
            if found.mode != if *executable { 0o555 } else { 0o444 } =>
        {
            Some("has another mode")
        }
        EntryKind::File { size_bytes, .. } if found.size_bytes != *size_bytes => {
            Some("has another length")
        }
        EntryKind::File { digest, .. } => {
            let (file, _) = tree.open_file(&entry.path)?;
            let (actual, _) = copy_hashed(file, |_| Ok(()))
                .map_err(|source| DiskError::new("read", &tree.path().join(&entry.path), source))?;
            (actual != *digest).then_some("has another content")
        }
        EntryKind::Link { target } => {
            (tree.read_link(&entry.path)? != *target).then_some("has another target")
        }
        // Where an installation keeps its data is not the artifact's to say.
        EntryKind::Data { name } => (!Path::new(&tree.read_link(&entry.path)?).ends_with(name))
            .then_some("has another target"),
        EntryKind::Directory => None,
    })
}
