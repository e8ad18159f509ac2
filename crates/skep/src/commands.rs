//! One file for each command: `skep env:set` is `commands/env/set.rs`.
//!
//! Each has `Arguments`, whose doc comment is the command's help, and `run`, which takes them
//! apart and calls a function with typed parameters.

pub(crate) mod agent;
pub(crate) mod app;
pub(crate) mod attr;
pub(crate) mod completions;
pub(crate) mod cookbook;
pub(crate) mod docs;
pub(crate) mod doctor;
pub(crate) mod env;
pub(crate) mod group;
pub(crate) mod kitchen;
pub(crate) mod node;
pub(crate) mod role;

use std::process::ExitCode;

use report::{Failure, Kind};

use crate::arguments::Command;
use crate::context::Context;
use crate::error::{Outcome, Result};

/// Runs a command to its end.
pub(crate) fn run(command: Command, context: &Context) -> Result<ExitCode> {
    if let Command::AgentRun(arguments) = command {
        // It brings its own runtime.
        return agent::run::run(arguments);
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
            Failure::new(Kind::Temporary, "failed to start an event loop").because(&error)
        })?;
    let outcome = runtime.block_on(dispatch(command, context));
    // A blocked read of standard input must not keep a finished command.
    runtime.shutdown_background();
    outcome.map(|outcome| ExitCode::from(outcome.exit_code()))
}

async fn dispatch(command: Command, context: &Context) -> Result<Outcome> {
    match command {
        Command::Up(arguments) => app::up::run(arguments, context).await,
        Command::Deploy(arguments) => app::deploy::run(arguments, context).await,
        Command::Rollback(arguments) => app::rollback::run(arguments, context).await,
        Command::Watch(arguments) => app::watch::run(arguments, context).await,
        Command::Apps(arguments) => app::list::run(arguments, context).await,
        Command::Releases(arguments) => app::releases::run(arguments, context).await,
        Command::Ps(arguments) => app::ps::run(arguments, context).await,
        Command::Logs(arguments) => app::logs::run(arguments, context).await,
        Command::Run(arguments) => app::run::run(arguments, context).await,
        Command::Scale(arguments) => app::scale::run(arguments, context).await,
        Command::Restart(arguments) => app::restart::run(arguments, context).await,
        Command::Stop(arguments) => app::stop::run(arguments, context).await,
        Command::Start(arguments) => app::start::run(arguments, context).await,
        Command::Down(arguments) => app::down::run(arguments, context).await,
        Command::Remove(arguments) => app::remove::run(arguments, context).await,
        Command::Restore(arguments) => app::restore::run(arguments, context).await,
        Command::EnvSet(arguments) => env::set::run(arguments, context).await,
        Command::EnvUnset(arguments) => env::unset::run(arguments, context).await,
        Command::EnvList(arguments) => env::list::run(arguments, context).await,
        Command::EnvExplain(arguments) => env::explain::run(arguments, context).await,
        Command::GroupList(arguments) => group::list::run(arguments, context),
        Command::GroupShow(arguments) => group::show::run(arguments, context),
        Command::GroupDiff(arguments) => group::diff::run(arguments, context),
        Command::GroupLint(arguments) => group::lint::run(arguments, context),
        Command::RoleCreate(arguments) => role::create::run(arguments, context),
        Command::RoleUpdate(arguments) => role::update::run(arguments, context),
        Command::RoleShow(arguments) => role::show::run(arguments, context),
        Command::Plan(arguments) => node::plan::run(arguments, context),
        Command::Converge(arguments) => node::converge::run(arguments, context),
        Command::AttrWhy(arguments) => attr::why::run(arguments, context),
        Command::CookbookNew(arguments) => cookbook::new::run(arguments, context),
        Command::CookbookCheck(arguments) => cookbook::check::run(arguments, context),
        Command::CookbookDocs(arguments) => cookbook::docs::run(arguments, context),
        Command::KitchenList(arguments) => kitchen::list::run(arguments, context),
        Command::KitchenCreate(arguments) => kitchen::create::run(arguments, context),
        Command::KitchenConverge(arguments) => kitchen::converge::run(arguments, context),
        Command::KitchenVerify(arguments) => kitchen::verify::run(arguments, context),
        Command::KitchenCheck(arguments) => kitchen::check::run(arguments, context),
        Command::KitchenTest(arguments) => kitchen::test::run(arguments, context),
        Command::KitchenDiff(arguments) => kitchen::diff::run(arguments, context),
        Command::KitchenExec(arguments) => kitchen::exec::run(arguments, context),
        Command::KitchenLogin(arguments) => kitchen::login::run(arguments, context),
        Command::KitchenDestroy(arguments) => kitchen::destroy::run(arguments, context),
        Command::AgentStatus(arguments) => agent::status::run(arguments, context).await,
        Command::AgentInstall(arguments) => agent::install::run(arguments, context).await,
        Command::AgentStop(arguments) => agent::stop::run(arguments, context).await,
        Command::AgentStart(arguments) => agent::start::run(arguments, context).await,
        Command::AgentRun(_) => unreachable!("`run` has taken it"),
        Command::Doctor(arguments) => doctor::run(arguments, context).await,
        Command::Completions(arguments) => completions::run(arguments, context),
        Command::Docs(arguments) => docs::run(arguments, context),
    }
}
