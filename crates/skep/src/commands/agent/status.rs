use api::{Overview, path};
use jiff::Timestamp;

use crate::client::start;
use crate::context::{Context, home};
use crate::error::{Outcome, Result};
use crate::output::{Format, Output};
use crate::parts;
use crate::render::paint::Style;
use crate::render::quantity::age;

/// Show the agent: its version, since when it runs, what is wrong
///
/// Starts nothing. Exit code 69 if it does not run.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

pub(crate) async fn run(Arguments {}: Arguments, context: &Context) -> Result<Outcome> {
    let client = start::connect(&home()?, &context.output)?;
    let overview: Overview = client.get(path::OVERVIEW).await?;
    match context.output.format {
        Format::Json => context.output.json(&overview)?,
        Format::Text => print(&context.output, &overview)?,
    }
    Ok(Outcome::Done)
}

fn print(output: &Output, overview: &Overview) -> Result<()> {
    let paint = output.data_paint;
    let state = if overview.ready {
        paint.paint(Style::Good, "ready")
    } else {
        paint.paint(Style::Warning, "not complete yet")
    };
    let since = age(&overview.since, Timestamp::now());
    let mut lines = vec![
        format!("agent   {state}, process {}, since {since}", overview.pid),
        format!("build   {}", overview.build),
        format!("home    {}", overview.home),
    ];
    lines.extend(overview.problems.iter().map(|problem| format!("problem {problem}")));
    lines.extend(overview.not_enforced.iter().map(|what| format!("not enforced: {what}")));
    output.lines(&lines)?;
    if overview.build != parts::build() {
        output.warn(&format!("this command is of another build, {}", parts::build()));
        output.hint("skep agent:stop && skep agent:start    runs this one; services go on");
    }
    Ok(())
}
