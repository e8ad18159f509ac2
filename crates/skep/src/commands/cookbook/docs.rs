use std::fmt::Write as _;

use cookbook::{Attributes, Files, Layer, Repository, Resolution};
use report::Failure;
use serde::Serialize;

use crate::context::{Context, home};
use crate::error::{Outcome, Result, usage};
use crate::output::Format;

/// Print what a cookbook has: its recipes and attributes, as Markdown
///
/// What a recipe is for is the comment that it begins with.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The cookbook [default: every one of the repository]
    cookbook: Option<String>,
}

#[derive(Debug, Serialize)]
struct Page {
    name: String,
    version: cookbook::Version,
    description: String,
    dependencies: Vec<(String, String)>,
    recipes: Vec<Recipe>,
    attributes: Vec<Attribute>,
}

#[derive(Debug, Serialize)]
struct Recipe {
    name: String,
    about: String,
}

#[derive(Debug, Serialize)]
struct Attribute {
    path: String,
    default: serde_json::Value,
    file: String,
    line: usize,
}

pub(crate) fn run(Arguments { cookbook }: Arguments, context: &Context) -> Result<Outcome> {
    let repository = Repository::open(&context.directory).map_err(Failure::from)?;
    let resolution = repository.resolve(&home()?.fetched_cookbooks()).map_err(Failure::from)?;
    if let Some(name) = cookbook.as_ref().filter(|name| !resolution.cookbooks.contains_key(*name)) {
        return Err(usage(format!("there is no cookbook `{name}`")).into());
    }
    let names =
        resolution.cookbooks.keys().filter(|name| cookbook.as_ref().is_none_or(|c| c == *name));
    let pages = names.map(|name| page(name, &repository, &resolution));
    let pages: Vec<Page> = pages.collect::<Result<_>>()?;
    match context.output.format {
        Format::Json => context.output.json(&pages)?,
        Format::Text => {
            let pages: Vec<String> = pages.iter().map(markdown).collect();
            context.output.lines(&pages)?;
        }
    }
    Ok(Outcome::Done)
}

fn page(name: &str, repository: &Repository, resolution: &Resolution) -> Result<Page> {
    let failed = |error: cookbook::TreeError| Failure::from(cookbook::ResolveError::from(error));
    let manifest = &resolution.cookbooks[name].manifest;
    let mut recipes = Vec::new();
    for recipe in resolution.recipes(name).map_err(failed)? {
        let about = resolution.comment(name, &recipe).map_err(failed)?;
        recipes.push(Recipe { name: format!("{name}::{recipe}"), about });
    }
    let files = Files::of(repository, resolution, [name]);
    let layers: Vec<Layer> = files.attributes().map_err(Failure::from)?;
    let own = layers.into_iter().filter(|layer| layer.giver == name).collect();
    let attributes = Attributes::new(own).leaves().into_iter().map(|(path, said)| Attribute {
        path,
        default: said.value,
        file: said.file,
        line: said.line,
    });
    let dependencies = manifest.dependencies.iter();
    Ok(Page {
        name: name.to_owned(),
        version: manifest.version,
        description: manifest.description.clone(),
        dependencies: dependencies
            .map(|(name, dependency)| (name.clone(), dependency.requirement.to_string()))
            .collect(),
        recipes,
        attributes: attributes.collect(),
    })
}

/// Writing to a String cannot fail.
fn markdown(page: &Page) -> String {
    let mut text = format!("# {} {}\n", page.name, page.version);
    if !page.description.is_empty() {
        let _ = writeln!(text, "\n{}", page.description);
    }
    if !page.dependencies.is_empty() {
        let needs: Vec<String> = page
            .dependencies
            .iter()
            .map(|(name, requirement)| format!("{name} `{requirement}`"))
            .collect();
        let _ = writeln!(text, "\nNeeds {}.", needs.join(", "));
    }
    if !page.recipes.is_empty() {
        text.push_str("\n| recipe | |\n|---|---|\n");
        for Recipe { name, about } in &page.recipes {
            let _ = writeln!(text, "| `{name}` | {about} |");
        }
    }
    if !page.attributes.is_empty() {
        text.push_str("\n| attribute | default | |\n|---|---|---|\n");
        for Attribute { path, default, file, line } in &page.attributes {
            let _ = writeln!(text, "| `{path}` | `{default}` | {file}:{line} |");
        }
    }
    text
}
