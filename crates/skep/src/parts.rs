//! The other programs in this executable, and the one that is started from here. Kept in one
//! place, so that what `skep` needs of each crate is seen at a glance.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use control::shim::Phase;
use home::Home;
use report::{Failure, Kind};
use supervise::bootstrap::{self, Bootstrap, Started, Stopped};

use crate::error::Result;

/// Version of this build and, where the build knew it, its commit.
pub(crate) fn build() -> String {
    match option_env!("SKEP_COMMIT") {
        Some(commit) => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
        None => env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Makes the home if there is none, starts the agent's shim, which starts the agent; returns when
/// the API socket is held. An agent whose socket lost its file is stopped first: only a new shim
/// makes it again. Blocks, with deadlines.
pub(crate) fn start_agent(home: &Home) -> Result<Started> {
    let program = executable()?;
    let start = || bootstrap::start_agent(home, &program, &build()).map_err(Failure::from);
    let started = start()?;
    if matches!(started, Started::Already { .. }) && is_without_socket(home) {
        stop_agent(home)?;
        return Ok(start()?);
    }
    Ok(started)
}

/// Returns whether the agent's shim runs and the interface's socket, which it holds, has no file.
pub(crate) fn is_without_socket(home: &Home) -> bool {
    let shim = home.shim_socket(&bootstrap::agent_service().file_name());
    let is_gone = home.api_socket().try_exists().is_ok_and(|exists| !exists);
    is_gone && disk::socket::connect_stream(&shim).is_ok()
}

/// Stops the agent and its shim, and no other service. Blocks, with deadlines.
pub(crate) fn stop_agent(home: &Home) -> Result<Stopped> {
    let stopped = bootstrap::stop_agent(home, &executable()?, &build());
    Ok(stopped.map_err(Failure::from)?)
}

/// Starts an agent at once that ended so often that its shim waits long before it tries again: what
/// kept it from starting may be gone since. Any other is left alone. Blocks, with deadlines.
pub(crate) fn wake_agent(home: &Home) -> Result<()> {
    let bootstrap = Bootstrap::new(home.clone(), &executable()?, &build());
    let state = bootstrap.state().map_err(Failure::from)?;
    if state.is_some_and(|state| matches!(state.phase, Phase::CrashLoop { .. })) {
        bootstrap.start().map_err(Failure::from)?;
    }
    Ok(())
}

/// Returns what the agent wrote last, of its last start.
pub(crate) fn last_words(home: &Home) -> Vec<String> {
    bootstrap::last_words(home)
}

/// Returns the path of this program.
pub(crate) fn executable() -> Result<PathBuf> {
    let path = std::env::current_exe().map_err(|error| {
        Failure::new(Kind::Internal, "failed to find this program's path").because(&error)
    })?;
    // What the kernel says of a program that was replaced while it runs.
    if path.to_string_lossy().ends_with(" (deleted)") {
        return Err(Failure::new(Kind::Temporary, "this program was just replaced by another")
            .hint("run the command again")
            .into());
    }
    Ok(path)
}

/// Returns the caller's variables that a build may see, and those by which programs of the caller's
/// are found; the agent filters them again.
pub(crate) fn build_environment() -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    variables.retain(|name, _| release::is_passed(name) || name == "PATH" || name == "HOME");
    variables
}

/// Returns the names of the caller's variables, and none of their values.
pub(crate) fn shell_names() -> api::ShellNames {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
}

/// Is the agent, until it is told to stop.
pub(crate) fn agent(home: &Home) -> ExitCode {
    agent::run(home)
}

/// Is a shim.
pub(crate) fn shim(arguments: Vec<OsString>) -> ExitCode {
    ExitCode::from(shim::main(arguments))
}

/// Is the proxy.
pub(crate) fn proxy(arguments: Vec<OsString>) -> ExitCode {
    proxy::main(arguments)
}
