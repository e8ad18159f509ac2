//! The cookbooks that are meant: each with its files, in an order in which what is needed comes first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::lock::{Lock, Locked};
use crate::manifest::Manifest;
use crate::resolve_error::ResolveError;
use crate::sources::Source;
use crate::tree::{self, TreeError};

/// The directory of a cookbook's recipes.
const RECIPES: &str = "recipes";

/// The cookbooks that are meant.
#[derive(Debug, Clone, Default)]
pub struct Resolution {
    /// By name.
    pub cookbooks: BTreeMap<String, Resolved>,
}

/// One cookbook, chosen.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What it says of itself.
    pub manifest: Arc<Manifest>,
    /// Where it comes from.
    pub source: Source,
    /// Which commit, if it comes from git.
    pub commit: Option<String>,
    /// Where its files are.
    pub directory: PathBuf,
    /// What messages call that directory.
    pub shown: String,
}

impl Resolution {
    /// Returns the lock of these cookbooks: reads all of their files.
    pub fn lock(&self) -> Result<Lock, TreeError> {
        let cookbooks = self.cookbooks.iter().map(|(name, resolved)| {
            let locked = Locked {
                version: resolved.manifest.version,
                source: resolved.source.to_string(),
                commit: resolved.commit.clone(),
                sha256: tree::digest(&resolved.directory)?,
                dependencies: resolved.manifest.dependencies.keys().cloned().collect(),
            };
            Ok((name.clone(), locked))
        });
        Ok(Lock { cookbooks: cookbooks.collect::<Result<_, TreeError>>()? })
    }

    /// Returns what these cookbooks need, themselves included, each behind what it needs.
    pub fn needed<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for name in names {
            self.behind_its_needs(name, &mut seen, &mut order);
        }
        order
    }

    /// Returns the names of a cookbook's recipes, sorted.
    pub fn recipes(&self, name: &str) -> Result<Vec<String>, TreeError> {
        let Some(resolved) = self.cookbooks.get(name) else { return Ok(Vec::new()) };
        let files = tree::files(&resolved.directory, RECIPES)?;
        let names = files.iter().filter_map(|path| {
            let (stem, extension) =
                path.strip_prefix(RECIPES)?.strip_prefix('/')?.rsplit_once('.')?;
            matches!(extension, "star" | "toml").then(|| stem.to_owned())
        });
        Ok(names.collect())
    }

    /// Returns the text of a recipe, of which there is one.
    pub(crate) fn text(&self, name: &str, recipe: &str) -> Result<String, TreeError> {
        let Some(resolved) = self.cookbooks.get(name) else { return Ok(String::new()) };
        for extension in ["star", "toml"] {
            let path = format!("{RECIPES}/{recipe}.{extension}");
            if let Some(bytes) = tree::read(&resolved.directory, &path)? {
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        Ok(String::new())
    }

    /// Returns the first sentence of the comment that a recipe begins with.
    pub fn comment(&self, name: &str, recipe: &str) -> Result<String, TreeError> {
        let text = self.text(name, recipe)?;
        let lines = text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
        let comment = lines.collect::<Vec<_>>().join(" ");
        Ok(comment.split_inclusive(". ").next().unwrap_or_default().trim().to_owned())
    }

    fn behind_its_needs(&self, name: &str, seen: &mut BTreeSet<String>, order: &mut Vec<String>) {
        let Some(resolved) = self.cookbooks.get(name) else { return };
        if seen.insert(name.to_owned()) {
            for need in resolved.manifest.dependencies.keys() {
                self.behind_its_needs(need, seen, order);
            }
            order.push(name.to_owned());
        }
    }

    pub(crate) fn refuse_circles(&self) -> Result<(), ResolveError> {
        let mut done = BTreeSet::new();
        for name in self.cookbooks.keys() {
            self.walk(name, &mut Vec::new(), &mut done)?;
        }
        Ok(())
    }

    fn walk(
        &self,
        name: &str,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Result<(), ResolveError> {
        if let Some(from) = way.iter().position(|seen| seen == name) {
            let mut names = way.split_off(from);
            names.push(name.to_owned());
            let places = names.windows(2).filter_map(|pair| {
                let manifest = &self.cookbooks.get(&pair[0])?.manifest;
                Some(manifest.excerpt(manifest.dependencies.get(&pair[1])?, ""))
            });
            return Err(ResolveError::Circle { places: places.collect(), names });
        }
        if done.contains(name) {
            return Ok(());
        }
        way.push(name.to_owned());
        if let Some(resolved) = self.cookbooks.get(name) {
            for need in resolved.manifest.dependencies.keys() {
                self.walk(need, way, done)?;
            }
        }
        way.pop();
        done.insert(name.to_owned());
        Ok(())
    }
}
