//! `node:` – this machine and its recipes. None of them needs an agent.

pub(crate) mod converge;
pub(crate) mod plan;

use ::converge::{
    ApplyError, DigestKey, Host, Leaving, LedgerError, Plan, PlanError, PlanOptions, SavedPlan,
    SavedPlanError, StateDirectory, StateError,
};
use disk::DiskError;
use home::Home;
use report::{Failure, Kind};

use crate::configure::Assembled;
use crate::context::Context;
use crate::error::Result;
use crate::render::paint::{Paint, Style};
use crate::render::untrusted;

/// Bytes of the key of saved plans.
const PLAN_KEY_BYTES: usize = 32;

/// Compares the resources with this machine.
fn plan_of(assembled: Assembled, home: &Home, key: Option<&DigestKey>) -> Result<Plan> {
    let ledger =
        StateDirectory::at(home.converge()).read().map_err(|error| ledger_failure(&error))?;
    let leaving = if assembled.whole { Leaving::Undo } else { Leaving::Keep };
    let options = PlanOptions { leaving, departing: &assembled.departing, key };
    let host = Host::this_machine();
    Ok(::converge::plan(assembled.list, &host, &ledger, &options)
        .map_err(|error| plan_failure(&error))?)
}

/// Returns the key of saved plans; makes it if there is none.
fn plan_key(home: &Home) -> Result<DigestKey> {
    let path = home.plan_key();
    let failed = |error: DiskError| Failure::from_error(Kind::Failed, &error);
    let bytes = match disk::read_limited(&path, PLAN_KEY_BYTES as u64) {
        Err(error) if error.is_not_found() => {
            home.create()?;
            disk::create_directories(&home.converge(), 0o700).map_err(failed)?;
            let mut bytes = vec![0; PLAN_KEY_BYTES];
            rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
                .map_err(|errno| failed(DiskError::new("draw a key for", &path, errno)))?;
            disk::write_atomically(&path, &bytes, 0o600).map_err(failed)?;
            bytes
        }
        read => read.map_err(failed)?,
    };
    match bytes.len() {
        PLAN_KEY_BYTES => Ok(DigestKey::new(bytes)),
        _ => Err(Failure::new(Kind::Failed, format!("`{}` is damaged", path.display()))
            .hint("delete it: plans that were saved cannot be applied then")
            .into()),
    }
}

/// Prints a plan as people read it, each line in the colour of its mark.
fn print_plan(context: &Context, text: &str) -> Result<()> {
    let lines: Vec<String> =
        text.trim_end().lines().map(|line| painted(line, context.output.data_paint)).collect();
    context.output.lines(&lines)
}

fn painted(line: &str, paint: Paint) -> String {
    let style = match line.trim_start().chars().next() {
        Some('+') => Style::Good,
        Some('~' | '!' | '↻' | '?') => Style::Warning,
        Some('-' | 'x') => Style::Bad,
        Some('·') => Style::Dim,
        _ => Style::Plain,
    };
    paint.paint(style, &untrusted::visible(line))
}

fn ledger_failure(error: &LedgerError) -> Failure {
    Failure::from_error(Kind::Failed, error)
}

fn plan_failure(error: &PlanError) -> Failure {
    match error {
        PlanError::Ledger(error) => ledger_failure(error),
        error => Failure::from_error(Kind::Usage, error),
    }
}

fn saved_failure(error: &SavedPlanError, file: &str) -> Failure {
    let failure = Failure::new(Kind::Failed, format!("`{file}` cannot be applied")).because(error);
    match error {
        SavedPlanError::Stale(_) | SavedPlanError::OtherRun => {
            failure.hint(format!("skep plan --save {file}    makes a new one"))
        }
        _ => Failure { kind: Kind::Usage, ..failure },
    }
}

fn apply_failure(error: &ApplyError) -> Failure {
    match error {
        ApplyError::State(StateError::Locked { .. }) => {
            Failure::from_error(Kind::Locked, error).hint("wait for it to end, then run this again")
        }
        ApplyError::Moved => Failure::from_error(Kind::Temporary, error).hint("run it again"),
        ApplyError::State(StateError::Disk(disk))
            if disk.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Failure::from_error(Kind::Permission, error)
        }
        _ => Failure::from_error(Kind::Failed, error),
    }
}

/// Reads a saved plan.
fn read_saved(context: &Context, file: &std::path::Path) -> Result<SavedPlan> {
    let name = file.display().to_string();
    let bytes = disk::read_limited(&context.resolve(file), ::converge::MAX_SAVED_BYTES as u64)
        .map_err(|error| Failure::from_error(Kind::Usage, &error))?;
    Ok(SavedPlan::parse(&bytes).map_err(|error| saved_failure(&error, &name))?)
}
