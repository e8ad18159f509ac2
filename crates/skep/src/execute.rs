//! Becoming the program of `skep run`.
//!
//! Nothing stands between the terminal and the program: this process *becomes* it, so that its
//! input, its signals, its job control and its exit code are its own. Before that it locks the
//! release's lease, shared, on a descriptor that the program inherits: while it or any child of it
//! lives, the release is not removed.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use api::RunPlan;
use disk::Lock;
use report::{Failure, Kind};
use rustix::fs::Mode;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::termios::tcgetwinsize;

use crate::error::Result;

/// Replaces this process; returns only if that failed.
///
/// Credentials are changed by the standard library between nothing and nothing: group, then no
/// supplementary groups, then user, then the directory, then `execve`.
pub(crate) fn become_program(plan: &RunPlan) -> Result<Infallible> {
    let lease = inherited_lease(Path::new(&plan.lease), plan.release)?;
    let mut command = Command::new(&plan.program);
    if let Some((first, rest)) = plan.arguments.split_first() {
        command.arg0(first).args(rest);
    }
    command
        .current_dir(&plan.directory)
        .env_clear()
        .envs(plan.environment.iter().map(|(name, value)| (name, value)))
        .envs(terminal_variables());
    if let Some((uid, gid)) = plan.credentials {
        command.gid(gid).uid(uid);
    }
    rustix::process::umask(Mode::from_raw_mode(plan.umask));
    let error = command.exec();
    drop(lease);
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => Kind::Permission,
        _ => Kind::Failed,
    };
    let failure =
        Failure::new(kind, format!("failed to run `{}` in `{}`", plan.program, plan.directory))
            .because(&error);
    Err(if plan.credentials.is_some() && !rustix::process::geteuid().is_root() {
        failure.hint("only root may become the app's user: sudo skep run …").into()
    } else {
        failure.into()
    })
}

/// Locks a release's lease on a descriptor that survives `execve`.
fn inherited_lease(path: &Path, release: u32) -> Result<OwnedFd> {
    let lock = Lock::try_shared(path)
        .map_err(|error| {
            Failure::from_error(Kind::Failed, &error).hint("skep releases    what is kept")
        })?
        .ok_or_else(|| {
            Failure::new(Kind::Temporary, format!("v{release} is just being removed"))
                .hint("try again: a newer release is current")
        })?;
    let lease = OwnedFd::from(lock);
    fcntl_setfd(&lease, FdFlags::empty()).map_err(|errno| {
        Failure::new(Kind::Internal, "failed to hand the release's lease on").because(&errno)
    })?;
    Ok(lease)
}

/// What a program needs to draw on this terminal; nothing where there is none.
fn terminal_variables() -> Vec<(&'static str, OsString)> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Vec::new();
    }
    let mut variables: Vec<(&'static str, OsString)> =
        std::env::var_os("TERM").map(|term| ("TERM", term)).into_iter().collect();
    if let Ok(size) = tcgetwinsize(&stdin) {
        variables.push(("COLUMNS", size.ws_col.to_string().into()));
        variables.push(("LINES", size.ws_row.to_string().into()));
    }
    variables
}
