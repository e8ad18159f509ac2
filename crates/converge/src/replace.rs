//! Putting a whole file, or a link, in the place of another.
//!
//! The new content is written beside the path into a file that only its owner may read, then given
//! its owner, its group and its mode, synced and renamed: whoever looks sees the old file or the
//! new one, never a part of it and never with wider permissions than either. A [`Staged`] that is
//! dropped before leaves nothing, and what a killed run left goes before the next one writes.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use disk::PathContext;

use crate::attributes::{Have, Want};
use crate::held::Held;
use crate::problem::Problem;

/// A new content, beside its place.
#[derive(Debug)]
pub(crate) struct Staged<'a> {
    file: File,
    temporary: PathBuf,
    held: &'a Held,
    placed: bool,
}

impl<'a> Staged<'a> {
    /// Writes content beside a path.
    pub(crate) fn write(held: &'a Held, content: &[u8]) -> Result<Self, Problem> {
        let mut staged = Self::create(held)?;
        staged.file.write_all(content).context("write", held.shown())?;
        Ok(staged)
    }

    /// Copies a kept file beside a path.
    pub(crate) fn copy(held: &'a Held, from: &Path) -> Result<Self, Problem> {
        let mut staged = Self::create(held)?;
        let mut from_file = File::open(from).context("open", from)?;
        std::io::copy(&mut from_file, &mut staged.file).context("write", held.shown())?;
        Ok(staged)
    }

    fn create(held: &'a Held) -> Result<Self, Problem> {
        // One run at a time writes here: what is there is a killed run's.
        Self::sweep(held)?;
        let temporary = beside(held.path());
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&temporary);
        let file = file.context("write", held.shown())?;
        Ok(Self { file, temporary, held, placed: false })
    }

    /// Removes what a killed run left beside a path.
    pub(crate) fn sweep(held: &Held) -> Result<(), Problem> {
        disk::remove_file(&beside(held.path())).map_err(|error| held.named(error))
    }

    /// Returns where other programs find the content until it is placed.
    pub(crate) fn shown(&self) -> PathBuf {
        self.held.shown().with_file_name(self.temporary.file_name().unwrap_or_default())
    }

    /// Gives it its attributes.
    pub(crate) fn set(&self, want: &Want) -> Result<(), Problem> {
        let found = self.file.metadata().context("look at", self.held.shown())?;
        want.set_on(&self.file, self.held.shown(), Have::of(&found))
    }

    /// Puts it in its place. A directory there is not replaced.
    pub(crate) fn place(mut self) -> Result<(), Problem> {
        let shown = self.held.shown();
        self.file.sync_all().context("write", shown)?;
        fs::rename(&self.temporary, self.held.path()).context("replace", shown)?;
        self.placed = true;
        self.held.sync()
    }
}

/// Makes a path a link to a target, in one step.
pub(crate) fn place_link(held: &Held, to: &Path) -> Result<(), Problem> {
    Staged::sweep(held)?;
    let beside = beside(held.path());
    symlink(to, &beside).context("create link", held.shown())?;
    if let Err(error) = fs::rename(&beside, held.path()) {
        let _ = fs::remove_file(&beside);
        return Err(disk::DiskError::new("replace", held.shown(), error).into());
    }
    held.sync()
}

/// Returns the name of a path's new content until it is in place.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // A piece of it: the whole name and more may be too long for a name.
    let name: String = name.chars().take(50).collect();
    path.with_file_name(format!(".{name}.skep-new"))
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
