//! A repository in a temporary directory.

use std::fs;
use std::path::{Path, PathBuf};

use cookbook::{Repository, Resolution, ResolveError};
use report::Failure;
use tempfile::TempDir;

/// A repository and a cache.
pub(crate) struct Scene {
    directory: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let scene = Self { directory: tempfile::tempdir().unwrap() };
        fs::create_dir(scene.root()).unwrap();
        scene
    }

    /// Returns the repository's directory.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("infra")
    }

    /// Returns a place beside the repository.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    /// Writes a file below the repository, or beside it with `../`.
    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        write(&self.root().join(path), text);
        self
    }

    /// Writes a cookbook that needs others.
    pub(crate) fn cookbook(self, name: &str, version: &str, needs: &[(&str, &str)]) -> Self {
        let text = manifest(name, version, needs);
        self.file(&format!("cookbooks/{name}/cookbook.toml"), &text)
    }

    pub(crate) fn open(&self) -> Repository {
        Repository::open(&self.root()).unwrap()
    }

    pub(crate) fn resolve(&self) -> Result<Resolution, ResolveError> {
        Repository::open(&self.root())?.resolve(&self.cache())
    }

    /// Resolves what fits; returns each cookbook with its version.
    pub(crate) fn chosen(&self) -> Vec<String> {
        let resolution = self.resolve().unwrap_or_else(|error| panic!("{}", Failure::from(error)));
        let cookbooks = resolution.cookbooks.iter();
        cookbooks.map(|(name, found)| format!("{name} {}", found.manifest.version)).collect()
    }

    /// Returns how what cannot be resolved is told.
    pub(crate) fn wrong(&self) -> String {
        match self.resolve() {
            Ok(resolution) => panic!("nothing is wrong: {:?}", resolution.cookbooks.keys()),
            Err(error) => {
                let text = Failure::from(error).to_string();
                text.replace(self.directory.path().to_str().unwrap(), "[TMP]")
            }
        }
    }
}

pub(crate) fn manifest(name: &str, version: &str, needs: &[(&str, &str)]) -> String {
    let needs = needs.iter().map(|(name, requirement)| format!("{name} = \"{requirement}\"\n"));
    format!(
        "name = \"{name}\"\nversion = \"{version}\"\n\n[dependencies]\n{}",
        needs.collect::<String>()
    )
}

pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
