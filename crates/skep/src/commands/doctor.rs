use crate::context::{Context, home};
use crate::doctor::{self, Check, Report, State};
use crate::error::{Outcome, Result};
use crate::output::{Format, Output};
use crate::render::paint::Style;

/// Check what is missing here, and what cannot be enforced
///
/// Looks at this machine and changes nothing; needs no agent. Exit code 1 if anything keeps Skep
/// from working.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

pub(crate) async fn run(Arguments {}: Arguments, context: &Context) -> Result<Outcome> {
    let report = doctor::examine(&home()?).await;
    match context.output.format {
        Format::Json => context.output.json(&report)?,
        Format::Text => print(&context.output, &report)?,
    }
    Ok(if report.ok { Outcome::Done } else { Outcome::Problems })
}

fn print(output: &Output, report: &Report) -> Result<()> {
    let paint = output.data_paint;
    let mut lines = Vec::new();
    for Check { name, state, text, hint } in &report.checks {
        let (mark, style) = match state {
            State::Ok => ("✓", Style::Good),
            State::Warning => ("!", Style::Warning),
            State::Problem => ("✗", Style::Bad),
        };
        lines.push(format!(" {} {name:<8} {text}", paint.paint(style, mark)));
        if let Some(hint) = hint {
            lines.push(format!("            {}", paint.paint(Style::Dim, hint)));
        }
    }
    output.lines(&lines)
}
