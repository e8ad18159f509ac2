//! Everything that a repository's cookbooks can be chosen from, found when it is asked for.
//!
//! What lies in a directory has one version. Of git, the version that is locked is the only one for as
//! long as it will do; then everything is fetched.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use nodes::MAX_FILE_BYTES;
use nodes::repository::{LoadError, read_text};
use pubgrub::Ranges;
use report::did_you_mean;

use crate::git::Mirror;
use crate::lock::Locked;
use crate::manifest::{MANIFEST, Manifest, parse_manifest};
use crate::repository::{COOKBOOKS, Repository};
use crate::resolution::Resolved;
use crate::resolve_error::ResolveError;
use crate::solve::Universe;
use crate::sources::Source;
use crate::version::Version;

/// When git is asked for what is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetching {
    IfMissing,
    Always,
}

/// A version that may be chosen.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) version: Version,
    place: Place,
    /// Known at once, or when it is asked for.
    manifest: Option<Arc<Manifest>>,
}

#[derive(Debug, Clone)]
enum Place {
    Directory { path: PathBuf, shown: String },
    Commit { mirror: Rc<Mirror>, commit: String },
}

/// Everything there is to choose from, found when it is asked for.
pub(crate) struct Shelf<'a> {
    repository: &'a Repository,
    cache: &'a Path,
    fetching: Fetching,
    candidates: RefCell<BTreeMap<String, Vec<Candidate>>>,
}

impl<'a> Shelf<'a> {
    pub(crate) fn new(repository: &'a Repository, cache: &'a Path, fetching: Fetching) -> Self {
        Self { repository, cache, fetching, candidates: RefCell::default() }
    }

    pub(crate) fn candidates(&self, name: &str) -> Result<Vec<Candidate>, ResolveError> {
        if let Some(known) = self.candidates.borrow().get(name) {
            return Ok(known.clone());
        }
        let found = match self.repository.source(name) {
            None => Vec::new(),
            Some(Source::Own) => vec![self.in_directory(name, &format!("{COOKBOOKS}/{name}"))?],
            Some(Source::Path(path)) => vec![self.in_directory(name, &path)?],
            Some(Source::Git(source)) => {
                let mirror = Rc::new(Mirror::of(&source, self.cache, &self.repository.root));
                self.in_git(name, &mirror)?
            }
        };
        self.candidates.borrow_mut().insert(name.to_owned(), found.clone());
        Ok(found)
    }

    fn in_directory(&self, name: &str, shown: &str) -> Result<Candidate, ResolveError> {
        let path = self.repository.root.join(shown);
        let file = format!("{shown}/{MANIFEST}");
        let Some(text) = read_text(&path.join(MANIFEST), MAX_FILE_BYTES)? else {
            let (shown, name) = (shown.to_owned(), name.to_owned());
            return Err(ResolveError::NoManifest { shown, name });
        };
        let manifest = checked(name, &file, &text)?;
        let place = Place::Directory { path, shown: shown.to_owned() };
        Ok(Candidate { version: manifest.version, place, manifest: Some(manifest) })
    }

    fn in_git(&self, name: &str, mirror: &Rc<Mirror>) -> Result<Vec<Candidate>, ResolveError> {
        let source = self.repository.source(name).map(|source| source.to_string());
        let locked = self.repository.lock.as_ref().and_then(|lock| lock.cookbooks.get(name));
        let locked = locked.filter(|locked| Some(&locked.source) == source.as_ref());
        let of_commit = |version: Version, commit: String| Candidate {
            version,
            place: Place::Commit { mirror: mirror.clone(), commit },
            manifest: None,
        };
        if let Some(Locked { version, commit: Some(commit), .. }) = locked
            && self.fetching == Fetching::IfMissing
        {
            if !mirror.has(commit) {
                mirror.fetch()?;
            }
            return Ok(vec![of_commit(*version, commit.clone())]);
        }
        mirror.fetch()?;
        let Some(commit) = mirror.commit()? else {
            let versions = mirror.versions()?.into_iter();
            return Ok(versions.map(|(version, commit)| of_commit(version, commit)).collect());
        };
        let manifest = at_commit(name, mirror, &commit)?;
        let place = Place::Commit { mirror: mirror.clone(), commit };
        Ok(vec![Candidate { version: manifest.version, place, manifest: Some(manifest) }])
    }

    /// Returns a version with its manifest.
    pub(crate) fn candidate(
        &self,
        name: &str,
        version: Version,
    ) -> Result<Candidate, ResolveError> {
        let candidates = self.candidates(name)?;
        let found = candidates.into_iter().find(|candidate| candidate.version == version);
        let Some(mut candidate) = found else {
            return Err(ResolveError::Conflict(vec![format!("there is no {name} {version}")]));
        };
        if let (None, Place::Commit { mirror, commit }) = (&candidate.manifest, &candidate.place) {
            candidate.manifest = Some(at_commit(name, mirror, commit)?);
            if let Some(known) = self.candidates.borrow_mut().get_mut(name) {
                let same = known.iter_mut().find(|known| known.version == version);
                if let Some(known) = same {
                    known.manifest = candidate.manifest.clone();
                }
            }
        }
        Ok(candidate)
    }

    pub(crate) fn resolved(
        &self,
        name: &str,
        candidate: &Candidate,
    ) -> Result<Resolved, ResolveError> {
        let (directory, shown, commit) = match &candidate.place {
            Place::Directory { path, shown } => (path.clone(), shown.clone(), None),
            Place::Commit { mirror, commit } => {
                (mirror.unpacked(commit)?, shown_commit(name, commit), Some(commit.clone()))
            }
        };
        let (Some(manifest), Some(source)) =
            (candidate.manifest.clone(), self.repository.source(name))
        else {
            return Err(ResolveError::NoManifest { shown, name: name.to_owned() });
        };
        Ok(Resolved { manifest, source, commit, directory, shown })
    }
}

fn at_commit(name: &str, mirror: &Mirror, commit: &str) -> Result<Arc<Manifest>, ResolveError> {
    let shown = shown_commit(name, commit);
    match mirror.show(commit, MANIFEST)? {
        Some(text) => checked(name, &format!("{shown}/{MANIFEST}"), &text),
        None => Err(ResolveError::NoManifest { shown, name: name.to_owned() }),
    }
}

fn shown_commit(name: &str, commit: &str) -> String {
    format!("{name}@{}", &commit[..commit.len().min(12)])
}

fn checked(name: &str, file: &str, text: &str) -> Result<Arc<Manifest>, ResolveError> {
    let manifest = parse_manifest(file, text).map_err(LoadError::from)?;
    if manifest.name != name {
        let (file, found, name) = (file.to_owned(), manifest.name, name.to_owned());
        return Err(ResolveError::OtherName { file, found, name });
    }
    Ok(Arc::new(manifest))
}

impl Universe for Shelf<'_> {
    type Error = ResolveError;

    fn versions(&self, name: &str) -> Result<Vec<Version>, ResolveError> {
        let candidates = self.candidates(name)?;
        Ok(candidates.into_iter().map(|candidate| candidate.version).collect())
    }

    fn needs(
        &self,
        name: &str,
        version: Version,
    ) -> Result<Vec<(String, Ranges<Version>)>, ResolveError> {
        let candidate = self.candidate(name, version)?;
        let Some(manifest) = candidate.manifest else { return Ok(Vec::new()) };
        let mut needs = Vec::new();
        for (need, dependency) in &manifest.dependencies {
            if self.repository.source(need).is_none() {
                return Err(ResolveError::Unknown {
                    by: name.to_owned(),
                    name: need.clone(),
                    place: Box::new(manifest.excerpt(dependency, "needed here")),
                    meant: did_you_mean(need, self.repository.names()).map(str::to_owned),
                });
            }
            needs.push((need.clone(), dependency.requirement.ranges.clone()));
        }
        Ok(needs)
    }
}
