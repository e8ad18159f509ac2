use std::path::PathBuf;

use api::{AppDetail, RestoreRequest, path};

use crate::context::Context;
use crate::error::{Outcome, Result, usage};
use crate::output::Format;

/// Bring a removed app back from its archive
///
/// With its releases, data and variables; it is stopped, `skep start` starts it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The archive that `skep app:remove` named
    archive: PathBuf,
}

pub(crate) async fn run(Arguments { archive }: Arguments, context: &Context) -> Result<Outcome> {
    let archive = context.resolve(&archive);
    let archive =
        archive.to_str().ok_or_else(|| usage(format!("`{}` is not UTF-8", archive.display())))?;
    let client = context.existing_client().await?;
    let request = RestoreRequest { archive: archive.to_owned() };
    let restored: AppDetail = client.post(path::RESTORE, &request).await?;
    match context.output.format {
        Format::Json => context.output.json(&restored)?,
        Format::Text => {
            let app = &restored.summary.name;
            context.output.say(&format!("{app} is back, stopped"));
            context.output.hint(&format!("skep start {app}"));
        }
    }
    Ok(Outcome::Done)
}
