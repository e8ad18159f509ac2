use cookbook::{COOKBOOKS, MANIFEST};
use disk::DiskError;
use report::{Failure, Kind};

use crate::context::Context;
use crate::error::{Outcome, Result, usage};

/// Start a cookbook in this directory's cookbooks/
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Its name
    name: String,
}

/// Committed files: for everybody to read.
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

pub(crate) fn run(Arguments { name }: Arguments, context: &Context) -> Result<Outcome> {
    let files = cookbook::scaffold(&name).map_err(|error| usage(error.to_string()))?;
    let directory = context.directory.join(COOKBOOKS).join(&name);
    if directory.join(MANIFEST).exists() {
        let message = format!("`{COOKBOOKS}/{name}` is there already");
        return Err(Failure::new(Kind::Exists, message).into());
    }
    let failed = |error: DiskError| Failure::from_error(Kind::Failed, &error);
    for (path, text) in files {
        let path = directory.join(path);
        // What somebody wrote before stays.
        if path.exists() {
            continue;
        }
        if let Some(parent) = path.parent() {
            disk::create_directories(parent, DIRECTORY_MODE).map_err(failed)?;
        }
        disk::write_atomically(&path, text.as_bytes(), FILE_MODE).map_err(failed)?;
        let shown = path.strip_prefix(&context.directory).unwrap_or(&path);
        context.output.line(&shown.display().to_string())?;
    }
    context.output.hint(&format!("skep plan --recipe {name}"));
    Ok(Outcome::Done)
}
