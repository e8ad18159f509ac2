//! A layer before it has its name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use disk::PathContext;

use crate::artifact::{LEASE, MANIFEST};
use crate::digest::Digest;
use crate::error::BuildError;
use crate::manifest::{Layer, Manifest};
use crate::retention::NEW_PREFIX;
use crate::stage;

/// A tree that has not its name yet; removed when dropped, unless it was renamed.
pub(crate) struct New(pub(crate) PathBuf);

impl New {
    pub(crate) fn create(artifacts: &Path) -> Result<Self, BuildError> {
        let path = artifacts.join(format!("{NEW_PREFIX}{}", stage::random_name()?));
        disk::create_directory(&path, 0o700)?;
        Ok(Self(path))
    }

    /// Writes manifest and lease, takes the right to write, and returns the id.
    pub(crate) fn finish(&self, manifest: &Manifest) -> Result<Digest, BuildError> {
        let text = manifest.render();
        let mut files = vec![(MANIFEST, text.as_bytes())];
        if manifest.layer == Layer::Code {
            files.push((LEASE, b""));
        }
        for (name, bytes) in files {
            let path = self.0.join(name);
            fs::write(&path, bytes).context("write", &path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o444))
                .context("set the mode of", &path)?;
        }
        fs::set_permissions(&self.0, fs::Permissions::from_mode(0o555))
            .context("set the mode of", &self.0)?;
        Ok(Digest::of(text.as_bytes()))
    }
}

impl Drop for New {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next build.
        let _ = disk::remove_tree(&self.0);
    }
}
