//! `cookbook.toml`: what a cookbook is and what it needs.
//!
//! ```toml
//! name = "nginx"
//! version = "1.2.0"
//! description = "A web server in front of apps"
//!
//! [dependencies]
//! base = "~> 1.0"
//! ```
//!
//! This is the only place where a dependency is written down.

use std::collections::BTreeMap;

use nodes::{Origin, ParseErrors, Value};
use report::{Excerpt, SourceText};

use crate::mistakes::Mistakes;
use crate::name;
use crate::version::{Requirement, Version};

/// The file's name.
pub const MANIFEST: &str = "cookbook.toml";

/// Most dependencies of one cookbook: more is a generated file that went wrong.
const MAX_DEPENDENCIES: usize = 200;

/// A cookbook's manifest without mistakes.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Its name; that of its directory.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// What it is for.
    pub description: String,
    /// What it needs, by name.
    pub dependencies: BTreeMap<String, Dependency>,
    source: SourceText,
}

/// What a cookbook asks of another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependency {
    /// Which versions will do.
    pub requirement: Requirement,
    /// Where it is written.
    pub origin: Origin,
}

impl Manifest {
    /// Returns the line of a dependency, underlined.
    pub fn excerpt(&self, dependency: &Dependency, label: impl Into<String>) -> Excerpt {
        self.source.excerpt(dependency.origin.span.clone(), label)
    }
}

/// Reads the text of a `cookbook.toml`; `file` is what messages call it.
pub fn parse_manifest(file: &str, text: &str) -> Result<Manifest, ParseErrors> {
    let (mut mistakes, root) = Mistakes::read(file, text, file)?;
    let manifest = read(&mut mistakes, &root);
    mistakes.into_result(manifest)
}

fn read(mistakes: &mut Mistakes, root: &Value) -> Option<Manifest> {
    const WHAT: &str = "a cookbook";
    let entries = mistakes.dict(WHAT, root, &["name", "version", "description", "dependencies"])?;
    let name = mistakes.required(WHAT, root, "name").and_then(|(name, value)| {
        let Some(why) = name::cookbook_refusal(name) else { return Some(name.to_owned()) };
        mistakes.add(value.origin.span.clone(), why);
        None
    });
    let version = mistakes.required(WHAT, root, "version").and_then(|(text, value)| {
        text.parse().map_err(|error| add_within(mistakes, value, error)).ok()
    });
    let description = mistakes.text(entries, "description");
    let description = description.map(|(text, _)| text.to_owned()).unwrap_or_default();
    let mut dependencies = BTreeMap::new();
    if let Some(entry) = entries.get("dependencies") {
        let found = mistakes.any_dict("names of cookbooks", &entry.value)?;
        if found.len() > MAX_DEPENDENCIES {
            let label = format!("more than {MAX_DEPENDENCIES} dependencies");
            mistakes.add(entry.key.clone(), label);
            return None;
        }
        for (dependency, entry) in found {
            if let Some(why) = name::cookbook_refusal(dependency) {
                mistakes.add(entry.key.clone(), why);
            } else if Some(dependency) == name.as_ref() {
                mistakes.add(entry.key.clone(), "a cookbook cannot need itself");
            } else if let Some((text, value)) = mistakes.text(found, dependency) {
                match text.parse() {
                    Err(error) => add_within(mistakes, value, error),
                    Ok(requirement) => {
                        let origin = value.origin.clone();
                        dependencies.insert(dependency.clone(), Dependency { requirement, origin });
                    }
                }
            }
        }
    }
    let source = mistakes.source();
    Some(Manifest { name: name?, version: version?, description, dependencies, source })
}

/// Says what is wrong with a version, under its characters: behind the quote that it begins with.
fn add_within(mistakes: &mut Mistakes, value: &Value, error: crate::version::VersionError) {
    let start = value.origin.span.start + 1;
    let end = (start + error.at.end).min(value.origin.span.end);
    mistakes.add((start + error.at.start).min(end)..end, error.message);
}
