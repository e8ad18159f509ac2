//! The cookbooks of an infrastructure repository, and which version of which one is meant.
//!
//! Everything that is in `cookbooks/` and `cookbooks.toml` is resolved together, whoever runs it, so that
//! there is one lock. A version that the lock names is kept for as long as it fits; nothing is fetched
//! while everything that the lock names is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use disk::DiskError;
use nodes::MAX_FILE_BYTES;
use nodes::repository::{LoadError, read_text};
use pubgrub::Ranges;

use crate::lock::{LOCK, Lock, parse_lock};
use crate::name;
use crate::resolution::Resolution;
use crate::resolve_error::ResolveError;
use crate::shelf::{Fetching, Shelf};
use crate::solve::{Unsolved, solve};
use crate::sources::{Declared, SOURCES, Source, SourcesFile, parse_sources};
use crate::tree::TreeError;

/// The directory of a repository's own cookbooks.
pub const COOKBOOKS: &str = "cookbooks";

/// Most cookbooks of one repository.
pub(crate) const MAX_COOKBOOKS: usize = 1000;

/// The lock is committed: for everybody to read.
const LOCK_MODE: u32 = 0o644;

/// An infrastructure repository's cookbooks, before anything is chosen.
#[derive(Debug)]
pub struct Repository {
    pub(crate) root: PathBuf,
    own: BTreeSet<String>,
    sources: SourcesFile,
    pub(crate) lock: Option<Lock>,
}

impl Repository {
    /// Reads what there is: names, sources and the lock. Manifests are read when something is resolved.
    pub fn open(root: &Path) -> Result<Self, ResolveError> {
        let sources = match read_text(&root.join(SOURCES), MAX_FILE_BYTES)? {
            Some(text) => parse_sources(&text).map_err(LoadError::from)?,
            None => SourcesFile::default(),
        };
        let lock = match read_text(&root.join(LOCK), MAX_FILE_BYTES)? {
            Some(text) => Some(parse_lock(&text).map_err(LoadError::from)?),
            None => None,
        };
        let own = own_cookbooks(&root.join(COOKBOOKS))?;
        if let Some((name, declared)) = sources.sources.iter().find(|(name, _)| own.contains(*name))
        {
            let place = sources.excerpt(declared, "also here").map(Box::new);
            return Err(ResolveError::Twice { name: name.clone(), place });
        }
        let repository = Self { root: root.to_owned(), own, sources, lock };
        match repository.names().count() > MAX_COOKBOOKS {
            true => Err(ResolveError::TooMany),
            false => Ok(repository),
        }
    }

    /// Returns the names of all cookbooks, sorted, each once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names: BTreeSet<&str> = self
            .own
            .iter()
            .chain(self.sources.sources.keys())
            .chain(self.sources.overrides.keys())
            .map(String::as_str)
            .collect();
        names.into_iter()
    }

    /// Returns the lock as it was read.
    pub fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }

    /// Chooses versions; `cache` is where fetched cookbooks lie.
    pub fn resolve(&self, cache: &Path) -> Result<Resolution, ResolveError> {
        match self.attempt(cache, Fetching::IfMissing) {
            // A newer version may be what fits.
            Err(ResolveError::Conflict(_)) if self.fetches() => {
                self.attempt(cache, Fetching::Always)
            }
            attempted => attempted,
        }
    }

    /// Writes the lock if it is not what a resolution says; returns what is different.
    pub fn write_lock(&self, resolution: &Resolution) -> Result<Vec<String>, ResolveError> {
        let now = resolution.lock()?;
        let differences = self.differences(&now);
        if self.lock.as_ref() != Some(&now) {
            disk::write_atomically(&self.root.join(LOCK), now.to_text().as_bytes(), LOCK_MODE)
                .map_err(TreeError::from)?;
        }
        Ok(differences)
    }

    /// Fails unless the lock is what a resolution says.
    pub fn check_lock(&self, resolution: &Resolution) -> Result<(), ResolveError> {
        let now = resolution.lock()?;
        match self.lock.as_ref() == Some(&now) {
            true => Ok(()),
            false if self.lock.is_none() => {
                Err(ResolveError::Drift(vec![format!("there is no {LOCK}")]))
            }
            false => Err(ResolveError::Drift(self.differences(&now))),
        }
    }

    fn differences(&self, now: &Lock) -> Vec<String> {
        self.lock.as_ref().map(|lock| lock.differences(now)).unwrap_or_default()
    }

    fn fetches(&self) -> bool {
        let declared = self.sources.sources.values().chain(self.sources.overrides.values());
        declared.into_iter().any(|declared| matches!(declared.source, Source::Git(_)))
    }

    pub(crate) fn source(&self, name: &str) -> Option<Source> {
        let declared =
            |of: &BTreeMap<String, Declared>| of.get(name).map(|declared| declared.source.clone());
        declared(&self.sources.overrides)
            .or_else(|| self.own.contains(name).then_some(Source::Own))
            .or_else(|| declared(&self.sources.sources))
    }

    fn attempt(&self, cache: &Path, fetching: Fetching) -> Result<Resolution, ResolveError> {
        let shelf = Shelf::new(self, cache, fetching);
        let mut roots = Vec::new();
        for name in self.names() {
            // What is in a directory has one version: that makes for shorter sentences.
            let set = match self.source(name) {
                Some(Source::Git(_)) | None => Ranges::full(),
                Some(_) => {
                    let versions = shelf.candidates(name)?.into_iter();
                    versions.fold(Ranges::empty(), |set, one| {
                        set.union(&Ranges::singleton(one.version))
                    })
                }
            };
            roots.push((name.to_owned(), set));
        }
        let chosen = solve(&shelf, roots).map_err(|unsolved| match unsolved {
            Unsolved::Conflict(lines) => ResolveError::Conflict(lines),
            Unsolved::Failed(error) => error,
            Unsolved::TooHard => ResolveError::TooHard,
        })?;
        let mut resolution = Resolution::default();
        for (name, version) in chosen {
            let candidate = shelf.candidate(&name, version)?;
            resolution.cookbooks.insert(name.clone(), shelf.resolved(&name, &candidate)?);
        }
        resolution.refuse_circles()?;
        Ok(resolution)
    }
}

/// Returns the names of the directories in `cookbooks/`.
fn own_cookbooks(directory: &Path) -> Result<BTreeSet<String>, TreeError> {
    let failed = |error| TreeError::from(DiskError::new("list", directory, error));
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let directory = entry.file_type().map_err(failed)?.is_dir();
        let name = entry.file_name().into_string();
        // What editors and git leave there is no cookbook.
        if let Some(name) =
            name.ok().filter(|name| directory && name::cookbook_refusal(name).is_none())
        {
            names.insert(name);
        }
    }
    Ok(names)
}
