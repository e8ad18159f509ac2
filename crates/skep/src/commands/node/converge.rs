use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use converge::{Change, Event, Host, Outcomes, Report, StateDirectory, apply};
use report::{Failure, Kind};

use super::{apply_failure, plan_key, plan_of, read_saved, saved_failure};
use crate::configure::{Target, assemble};
use crate::context::{Context, home};
use crate::error::{Outcome, Result};
use crate::output::{Format, Output};
use crate::render::paint::Style;
use crate::render::untrusted;

/// Make this machine what the recipes of its group say
///
/// Plans, changes what differs, looks again, and takes back what no recipe declares any more and Skep made.
/// A run that was killed is repaired by the next one. Needs no agent; one run at a time.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n\
\x20 skep converge --group web\n\
\x20 skep converge --dna dna/asg/web.json\n\
\x20 skep converge --group web --phase deploy")]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Apply a plan that `skep plan --save` wrote, and nothing else
    #[arg(long, value_name = "FILE")]
    apply: Option<PathBuf>,
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<Outcome> {
    let Arguments { target, apply: saved } = arguments;
    let home = home()?;
    let saved = saved.map(|file| Ok::<_, crate::error::Error>((read_saved(context, &file)?, file)));
    let saved = saved.transpose()?;
    let assembled = assemble(&target, context)?;
    home.create()?;
    let key = saved.is_some().then(|| plan_key(&home)).transpose()?;
    let plan = plan_of(assembled, &home, key.as_ref())?;
    if let Some((saved, file)) = &saved {
        let name = file.display().to_string();
        saved.check(&plan).map_err(|error| saved_failure(&error, &name))?;
    }
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let report = apply(
        &plan,
        &Host::this_machine(),
        &StateDirectory::at(home.converge()),
        u64::try_from(now_ms).unwrap_or(u64::MAX),
        &mut |event| tell(&event, &context.output),
    );
    let report = report.map_err(|error| apply_failure(&error))?;
    match context.output.format {
        Format::Json => context.output.json(&report)?,
        Format::Text => context.output.line(&summary(&report))?,
    }
    if report.is_good() { Ok(Outcome::Done) } else { Err(failure(&report).into()) }
}

fn summary(report: &Report) -> String {
    let count = |like: fn(&Outcomes) -> bool| report.count(like);
    let parts = [
        (count(|result| matches!(result, Outcomes::Changed)), "changed"),
        (count(|result| matches!(result, Outcomes::Undone)), "taken back"),
        (count(|result| matches!(result, Outcomes::Failed { .. })), "failed"),
        (count(|result| matches!(result, Outcomes::Blocked { .. })), "blocked"),
        (count(|result| matches!(result, Outcomes::Pending { .. })), "waiting"),
        (count(|result| matches!(result, Outcomes::Skipped { .. })), "skipped"),
    ];
    let unchanged = count(|result| matches!(result, Outcomes::Unchanged));
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts = parts.map(|(count, word)| format!("{count} {word}"));
    parts.chain([format!("{unchanged} unchanged")]).collect::<Vec<_>>().join(", ")
}

/// Returns what failed, one cause each.
fn failure(report: &Report) -> Failure {
    let kind = if report.changed() > 0 { Kind::Partial } else { Kind::Failed };
    let mut failure = Failure::new(kind, "this machine is not what the recipes say");
    for outcome in &report.outcomes {
        let text = match &outcome.result {
            Outcomes::Failed { problem, ignored: false } => problem.clone(),
            Outcomes::Blocked { by } => format!("needs {by}"),
            Outcomes::Pending { waits_for } => format!("acts once {waits_for} is in order"),
            _ => continue,
        };
        failure = failure.cause(format!("{}: {text}", outcome.id));
    }
    failure.hint("skep converge    tries again: what is done stays")
}

/// Says what happens, on standard error.
fn tell(event: &Event<'_>, output: &Output) {
    let say = |style, mark: char, text: &str| {
        let mark = output.progress_paint.paint(style, &mark.to_string());
        output.say(&format!("{mark} {}", untrusted::visible(text)));
    };
    match event {
        Event::Begins { id, difference } => {
            let lines: Vec<String> = difference.changes.iter().map(Change::line).collect();
            let style = if lines.is_empty() { Style::Plain } else { Style::Warning };
            say(style, difference.mark.character(), &format!("{id}  {}", lines.join(", ")));
        }
        Event::Output { line, .. } => output.say(&format!("    {}", untrusted::visible(line))),
        Event::Again { id, problem, left } => {
            say(Style::Warning, '!', &format!("{id}: {problem}; {left} more tries"));
        }
        Event::Ends(outcome) => match &outcome.result {
            Outcomes::Failed { problem, .. } => {
                say(Style::Bad, 'x', &format!("{}: {problem}", outcome.id));
            }
            Outcomes::Blocked { by } => {
                say(Style::Bad, 'x', &format!("{}: needs {by}", outcome.id));
            }
            Outcomes::Undone => say(Style::Bad, '-', &outcome.id.to_string()),
            Outcomes::Changed if !outcome.causes.is_empty() => {
                let causes: Vec<String> = outcome.causes.iter().map(ToString::to_string).collect();
                say(Style::Warning, '↻', &format!("{}  for {}", outcome.id, causes.join(", ")));
            }
            _ => {}
        },
        _ => {}
    }
}
