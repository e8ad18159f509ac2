use std::path::{Component, Path, PathBuf};

use ::kitchen::check::{kinds, run as look};
use nodes::repository::read_text;
use recipe::{LookupError, Source, Sources};
use report::Failure;
use resource::RecipeName;

use crate::configure::{Target, evaluate_beside};
use crate::context::Context;
use crate::error::{Outcome, Result};

/// Largest file of checks, as of recipes.
const MAX_FILE_BYTES: u64 = 256 << 10;

/// Where checks lie, beside the kitchen file.
pub(super) const CHECKS: &str = "checks";

/// Run checks on this machine, for `skep kitchen:verify`
///
/// Prints one JSON value for each, as it ends.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// The directory that has checks/
    #[arg(long, value_name = "DIR")]
    beside: PathBuf,
    /// Files of checks, without .star
    #[arg(required = true, value_name = "CHECKS")]
    checks: Vec<String>,
}

pub(crate) fn run(
    Arguments { target, beside, checks }: Arguments,
    context: &Context,
) -> Result<Outcome> {
    let name = beside.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let prefix = beside.strip_prefix(&context.directory).unwrap_or(Path::new("")).to_owned();
    let sources = Checks { directory: beside, name: name.clone(), prefix };
    let files: Vec<_> = checks.iter().map(|check| RecipeName::new(&name, check)).collect();
    let schemas: Vec<_> = kinds().iter().map(|kind| kind.schema).collect();
    for check in evaluate_beside(&target, &files, &schemas, &sources, context)? {
        let text = serde_json::to_string(&look(&check)).map_err(|error| {
            Failure::new(report::Kind::Internal, "failed to write a check's end").because(&error)
        })?;
        context.output.line(&text)?;
    }
    Ok(Outcome::Done)
}

/// The files beside a kitchen file, to an evaluation those of a cookbook whose recipes are its checks.
struct Checks {
    directory: PathBuf,
    name: String,
    /// From the repository to the directory, for messages.
    prefix: PathBuf,
}

impl Checks {
    /// Returns where a path of the evaluation's is.
    fn real(path: &str) -> PathBuf {
        match Path::new(path).strip_prefix("recipes") {
            Ok(rest) => Path::new(CHECKS).join(rest),
            Err(_) => path.into(),
        }
    }
}

impl Sources for Checks {
    fn read(&self, cookbook: &str, path: &str) -> Result<Option<Source>, LookupError> {
        let real = Self::real(path);
        let is_below = real.components().all(|part| matches!(part, Component::Normal(_)));
        if cookbook != self.name || !is_below {
            return Ok(None);
        }
        let text = read_text(&self.directory.join(&real), MAX_FILE_BYTES).map_err(|error| {
            LookupError {
                cause: recipe::Cause::Unavailable,
                message: error.to_string(),
                hints: Vec::new(),
            }
        })?;
        let name = self.prefix.join(&real).display().to_string();
        Ok(text.map(|text| Source { name, bytes: text.into_bytes().into() }))
    }

    fn list(&self, _: &str, directory: &str) -> Result<Vec<String>, LookupError> {
        let entries = std::fs::read_dir(self.directory.join(Self::real(directory)));
        let names = entries.into_iter().flatten().flatten();
        Ok(names
            .map(|entry| format!("{directory}/{}", entry.file_name().to_string_lossy()))
            .collect())
    }

    fn cookbooks(&self) -> Vec<String> {
        vec![self.name.clone()]
    }
}
