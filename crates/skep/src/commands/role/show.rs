use nodes::{Role, repository};
use report::Failure;

use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::output::Format;

/// Print the Chef role of a group, or of every group
///
/// What `skep role:create` would write, whether there is a file or not.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The group [default: every group]
    group: Option<String>,
}

pub(crate) fn run(Arguments { group }: Arguments, context: &Context) -> Result<Outcome> {
    let nodes = repository::load(&context.directory).map_err(Failure::from)?;
    let all = group.is_none();
    let groups = match group {
        Some(name) => vec![nodes.group(&name).map_err(Failure::from)?],
        None => nodes.groups().collect(),
    };
    let roles = groups.iter().map(|group| Role::of(group, &nodes.settings));
    let texts: Vec<String> = roles
        .map(|role| role.map(|role| role.to_text().trim_end().to_owned()))
        .collect::<Result<_, _>>()
        .map_err(Failure::from)?;
    match context.output.format {
        Format::Json if all => context.output.line(&format!("[{}]", texts.join(",\n")))?,
        _ => context.output.lines(&texts)?,
    }
    Ok(Outcome::Done)
}
