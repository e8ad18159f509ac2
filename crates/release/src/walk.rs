//! Lists the files of a directory that git knows nothing about.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use disk::DiskError;

use crate::cancel::Cancel;
use crate::rules::Rules;
use crate::source::{MAX_FILES, SourceError};

/// Lists all files but the default excludes.
pub(crate) fn walk(
    directory: &Path,
    rules: &Rules,
    cancel: &Cancel,
) -> Result<Vec<Vec<u8>>, SourceError> {
    walk_where(directory, cancel, |path| !rules.is_made_by_tools(path))
}

/// Lists all files, ignored ones too, but no repository's own.
pub(crate) fn walk_everything(
    directory: &Path,
    cancel: &Cancel,
) -> Result<Vec<Vec<u8>>, SourceError> {
    walk_where(directory, cancel, |path| !path.ends_with(".git"))
}

fn walk_where(
    directory: &Path,
    cancel: &Cancel,
    wanted: impl Fn(&Path) -> bool,
) -> Result<Vec<Vec<u8>>, SourceError> {
    let relative = |entry: &walkdir::DirEntry| -> PathBuf {
        entry.path().strip_prefix(directory).unwrap_or(entry.path()).to_owned()
    };
    let mut files = Vec::new();
    let entries = walkdir::WalkDir::new(directory).min_depth(1).into_iter();
    for entry in entries.filter_entry(|entry| wanted(&relative(entry))) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(directory).to_owned();
            DiskError::new("list", &path, error)
        })?;
        if cancel.is_requested() {
            return Err(SourceError::Cancelled);
        }
        if !entry.file_type().is_dir() {
            files.push(relative(&entry).as_os_str().as_bytes().to_owned());
        }
        if files.len() > MAX_FILES {
            return Err(SourceError::TooMany);
        }
    }
    Ok(files)
}
