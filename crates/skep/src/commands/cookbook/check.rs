use cookbook::{DataBags, Repository, Resolution};
use report::{Failure, Kind, did_you_mean};
use resource::RecipeName;

use crate::configure::alone;
use crate::context::{Context, home};
use crate::error::{Error, Outcome, Result, usage};
use crate::render::quantity::count;

/// Check manifests, attributes, recipes, templates and data bags without a machine
///
/// Each recipe is evaluated by itself with the attributes of its own cookbook and of what that needs. Exit code
/// 64 if anything is wrong.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The cookbook [default: every one of the repository]
    cookbook: Option<String>,
}

pub(crate) fn run(Arguments { cookbook }: Arguments, context: &Context) -> Result<Outcome> {
    let home = home()?;
    let repository = Repository::open(&context.directory).map_err(Failure::from)?;
    let resolution = repository.resolve(&home.fetched_cookbooks()).map_err(Failure::from)?;
    let known = match &cookbook {
        Some(name) => resolution.cookbooks.contains_key(name),
        None => !resolution.cookbooks.is_empty(),
    };
    if !known {
        let Some(name) = &cookbook else {
            let failure = usage("there is no cookbook here");
            return Err(failure.hint("skep cookbook:new NAME").into());
        };
        let failure = usage(format!("there is no cookbook `{name}`"));
        let names = resolution.cookbooks.keys().map(String::as_str);
        return Err(match did_you_mean(name, names) {
            Some(meant) => failure.hint(format!("did you mean `{meant}`?")).into(),
            None => failure.hint(format!("skep cookbook:new {name}")).into(),
        });
    }
    let mut recipes = 0;
    let mut wrong = 0;
    let mut tell = |result: Result<()>| match result {
        Err(Error::Failure(failure)) => {
            wrong += 1;
            context.output.failure(&failure);
            Ok(())
        }
        other => other,
    };
    let names =
        resolution.cookbooks.keys().filter(|name| cookbook.as_ref().is_none_or(|c| c == *name));
    for name in names {
        for recipe in
            resolution.recipes(name).map_err(cookbook::ResolveError::from).map_err(Failure::from)?
        {
            recipes += 1;
            tell(check(&RecipeName::new(name, recipe), &repository, &resolution, context))?;
        }
    }
    if cookbook.is_none() {
        let bags = DataBags::of(&context.directory, home.key());
        for bag in bags.names() {
            for id in bags.ids(&bag) {
                tell(bags.check(&bag, &id).map_err(|error| Failure::from(error).into()))?;
            }
        }
    }
    if wrong > 0 {
        let message = format!("{} wrong", count(wrong, "thing is", "things are"));
        return Err(Failure::new(Kind::Usage, message).into());
    }
    context.output.say(&format!("{}: nothing wrong", count(recipes, "recipe", "recipes")));
    Ok(Outcome::Done)
}

fn check(
    recipe: &RecipeName,
    repository: &Repository,
    resolution: &Resolution,
    context: &Context,
) -> Result<()> {
    let list = alone(recipe, repository, resolution, context)?;
    converge::check(&list).map_err(|error| Failure::from_error(Kind::Usage, &error))?;
    Ok(())
}
