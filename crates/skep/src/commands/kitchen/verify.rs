use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use ::kitchen::check::{Checked, Verdict};
use ::kitchen::instance::Action;
use ::kitchen::kitchen_file::Planned;
use ::kitchen::machine::{Machine, SHARED};
use report::{Failure, Kind};

use super::check::CHECKS;
use super::inside::{self, machine_of};
use super::open::{Chosen, Kitchen};
use super::steps::{bring, ended};
use super::testinfra;
use crate::context::Context;
use crate::error::{Outcome, Result, usage};
use crate::output::Output;
use crate::render::paint::Style;
use crate::render::untrusted;

/// Run a suite's checks in its machine
///
/// Makes and converges the machine first if that was not done. Checks are files beside kitchen.toml:
/// checks/default.star and checks/SUITE.star, or those that the suite names, and for testinfra checks/test_*.py.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// An instance, a suite or a platform [default: every instance of kitchen.toml]
    instance: Option<String>,
}

pub(crate) fn run(Arguments { instance }: Arguments, context: &Context) -> Result<Outcome> {
    bring(context, instance.as_deref(), Action::Verify)
}

/// Runs the checks of an instance.
pub(super) fn verify(
    kitchen: &Kitchen,
    chosen: &Chosen<'_>,
    planned: &Planned,
    output: &Output,
) -> Result<()> {
    let machine = machine_of(chosen)?;
    let checks = checks_of(kitchen, planned)?;
    let tests = testinfra::tests(&kitchen.directory.join(CHECKS));
    if checks.is_empty() && tests.is_empty() {
        output.warn(&format!("{} has no checks: not tested", chosen.name));
        return Ok(());
    }
    let mut failed = Vec::new();
    if !checks.is_empty() {
        failed = run_checks(kitchen, chosen, planned, &machine, &checks, output)?;
    }
    if failed.is_empty() && !tests.is_empty() {
        return testinfra::run(chosen, &machine, &tests, output);
    }
    if failed.is_empty() {
        return Ok(());
    }
    let checks = if failed.len() == 1 { "check" } else { "checks" };
    let mut failure =
        Failure::new(Kind::Failed, format!("{} {checks} of {} failed", failed.len(), chosen.name));
    for Checked { check, reason, place, .. } in failed {
        let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
        failure = failure.detail(check, format!("{}{place}", reason.unwrap_or_default()));
    }
    Err(failure.hint(format!("skep kitchen:login {}    to look around", chosen.name)).into())
}

/// Returns the names of the files with a suite's checks.
fn checks_of(kitchen: &Kitchen, planned: &Planned) -> Result<Vec<String>> {
    let is_there =
        |name: &&String| kitchen.directory.join(CHECKS).join(format!("{name}.star")).is_file();
    let Some(named) = &planned.suite.checks else {
        let mut names = vec!["default".to_owned(), planned.suite_name.clone()];
        names.dedup();
        return Ok(names.iter().filter(is_there).cloned().collect());
    };
    match named.iter().find(|name| !is_there(name)) {
        Some(missing) => {
            let suite = &planned.suite_name;
            Err(usage(format!(
                "suite `{suite}` names `{CHECKS}/{missing}.star`, which is not there"
            ))
            .into())
        }
        None => Ok(named.clone()),
    }
}

/// Runs checks in the machine, tells each as it ends, and returns those that failed.
fn run_checks(
    kitchen: &Kitchen,
    chosen: &Chosen<'_>,
    planned: &Planned,
    machine: &Machine,
    checks: &[String],
    output: &Output,
) -> Result<Vec<Checked>> {
    let below = kitchen.directory.strip_prefix(&kitchen.repository).unwrap_or("".as_ref());
    let beside = std::path::Path::new("/").join(SHARED).join("repository").join(below);
    let mut words: Vec<OsString> = vec!["kitchen:check".into()];
    words.extend(inside::target_in(machine, planned)?);
    words.extend(["--beside".into(), beside.into(), "--".into()]);
    words.extend(checks.iter().map(OsString::from));
    let lost = |error: &dyn std::error::Error| {
        Failure::new(Kind::Failed, "failed to read what the checks said").cause(error.to_string())
    };
    let mut command = inside::skep(machine, &words)?;
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| lost(&error))?;
    let mut failed = Vec::new();
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        let line = line.map_err(|error| lost(&error))?;
        let checked: Checked = serde_json::from_str(&line).map_err(|error| lost(&error))?;
        tell(&checked, output);
        if checked.verdict == Verdict::Failed {
            failed.push(checked);
        }
    }
    let status = child.wait().map_err(|error| lost(&error))?;
    match status.code() {
        Some(0) => Ok(failed),
        code => Err(ended("kitchen:check", &chosen.name, code.unwrap_or(1)).into()),
    }
}

fn tell(checked: &Checked, output: &Output) {
    let (style, word) = match checked.verdict {
        Verdict::Passed => (Style::Good, "passed"),
        Verdict::Failed => (Style::Bad, "failed"),
        Verdict::NotTested => (Style::Warning, "not tested"),
    };
    let reason = checked.reason.as_ref().map(|reason| format!("  {reason}")).unwrap_or_default();
    let text = untrusted::visible(&format!("{}{reason}", checked.check)).into_owned();
    output.say(&format!("{}  {text}", output.progress_paint.paint(style, word)));
}
