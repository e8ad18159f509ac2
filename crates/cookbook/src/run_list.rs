//! The effective run list: roles expanded, each recipe at its first place.
//!
//! Depth first, as in Chef: where `role[x]` stands, its items stand. A role's own attributes come above
//! those of the roles in it. `role[x]` is the group `x` of the nodes file, by its name or by the inner
//! name of its role, else `roles/x.json`. Roles that include each other are an error: what runs would
//! depend on where one begins.

use std::path::{Path, PathBuf};

use nodes::repository::{LoadError, read_text};
use nodes::role::role_path;
use nodes::{DEFAULT_RECIPE, Item, MAX_FILE_BYTES, NodesFile, Origin, ParseErrors, Value};
use report::{Excerpt, Failure, Kind, SourceText, did_you_mean};
use resource::RecipeName;

use crate::attributes::{Layer, Level};

/// Most recipes of one run list.
pub const MAX_RECIPES: usize = 1000;

/// Deepest nesting of roles.
const MAX_DEPTH: usize = 32;

/// An item of a run list and where it was written, if it was in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// What runs.
    pub item: Item,
    /// Where it stands; absent on the command line.
    pub place: Option<Excerpt>,
}

/// A recipe of the effective run list.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Which.
    pub recipe: RecipeName,
    /// The version of its cookbook that is asked for.
    pub version: Option<String>,
    /// Where it was written.
    pub place: Option<Excerpt>,
}

/// What runs, and with which roles' attributes.
#[derive(Debug, Clone, Default)]
pub struct Effective {
    /// The recipes, in order.
    pub steps: Vec<Step>,
    /// The attributes of the roles, the lowest first.
    pub layers: Vec<Layer>,
}

/// Where roles are found.
#[derive(Debug, Clone, Copy)]
pub struct Roles<'a> {
    /// The nodes file, if there is one.
    pub nodes: Option<&'a NodesFile>,
    /// The repository.
    pub directory: &'a Path,
}

/// Why a run list cannot be expanded.
#[derive(Debug, thiserror::Error)]
pub enum RunListError {
    /// No group and no file.
    #[error("no role `{name}`: neither a group nor a file of `roles/` is called so")]
    UnknownRole {
        /// Its name.
        name: String,
        /// Where it is named.
        place: Option<Box<Excerpt>>,
        /// What was probably meant.
        meant: Option<String>,
    },
    /// Roles include each other.
    #[error("roles include each other: {}", .0.join(" → "))]
    Circle(Vec<String>),
    /// Too many.
    #[error("the run list has more than {MAX_RECIPES} recipes")]
    TooLong,
    /// Nested too deeply.
    #[error("roles nest deeper than {MAX_DEPTH}")]
    TooDeep,
    /// A role's file cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl From<RunListError> for Failure {
    fn from(error: RunListError) -> Self {
        let failure = Failure::from_error(Kind::Usage, &error);
        match error {
            RunListError::Load(error) => error.into(),
            RunListError::UnknownRole { place, meant, .. } => {
                let failure = match place {
                    Some(place) => failure.excerpt(*place),
                    None => failure,
                };
                match meant {
                    Some(meant) => failure.hint(format!("did you mean `role[{meant}]`?")),
                    None => failure.hint("skep group:list"),
                }
            }
            _ => failure,
        }
    }
}

impl Effective {
    /// Expands a run list.
    pub fn expand(list: &[Written], roles: Roles<'_>) -> Result<Self, RunListError> {
        let mut expansion = Expansion { roles, effective: Self::default(), within: Vec::new() };
        for written in list {
            expansion.item(written)?;
        }
        Ok(expansion.effective)
    }

    /// Expands what a group runs, with its own attributes.
    pub fn of_group(group: &str, roles: Roles<'_>) -> Result<Self, RunListError> {
        let item = Item::Role { name: group.to_owned() };
        Self::expand(&[Written { item, place: None }], roles)
    }
}

struct Expansion<'a> {
    roles: Roles<'a>,
    effective: Effective,
    within: Vec<String>,
}

/// A role as it is found, whatever it comes from.
struct Found {
    name: String,
    list: Vec<Written>,
    default_attributes: Option<Value>,
    override_attributes: Option<Value>,
}

impl Expansion<'_> {
    fn item(&mut self, written: &Written) -> Result<(), RunListError> {
        match &written.item {
            Item::Role { name } => self.role(name, written.place.as_ref()),
            Item::Recipe { cookbook, recipe, version } => {
                let name = recipe.as_deref().unwrap_or(DEFAULT_RECIPE);
                let recipe = RecipeName::new(cookbook, name);
                let steps = &mut self.effective.steps;
                if steps.iter().any(|step| step.recipe == recipe) {
                    return Ok(());
                }
                if steps.len() >= MAX_RECIPES {
                    return Err(RunListError::TooLong);
                }
                let (version, place) = (version.clone(), written.place.clone());
                steps.push(Step { recipe, version, place });
                Ok(())
            }
        }
    }

    fn role(&mut self, name: &str, place: Option<&Excerpt>) -> Result<(), RunListError> {
        let found = self.find(name, place)?;
        if let Some(from) = self.within.iter().position(|within| *within == found.name) {
            let mut circle = self.within.split_off(from);
            circle.push(found.name);
            return Err(RunListError::Circle(circle));
        }
        if self.within.len() >= MAX_DEPTH {
            return Err(RunListError::TooDeep);
        }
        self.within.push(found.name.clone());
        for written in &found.list {
            self.item(written)?;
        }
        self.within.pop();
        let attributes = [
            (Level::Role, found.default_attributes),
            (Level::RoleOverride, found.override_attributes),
        ];
        for (level, value) in attributes {
            let giver = found.name.clone();
            self.effective.layers.extend(value.map(|value| Layer { level, giver, value }));
        }
        Ok(())
    }

    fn find(&self, name: &str, place: Option<&Excerpt>) -> Result<Found, RunListError> {
        if let Some(nodes) = self.roles.nodes
            && let Some(group) = nodes.group_of_role(name)
            && let Ok(group) = nodes.group(group)
        {
            let steps = group.run_list();
            let list = steps.into_iter().map(|step| Written {
                place: Some(nodes.excerpt(&step.origin, "")),
                item: step.item,
            });
            return Ok(Found {
                name: group.name.clone(),
                list: list.collect(),
                default_attributes: group.keys.get("default_attributes").cloned(),
                override_attributes: group.keys.get("override_attributes").cloned(),
            });
        }
        let path = role_path(name);
        let full: PathBuf = self.roles.directory.join(&path);
        if let Some(text) = read_text(&full, MAX_FILE_BYTES)? {
            return Ok(of_file(name, &path, &text).map_err(LoadError::from)?);
        }
        let known = self.roles.nodes.into_iter().flat_map(NodesFile::names);
        Err(RunListError::UnknownRole {
            name: name.to_owned(),
            place: place.cloned().map(Box::new),
            meant: did_you_mean(name, known).map(str::to_owned),
        })
    }
}

/// Reads a role that Skep did not make.
fn of_file(name: &str, path: &str, text: &str) -> Result<Found, ParseErrors> {
    // Its rules are those of roles; the places are found by reading it once more.
    nodes::parse_role(path, text)?;
    let root = nodes::read_value(path, text, name)?;
    let source = SourceText::new(path, text);
    Ok(Found {
        name: name.to_owned(),
        list: root.get("run_list").map(|list| written(list, &source)).unwrap_or_default(),
        default_attributes: root.get("default_attributes").cloned(),
        override_attributes: root.get("override_attributes").cloned(),
    })
}

/// Returns the items of a list; what is none was refused before.
pub(crate) fn written(list: &Value, source: &SourceText) -> Vec<Written> {
    let excerpt = |origin: &Origin| source.excerpt(origin.span.clone(), "");
    let items = list.items().iter().filter_map(|value| {
        let item = value.as_text()?.parse().ok()?;
        Some(Written { item, place: Some(excerpt(&value.origin)) })
    });
    items.collect()
}
