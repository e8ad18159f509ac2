//! What is asked for: which run list, in which stage, with which attributes.

use std::path::{Path, PathBuf};

use cookbook::{Dna, Effective, Layer, Level, Roles, Written, parse_dna, parse_node_attributes};
use nodes::repository::{self, LoadError, read_text};
use nodes::{Item, MAX_FILE_BYTES, NodesFile};
use report::{Failure, Kind, did_you_mean};

use crate::context::Context;
use crate::error::{Error, Result, usage};

/// What every command that evaluates recipes takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// The group that this machine belongs to [default: the only one of the nodes file]
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Run what a file says that chef-solo would take with -j
    #[arg(long, value_name = "FILE", conflicts_with = "group")]
    dna: Option<PathBuf>,
    /// Run this recipe and nothing else; may be given more than once
    #[arg(long = "recipe", value_name = "COOKBOOK::NAME", conflicts_with = "phase")]
    recipes: Vec<String>,
    /// Run the recipes of one phase only: those called `deploy` or ending with `-deploy`, or all others
    #[arg(long, value_enum)]
    phase: Option<Phase>,
    /// The stage whose attributes apply
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    /// Attributes of this machine, JSON or TOML
    #[arg(long, value_name = "FILE")]
    node_attributes: Option<PathBuf>,
    /// Fail if cookbooks.lock is not what the cookbooks are now
    #[arg(long)]
    pub(crate) locked: bool,
    /// The age key that opens data bags [default: the installation's own]
    #[arg(long, value_name = "FILE")]
    pub(crate) data_key: Option<PathBuf>,
}

/// A part of a run list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Phase {
    /// What is meant to be run once: packages, files, services.
    Configure,
    /// What is run for every new version of an app.
    Deploy,
}

impl Phase {
    /// Returns the phase that a recipe of this name belongs to.
    pub(crate) fn of(recipe: &str) -> Self {
        match recipe == "deploy" || recipe.ends_with("-deploy") || recipe.ends_with("_deploy") {
            true => Self::Deploy,
            false => Self::Configure,
        }
    }
}

/// What is asked for, read.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// What runs, with the attributes of its roles.
    pub(crate) effective: Effective,
    /// Attributes above those of roles.
    pub(crate) layers: Vec<Layer>,
    /// Whether it is everything that this machine is to be.
    pub(crate) whole: bool,
}

impl Target {
    /// Reads what is asked for.
    pub(crate) fn read(&self, context: &Context) -> Result<Wanted> {
        let directory = &context.directory;
        let nodes = match repository::load(directory) {
            Ok(nodes) => Some(nodes),
            Err(LoadError::Missing { .. }) if self.dna.is_some() || !self.recipes.is_empty() => {
                None
            }
            Err(error) => return Err(Failure::from(error).into()),
        };
        let roles = Roles { nodes: nodes.as_ref(), directory };
        let mut wanted = self.run_list(context, roles)?;
        if !self.recipes.is_empty() {
            wanted.effective.steps = self.named(roles)?.steps;
            wanted.whole = false;
        }
        if let Some(phase) = self.phase {
            wanted.effective.steps.retain(|step| Phase::of(&step.recipe.recipe) == phase);
            wanted.whole = false;
        }
        if let Some(path) = &self.node_attributes {
            let (file, text) = read(context, path)?;
            let layer = parse_node_attributes(&file, &text).map_err(Failure::from)?;
            wanted.layers.push(layer);
        }
        Ok(wanted)
    }

    /// Reads what runs where no recipe is named.
    fn run_list(&self, context: &Context, roles: Roles<'_>) -> Result<Wanted> {
        if let Some(path) = &self.dna {
            let (file, text) = read(context, path)?;
            let Dna { run_list, stage, attributes } =
                parse_dna(&file, &text).map_err(Failure::from)?;
            let effective = Effective::expand(&run_list, roles).map_err(Failure::from)?;
            let mut layers = self.stage(roles.nodes, stage.as_deref(), context)?;
            layers.push(attributes);
            return Ok(Wanted { effective, layers, whole: true });
        }
        let layers = self.stage(roles.nodes, None, context)?;
        let effective = match (self.group(roles.nodes), self.recipes.is_empty()) {
            (Ok(group), _) => Effective::of_group(group, roles).map_err(Failure::from)?,
            // Recipes alone have no role's attributes.
            (Err(_), false) if self.group.is_none() => Effective::default(),
            (Err(error), _) => return Err(error),
        };
        Ok(Wanted { effective, layers, whole: true })
    }

    fn group<'n>(&'n self, nodes: Option<&'n NodesFile>) -> Result<&'n str> {
        let Some(nodes) = nodes else { return Err(usage("there is no nodes file").into()) };
        if let Some(group) = &self.group {
            nodes.group(group).map_err(Failure::from)?;
            return Ok(group);
        }
        let names: Vec<&str> = nodes.names().collect();
        match names.as_slice() {
            [only] => Ok(only),
            [] => Err(usage(format!("{} has no group yet", nodes.file)).into()),
            several => Err(usage("which group does this machine belong to?")
                .hint(format!("--group GROUP    one of {}", several.join(", ")))
                .into()),
        }
    }

    fn named(&self, roles: Roles<'_>) -> Result<Effective> {
        let items = self.recipes.iter().map(|text| match text.parse::<Item>() {
            Ok(item @ Item::Recipe { .. }) => Ok(Written { item, place: None }),
            Ok(Item::Role { .. }) => {
                Err(usage(format!("`{text}` is no recipe")).hint("--group GROUP    runs a role"))
            }
            Err(error) => {
                Err(usage(format!("`{text}` is no recipe: {error}")).hint("write `cookbook::name`"))
            }
        });
        let items: Vec<Written> = items.collect::<Result<_, Failure>>()?;
        Ok(Effective::expand(&items, roles).map_err(Failure::from)?)
    }

    /// Returns the attributes of a stage: the one that is named, else that of the DNA if there is one of
    /// its name.
    fn stage(
        &self,
        nodes: Option<&NodesFile>,
        of_dna: Option<&str>,
        context: &Context,
    ) -> Result<Vec<Layer>> {
        let Some(name) = self.stage.as_deref().or(of_dna) else { return Ok(Vec::new()) };
        let known = nodes.map(|nodes| &nodes.stages);
        let Some(stage) = known.and_then(|stages| stages.get(name)) else {
            if self.stage.is_none() {
                context.output.say(&format!("the nodes file has no stage `{name}`: ignored"));
                return Ok(Vec::new());
            }
            let names = known.into_iter().flat_map(|stages| stages.keys()).map(String::as_str);
            let failure = usage(format!("there is no stage `{name}`"));
            return Err(match did_you_mean(name, names) {
                Some(meant) => failure.hint(format!("did you mean `{meant}`?")).into(),
                None => {
                    failure.hint(format!("stages are `[stages.{name}]` of the nodes file")).into()
                }
            });
        };
        let attributes = [
            (Level::Stage, &stage.default_attributes),
            (Level::StageOverride, &stage.override_attributes),
        ];
        let layers = attributes.into_iter().filter_map(|(level, value)| {
            Some(Layer { level, giver: name.to_owned(), value: value.clone()? })
        });
        Ok(layers.collect())
    }
}

/// Reads a file that was named on the command line; returns what messages call it.
fn read(context: &Context, path: &Path) -> Result<(String, String)> {
    let full = context.resolve(path);
    let file = path.display().to_string();
    match read_text(&full, MAX_FILE_BYTES).map_err(Failure::from)? {
        Some(text) => Ok((file, text)),
        None => Err(Error::from(Failure::new(Kind::Usage, format!("there is no file `{file}`")))),
    }
}
