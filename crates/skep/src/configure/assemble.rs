//! From what is asked for to resources in order.

use std::collections::BTreeSet;

use converge::{Ledger, StateDirectory};
use cookbook::{Attributes, DataBags, Files, Repository, Resolution, ResolveError};
use home::Home;
use recipe::{Evaluated, Notice, Request, Sources, evaluate};
use report::{Failure, Kind, did_you_mean};
use resource::{Declaration, ListProblem, RecipeName, ResourceList, Schema};

use super::machine::Machine;
use super::memory;
use super::target::{Target, Wanted};
use crate::context::{Context, home};
use crate::error::{Result, usage};

/// Everything that a plan is made from.
#[derive(Debug)]
pub(crate) struct Assembled {
    /// The resources, in order.
    pub(crate) list: ResourceList,
    /// Whether they are everything that this machine is to be.
    pub(crate) whole: bool,
    /// The `delete-` recipes among theirs; what those declare stands first where it can.
    pub(crate) departing: Vec<RecipeName>,
}

/// The part before recipes are evaluated.
struct Prepared {
    home: Home,
    files: Files,
    attributes: Attributes,
    recipes: Vec<RecipeName>,
    resolution: Resolution,
    whole: bool,
}

/// Evaluates what is asked for. Where that is everything, the `delete-` recipes of those that have left
/// are evaluated too: see [`departed`].
pub(crate) fn assemble(target: &Target, context: &Context) -> Result<Assembled> {
    let prepared = prepare(target, context, &[])?;
    let (whole, ledger) = (prepared.whole, StateDirectory::at(prepared.home.converge()));
    let resolution = prepared.resolution.clone();
    let mut evaluated = evaluate_prepared(prepared, target, context)?;
    let mut departing = Vec::new();
    if whole {
        let ledger = ledger.read().map_err(|error| Failure::from_error(Kind::Failed, &error))?;
        departing = departed(&ledger, &evaluated.recipes, &resolution)?;
        if !departing.is_empty() {
            let prepared = prepare(target, context, &departing)?;
            evaluated = evaluate_prepared(prepared, target, context)?;
            // They stop what runs while its files are still there.
            evaluated.declarations.sort_by_key(|one| !departing.contains(&one.recipe));
        }
    }
    Ok(Assembled { list: list_of(evaluated, context)?, whole, departing })
}

/// Returns the `delete-NAME` recipes of recipes that made something here and are not evaluated any more.
///
/// What such a recipe declares is in force until the recipe that it deletes is back; then it is taken
/// back like everything else that nobody declares.
fn departed(
    ledger: &Ledger,
    evaluated: &[RecipeName],
    resolution: &Resolution,
) -> Result<Vec<RecipeName>> {
    const PREFIX: &str = "delete-";
    let owners: BTreeSet<&RecipeName> = ledger.made().flat_map(|made| &made.owners).collect();
    let mut departed = BTreeSet::new();
    for owner in owners {
        let name = owner.recipe.strip_prefix(PREFIX).unwrap_or(&owner.recipe);
        let delete = RecipeName::new(&owner.cookbook, format!("{PREFIX}{name}"));
        let here = RecipeName::new(&owner.cookbook, name);
        if evaluated.contains(&here) || evaluated.contains(&delete) {
            continue;
        }
        let recipes = resolution.recipes(&owner.cookbook).map_err(ResolveError::from);
        if recipes.map_err(Failure::from)?.contains(&delete.recipe) {
            departed.insert(delete);
        }
    }
    Ok(departed.into_iter().collect())
}

fn evaluate_prepared(
    Prepared { home, files, attributes, recipes, .. }: Prepared,
    target: &Target,
    context: &Context,
) -> Result<Evaluated> {
    let key = target.data_key.as_ref().map_or_else(|| home.key(), |key| context.resolve(key));
    let bags = DataBags::of(&context.directory, key);
    let machine = Machine::new(attributes, bags, home);
    evaluate_all(&recipes, &files, &machine)
}

/// Evaluates one recipe by itself, with the attributes of the cookbooks that it needs.
pub(crate) fn alone(
    recipe: &RecipeName,
    repository: &Repository,
    resolution: &Resolution,
    context: &Context,
) -> Result<ResourceList> {
    let home = home()?;
    let files = Files::of(repository, resolution, [recipe.cookbook.as_str()]);
    let attributes = Attributes::new(files.attributes().map_err(Failure::from)?);
    let bags = DataBags::of(&context.directory, home.key());
    let machine = Machine::new(attributes, bags, home);
    list_of(evaluate_all(std::slice::from_ref(recipe), &files, &machine)?, context)
}

/// Evaluates other files with what the recipes of a target see: the checks of a kitchen.
pub(crate) fn evaluate_beside(
    target: &Target,
    files: &[RecipeName],
    schemas: &[&'static Schema],
    sources: &dyn Sources,
    context: &Context,
) -> Result<Vec<Declaration>> {
    let Prepared { home, attributes, .. } = prepare(target, context, &[])?;
    let key = target.data_key.as_ref().map_or_else(|| home.key(), |key| context.resolve(key));
    let machine = Machine::new(attributes, DataBags::of(&context.directory, key), home);
    let request =
        Request { recipes: files, schemas, sources, node: &machine, cancelled: &|| false };
    let evaluated = memory::bounded(|| evaluate(&request)).map_err(Failure::from)?;
    Ok(evaluated.declarations)
}

fn evaluate_all(recipes: &[RecipeName], files: &Files, machine: &Machine) -> Result<Evaluated> {
    let schemas: Vec<_> = converge::kinds::all().iter().map(|kind| kind.schema).collect();
    let evaluated = memory::bounded(|| {
        evaluate(&Request {
            recipes,
            schemas: &schemas,
            sources: files,
            node: machine,
            // Nothing was changed yet: an interrupt simply ends this process.
            cancelled: &|| false,
        })
    });
    Ok(evaluated.map_err(Failure::from)?)
}

/// Says what recipes printed, and puts what they declared in order.
fn list_of(evaluated: Evaluated, context: &Context) -> Result<ResourceList> {
    for Notice { text, place } in &evaluated.notices {
        let place = place.as_ref().map(|place| format!("{}:{}: ", place.file, place.line));
        let text = crate::render::untrusted::visible(text);
        context.output.say(&format!("{}{text}", place.unwrap_or_default()));
    }
    let list = ResourceList::new(evaluated.declarations, converge::kinds::schema);
    Ok(list.map_err(|problem| failure_of(&problem))?)
}

/// Merges the attributes that recipes would get.
pub(crate) fn attributes(target: &Target, context: &Context) -> Result<Attributes> {
    Ok(prepare(target, context, &[])?.attributes)
}

/// Prepares what is asked for, and these recipes behind it.
fn prepare(target: &Target, context: &Context, more: &[RecipeName]) -> Result<Prepared> {
    let Wanted { effective, layers, whole } = target.read(context)?;
    let home = home()?;
    let repository = Repository::open(&context.directory).map_err(Failure::from)?;
    let resolution = repository.resolve(&home.fetched_cookbooks()).map_err(Failure::from)?;
    lock(target, context, &repository, &resolution)?;
    let mut cookbooks = BTreeSet::new();
    for step in &effective.steps {
        let name = &step.recipe.cookbook;
        let Some(resolved) = resolution.cookbooks.get(name) else {
            let failure = usage(format!("there is no cookbook `{name}`"));
            let failure = step.place.iter().cloned().fold(failure, Failure::excerpt);
            return Err(match did_you_mean(name, repository.names()) {
                Some(meant) => failure.hint(format!("did you mean `{meant}`?")).into(),
                None => failure.hint(format!("skep cookbook:new {name}")).into(),
            });
        };
        let version = resolved.manifest.version;
        if let Some(asked) = &step.version
            && asked.parse() != Ok(version)
        {
            let failure = usage(format!("the run list asks for {name} {asked}; it is {version}"));
            return Err(step.place.iter().cloned().fold(failure, Failure::excerpt).into());
        }
        cookbooks.insert(name.as_str());
    }
    cookbooks.extend(more.iter().map(|recipe| recipe.cookbook.as_str()));
    let files = Files::of(&repository, &resolution, cookbooks);
    let mut all = files.attributes().map_err(Failure::from)?;
    all.extend(effective.layers);
    all.extend(layers);
    let steps = effective.steps.into_iter().map(|step| step.recipe);
    let recipes = steps.chain(more.iter().cloned()).collect();
    Ok(Prepared { home, files, attributes: Attributes::new(all), recipes, resolution, whole })
}

/// Holds the lock against what was chosen, or writes it.
fn lock(
    target: &Target,
    context: &Context,
    repository: &Repository,
    resolution: &Resolution,
) -> Result<()> {
    if target.locked {
        return Ok(repository.check_lock(resolution).map_err(Failure::from)?);
    }
    match repository.write_lock(resolution) {
        Ok(differences) => {
            for difference in differences {
                context.output.say(&format!("{}: {difference}", cookbook::LOCK));
            }
            Ok(())
        }
        // Whoever plans need not own the repository.
        Err(ResolveError::Tree(error)) if is_read_only(&error) => {
            context.output.warn(&format!("{} cannot be written: {error}", cookbook::LOCK));
            Ok(())
        }
        Err(error) => Err(Failure::from(error).into()),
    }
}

fn is_read_only(error: &cookbook::TreeError) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error, cookbook::TreeError::Disk(disk) if matches!(disk.kind(), PermissionDenied | ReadOnlyFilesystem))
}

/// Returns what to say of declarations that are no list.
fn failure_of(problem: &ListProblem) -> Failure {
    Failure::from_error(Kind::Usage, problem)
}
