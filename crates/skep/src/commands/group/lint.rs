use std::collections::BTreeMap;

use cookbook::{Repository, ResolveError};
use nodes::generated::LOCK;
use nodes::repository::{self, read_text, role_files};
use nodes::role::role_path;
use nodes::{Facts, Lint, RecipeFacts, Severity, lint, parse_role};
use report::Failure;

use crate::context::{Context, home};
use crate::error::{Outcome, Result};
use crate::output::Format;
use crate::render::paint::Style;
use crate::render::quantity::count;
use crate::render::untrusted;

/// Check the nodes file and the roles for what is allowed and probably not meant
///
/// Ends with exit code 1 if something cannot work; warnings alone fail nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: Arguments, context: &Context) -> Result<Outcome> {
    let nodes = repository::load(&context.directory).map_err(Failure::from)?;
    repository::load_lock(&context.directory).map_err(Failure::from)?;
    let mut roles = role_files(&context.directory).map_err(Failure::from)?;
    let mut inner_names = Vec::new();
    for role in &roles {
        let path = role_path(role);
        let text = read_text(&context.directory.join(&path), nodes::MAX_FILE_BYTES);
        if let Some(text) = text.map_err(Failure::from)? {
            inner_names.push(parse_role(&path, &text).map_err(Failure::from)?.name);
        }
    }
    roles.extend(inner_names);
    let recipes = recipes(context)?;
    let found = lint(&nodes, &Facts { recipes, roles: Some(roles) });
    if context.output.format == Format::Json {
        context.output.json(&found)?;
    } else {
        let lines: Vec<String> = found.iter().flat_map(|lint| lines(lint, context)).collect();
        context.output.lines(&lines)?;
        context.output.say(&summary(&nodes.file, &found));
    }
    let bad = found.iter().any(|lint| lint.severity == Severity::Error);
    Ok(if bad { Outcome::Problems } else { Outcome::Done })
}

/// Returns what is known of recipes; nothing where the repository has no cookbook.
fn recipes(context: &Context) -> Result<Option<BTreeMap<String, RecipeFacts>>> {
    let repository = Repository::open(&context.directory).map_err(Failure::from)?;
    if repository.names().next().is_none() {
        return Ok(None);
    }
    let resolution = repository.resolve(&home()?.fetched_cookbooks()).map_err(Failure::from)?;
    let facts = resolution.recipe_facts().map_err(ResolveError::from).map_err(Failure::from)?;
    Ok(Some(facts))
}

fn lines(lint: &Lint, context: &Context) -> Vec<String> {
    let paint = context.output.data_paint;
    let (severity, style) = match lint.severity {
        Severity::Error => ("error", Style::Bad),
        Severity::Warning => ("warning", Style::Warning),
    };
    let title = paint.paint(style, &format!("{severity}[{}]:", lint.rule.name()));
    let mut lines = vec![format!("{title} {}", untrusted::visible(&lint.text))];
    let excerpt = lint.excerpt.to_string();
    lines.extend(excerpt.lines().map(|line| untrusted::visible(line).trim_end().to_owned()));
    lines.push(format!("{} {}", paint.paint(Style::Good, "hint:"), untrusted::visible(&lint.hint)));
    lines
}

fn summary(file: &str, found: &[Lint]) -> String {
    let errors = found.iter().filter(|lint| lint.severity == Severity::Error).count();
    let warnings = found.len() - errors;
    match (errors, warnings) {
        (0, 0) => format!("{file}, roles and {LOCK}: nothing found"),
        _ => format!(
            "{file}: {}, {}",
            count(errors, "error", "errors"),
            count(warnings, "warning", "warnings")
        ),
    }
}
