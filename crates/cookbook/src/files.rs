//! The files of the cookbooks that a run needs, for whoever evaluates recipes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use nodes::repository::LoadError;
use recipe::{Cause, LookupError, Source, Sources};

use crate::attributes::{Layer, Level};
use crate::mistakes::Mistakes;
use crate::repository::Repository;
use crate::resolution::Resolution;
use crate::tree::{self, TreeError};

/// Where a cookbook's own attributes are; one of them.
const ATTRIBUTES: [&str; 2] = ["attributes/default.toml", "attributes/default.json"];

/// The files of some cookbooks.
#[derive(Debug, Clone)]
pub struct Files {
    /// In the order in which their attributes are merged.
    order: Vec<String>,
    places: BTreeMap<String, (PathBuf, String)>,
    /// Cookbooks that are there and not needed.
    others: BTreeSet<String>,
}

impl Files {
    /// Returns the files of these cookbooks and of what they need.
    pub fn of<'n>(
        repository: &Repository,
        resolution: &Resolution,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Self {
        let order = resolution.needed(names);
        let places = order.iter().filter_map(|name| {
            let resolved = resolution.cookbooks.get(name)?;
            Some((name.clone(), (resolved.directory.clone(), resolved.shown.clone())))
        });
        let places: BTreeMap<_, _> = places.collect();
        let others = repository.names().filter(|name| !places.contains_key(*name));
        Self { others: others.map(str::to_owned).collect(), order, places }
    }

    /// Returns the cookbooks' own attributes, the lowest first.
    pub fn attributes(&self) -> Result<Vec<Layer>, LoadError> {
        let mut layers = Vec::new();
        for name in &self.order {
            layers.extend(self.attributes_of(name)?);
        }
        Ok(layers)
    }

    fn attributes_of(&self, name: &str) -> Result<Option<Layer>, LoadError> {
        let Some((directory, shown)) = self.places.get(name) else { return Ok(None) };
        let mut found = None;
        for path in ATTRIBUTES {
            let full = directory.join(path);
            let file = format!("{shown}/{path}");
            let text = nodes::repository::read_text(&full, nodes::MAX_FILE_BYTES)?;
            let Some(text) = text else { continue };
            if found.is_some() {
                let source = std::io::Error::other("`default.toml` is there too; keep one of them");
                return Err(LoadError::Read { path: full, source });
            }
            let (mut mistakes, value) = Mistakes::read(&file, &text, name)?;
            let fit = mistakes.any_dict("attributes", &value).is_some();
            let layer = Layer { level: Level::Cookbook, giver: name.to_owned(), value };
            found = Some(mistakes.into_result(fit.then_some(layer))?);
        }
        Ok(found)
    }

    fn place(&self, cookbook: &str) -> Result<Option<&(PathBuf, String)>, LookupError> {
        let place = self.places.get(cookbook);
        if place.is_none() && self.others.contains(cookbook) {
            return Err(LookupError {
                cause: Cause::Invalid,
                message: format!(
                    "cookbook `{cookbook}` is there, but no cookbook of the run list needs it"
                ),
                hints: vec![format!(
                    "write `{cookbook} = \"*\"` below `[dependencies]` of the cookbook that uses it"
                )],
            });
        }
        Ok(place)
    }
}

fn failed(error: &TreeError) -> LookupError {
    let cause = match error {
        TreeError::Disk(_) => Cause::Unavailable,
        _ => Cause::Invalid,
    };
    LookupError { cause, message: report::chain(error).join(": "), hints: Vec::new() }
}

impl Sources for Files {
    fn read(&self, cookbook: &str, path: &str) -> Result<Option<Source>, LookupError> {
        let Some((directory, shown)) = self.place(cookbook)? else { return Ok(None) };
        let bytes = tree::read(directory, path).map_err(|error| failed(&error))?;
        Ok(bytes.map(|bytes| Source { name: format!("{shown}/{path}"), bytes: bytes.into() }))
    }

    fn list(&self, cookbook: &str, directory: &str) -> Result<Vec<String>, LookupError> {
        let Some((root, _)) = self.place(cookbook)? else { return Ok(Vec::new()) };
        tree::files(root, directory).map_err(|error| failed(&error))
    }

    fn cookbooks(&self) -> Vec<String> {
        self.places.keys().cloned().collect()
    }
}
