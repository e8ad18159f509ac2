//! Artifacts on disk, and how they are found, switched to and checked.
//!
//! ```text
//! SKEP_HOME/artifacts/<app>/
//!   env-<id>/manifest venv/                    an environment; shared by artifacts
//!   <id>/manifest code/ environment .lease     an artifact; `environment` links to its venv
//!   keys/<build key>                           what a build key led to (JSON, version 1)
//!   keys/env-<environment key>                 the same for an environment
//!   .stage-<random>/  .new-<random>/           being built; removed by whoever finds them unlocked
//!   .trash-<random>/                           being removed
//! ```
//!
//! An artifact appears by one rename after everything in it is on disk, and a key is written after
//! what it names: a key that can be read names something whole, or something retention has removed
//! since, which is the same as no key. Nothing in an artifact is writable, by anybody, and no file
//! of it shares its content with a file elsewhere (copies, never hard links). `.lease` is held
//! locked, shared, by every process of a release (`flock`); it is no part of the manifest.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use disk::{DiskError, PathContext};
use home::Home;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::{MAX_MANIFEST_BYTES, Manifest, ManifestError};
use crate::retention::TRASH_PREFIX;
use crate::stage;
use crate::verify::{self, Difference};

/// The version of the files below `keys/`.
const KEY_FILE_VERSION: u32 = 1;
/// Largest key file; one is some hundred bytes.
const MAX_KEY_BYTES: u64 = 64 * 1024;

/// A built, immutable tree. Serialized into release records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Digest of its manifest.
    pub id: Digest,
    /// The app it belongs to.
    pub app: String,
    /// The build key that led to it.
    pub build_key: Digest,
    /// The source it was built from, for people: `8c1f2e9 +2 uncommitted`.
    pub source: String,
    /// `artifacts/<app>/<id>`.
    pub directory: PathBuf,
    /// Where the code is: the working directory of its services.
    pub code_directory: PathBuf,
    /// Its environment layer, if it has one.
    pub environment: Option<EnvironmentLayer>,
    /// The interpreter its services run with; `None` when nothing in it is Python.
    pub python: Option<PathBuf>,
    /// The file that its processes hold locked.
    pub lease: PathBuf,
    /// Length of its files, the environment's included.
    pub size_bytes: u64,
}

/// An environment on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentLayer {
    /// Digest of its manifest.
    pub id: Digest,
    /// The environment key that led to it.
    pub key: Digest,
    /// `artifacts/<app>/env-<id>`.
    pub directory: PathBuf,
    /// The virtual environment itself: `VIRTUAL_ENV`.
    pub prefix: PathBuf,
    /// What comes first in PATH.
    pub bin_directory: PathBuf,
    /// Its interpreter.
    pub python: PathBuf,
    /// Whether its `var` leads to `env-var` in the app's data directory.
    pub has_var: bool,
    /// Length of its files.
    pub size_bytes: u64,
}

/// Why an artifact cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Its manifest is not one.
    #[error("`{}` is damaged", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: ManifestError,
    },
    /// Its manifest is another one's.
    #[error("`{}` has another content than its name says", .0.display())]
    WrongId(PathBuf),
    /// Its files are not what the manifest says.
    #[error("`{}` was changed after it was built: {}", directory.display(), differences_text(differences))]
    Changed {
        /// The tree.
        directory: PathBuf,
        /// The first of them.
        differences: Vec<Difference>,
    },
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

fn differences_text(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What a key file of an artifact says.
#[derive(Debug, Serialize, Deserialize)]
struct ArtifactRecord {
    version: u32,
    id: Digest,
    source: String,
    environment_key: Option<Digest>,
    plain_python: Option<PathBuf>,
    code_bytes: u64,
}

/// What a key file of an environment says.
#[derive(Debug, Serialize, Deserialize)]
struct EnvironmentRecord {
    version: u32,
    id: Digest,
    has_var: bool,
    size_bytes: u64,
}

/// The artifacts of one app.
#[derive(Debug, Clone)]
pub struct Artifacts {
    directory: PathBuf,
    app: String,
}

impl Artifacts {
    /// Returns those of `app` below `home`. `app` is a checked name.
    pub fn of(home: &Home, app: &str) -> Self {
        Self { directory: home.app_artifacts(app), app: app.to_owned() }
    }

    /// Returns `artifacts/<app>`.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes the directories that hold them.
    pub(crate) fn create(&self) -> Result<(), DiskError> {
        disk::create_directories(&self.directory, 0o711)?;
        disk::create_directory(&self.keys(), 0o700)
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.directory.join("keys")
    }

    pub(crate) fn path_of(&self, id: &Digest) -> PathBuf {
        self.directory.join(id.short())
    }

    pub(crate) fn environment_path_of(&self, id: &Digest) -> PathBuf {
        self.directory.join(environment_name(id))
    }

    /// Returns the artifact that `build_key` led to, if it is still there.
    pub fn lookup(&self, build_key: &Digest) -> Option<Artifact> {
        let record: ArtifactRecord = self.read_key(&build_key.to_string())?;
        let environment = match record.environment_key {
            Some(key) => Some(self.lookup_environment(&key)?),
            None => None,
        };
        let directory = self.path_of(&record.id);
        has_manifest(&directory, &record.id).then(|| {
            self.artifact(
                *build_key,
                record.id,
                environment,
                Built {
                    source: record.source,
                    plain_python: record.plain_python,
                    code_bytes: record.code_bytes,
                },
            )
        })
    }

    /// Returns the environment that `key` led to, if it is still there.
    pub fn lookup_environment(&self, key: &Digest) -> Option<EnvironmentLayer> {
        let record: EnvironmentRecord = self.read_key(&environment_name_full(key))?;
        let directory = self.environment_path_of(&record.id);
        has_manifest(&directory, &record.id)
            .then(|| self.environment(*key, record.id, record.has_var, record.size_bytes))
    }

    pub(crate) fn environment(
        &self,
        key: Digest,
        id: Digest,
        has_var: bool,
        size_bytes: u64,
    ) -> EnvironmentLayer {
        let directory = self.environment_path_of(&id);
        let prefix = directory.join(VENV);
        let bin_directory = prefix.join("bin");
        let python = bin_directory.join("python");
        EnvironmentLayer { id, key, directory, prefix, bin_directory, python, has_var, size_bytes }
    }

    pub(crate) fn artifact(
        &self,
        build_key: Digest,
        id: Digest,
        environment: Option<EnvironmentLayer>,
        built: Built,
    ) -> Artifact {
        let directory = self.path_of(&id);
        let environment_bytes = environment.as_ref().map_or(0, |layer| layer.size_bytes);
        let python = match &environment {
            Some(layer) => Some(layer.python.clone()),
            None => built.plain_python,
        };
        Artifact {
            id,
            app: self.app.clone(),
            build_key,
            source: built.source,
            code_directory: directory.join(CODE),
            lease: directory.join(LEASE),
            directory,
            environment,
            python,
            size_bytes: built.code_bytes + environment_bytes,
        }
    }

    /// Writes down what a build key led to.
    pub(crate) fn remember(&self, artifact: &Artifact, built: &Built) -> Result<(), DiskError> {
        let record = ArtifactRecord {
            version: KEY_FILE_VERSION,
            id: artifact.id,
            source: built.source.clone(),
            environment_key: artifact.environment.as_ref().map(|layer| layer.key),
            plain_python: built.plain_python.clone(),
            code_bytes: built.code_bytes,
        };
        self.write_key(&artifact.build_key.to_string(), &record)
    }

    /// Writes down what an environment key led to.
    pub(crate) fn remember_environment(&self, layer: &EnvironmentLayer) -> Result<(), DiskError> {
        let record = EnvironmentRecord {
            version: KEY_FILE_VERSION,
            id: layer.id,
            has_var: layer.has_var,
            size_bytes: layer.size_bytes,
        };
        self.write_key(&environment_name_full(&layer.key), &record)
    }

    /// Returns the sizes of the last code and the last environment that were built.
    pub(crate) fn last_sizes(&self) -> (Option<u64>, Option<u64>) {
        let Ok(entries) = fs::read_dir(self.keys()) else { return (None, None) };
        let mut keys: Vec<(SystemTime, String)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                Some((
                    entry.metadata().ok()?.modified().ok()?,
                    entry.file_name().into_string().ok()?,
                ))
            })
            .collect();
        keys.sort_by(|a, b| b.cmp(a));
        let (environments, codes): (Vec<_>, Vec<_>) =
            keys.iter().partition(|(_, name)| name.starts_with(ENVIRONMENT_PREFIX));
        let code = codes.iter().find_map(|(_, name)| self.read_key::<ArtifactRecord>(name));
        let environment =
            environments.iter().find_map(|(_, name)| self.read_key::<EnvironmentRecord>(name));
        (code.map(|record| record.code_bytes), environment.map(|record| record.size_bytes))
    }

    fn write_key(&self, name: &str, record: &impl Serialize) -> Result<(), DiskError> {
        let path = self.keys().join(name);
        let bytes = serde_json::to_vec(record)
            .map_err(|error| DiskError::new("write", &path, std::io::Error::other(error)))?;
        disk::write_atomically(&path, &bytes, 0o600)
    }

    /// An unreadable key, or one of a later version, is no key: it is only built again.
    fn read_key<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Option<T> {
        let bytes = disk::read_limited(&self.keys().join(name), MAX_KEY_BYTES).ok()?;
        let value: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        if value.get("version")?.as_u64()? != u64::from(KEY_FILE_VERSION) {
            return None;
        }
        serde_json::from_value(value).ok()
    }
}

/// What a build knows of an artifact beside its id.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    pub(crate) source: String,
    pub(crate) plain_python: Option<PathBuf>,
    pub(crate) code_bytes: u64,
}

pub(crate) const CODE: &str = "code";
pub(crate) const VENV: &str = "venv";
pub(crate) const MANIFEST: &str = "manifest";
pub(crate) const LEASE: &str = ".lease";
/// The link from an artifact to its environment, for people.
pub(crate) const ENVIRONMENT_LINK: &str = "environment";
/// How an environment's directory and key begin.
pub(crate) const ENVIRONMENT_PREFIX: &str = "env-";

fn environment_name(id: &Digest) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", id.short())
}

fn environment_name_full(key: &Digest) -> String {
    format!("{ENVIRONMENT_PREFIX}{key}")
}

/// Returns whether the directory holds exactly the manifest that the id is the digest of.
fn has_manifest(directory: &Path, id: &Digest) -> bool {
    disk::read_limited(&directory.join(MANIFEST), MAX_MANIFEST_BYTES)
        .is_ok_and(|bytes| Digest::of(&bytes) == *id)
}

pub(crate) fn read_manifest(directory: &Path) -> Result<Manifest, ArtifactError> {
    let path = directory.join(MANIFEST);
    let bytes = disk::read_limited(&path, MAX_MANIFEST_BYTES)?;
    Manifest::parse(&bytes).map_err(|source| ArtifactError::Manifest { path, source })
}

impl Artifact {
    /// Reads its manifest.
    pub fn manifest(&self) -> Result<Manifest, ArtifactError> {
        read_manifest(&self.directory)
    }

    /// Reads every file of both layers and compares it with the manifests. Takes as long as
    /// reading the artifact takes.
    pub fn verify(&self) -> Result<(), ArtifactError> {
        let mut trees = vec![(&self.directory, CODE, self.id)];
        if let Some(layer) = &self.environment {
            trees.push((&layer.directory, VENV, layer.id));
        }
        for (directory, tree, id) in trees {
            let manifest = read_manifest(directory)?;
            if manifest.id() != id {
                return Err(ArtifactError::WrongId(directory.clone()));
            }
            let differences = verify::compare(&manifest, &directory.join(tree))?;
            if !differences.is_empty() {
                return Err(ArtifactError::Changed { directory: directory.clone(), differences });
            }
        }
        Ok(())
    }
}

/// Points `apps/<app>/current` at the artifact, in one step. For people only: nothing is started
/// through it.
pub fn switch_current(home: &Home, artifact: &Artifact) -> Result<(), DiskError> {
    let link = home.current(&artifact.app);
    disk::create_directories(&home.app(&artifact.app), 0o711)?;
    let target = Path::new("../../artifacts").join(&artifact.app).join(artifact.id.short());
    if fs::read_link(&link).is_ok_and(|old| old == target) {
        return Ok(());
    }
    disk::replace_symlink(&link, &target)
}

/// Makes a finished tree durable and gives it its name. A tree of that name is the same tree,
/// unless it was damaged since: then it makes way and is swept later.
pub(crate) fn activate(new: &Path, name: &Path, id: &Digest) -> Result<(), DiskError> {
    if has_manifest(name, id) {
        return disk::remove_tree(new);
    }
    if name.exists() {
        let trash = name.with_file_name(format!("{TRASH_PREFIX}{}", stage::random_name()?));
        fs::rename(name, &trash).context("rename", name)?;
    }
    disk::sync_tree(new)?;
    fs::rename(new, name).context("rename", name)?;
    disk::sync_directory(name.parent().unwrap_or(Path::new("/")))
}
