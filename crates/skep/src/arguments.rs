//! The command line.
//!
//! Every command is `namespace:action`; those of every day have a short alias, shown first. clap's
//! own exit code for a wrong command line, 2, means "there are changes" here and becomes 64.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use report::Kind;

use crate::commands::{
    agent, app, attr, completions, cookbook, docs, doctor, env, group, kitchen, node, role,
};
use crate::context::Context;
use crate::error::{Error, usage};
use crate::output::{Format, Loudness, Output};

/// Builds, deploys and serves web apps, and keeps every request answered while it does
#[derive(Debug, Parser)]
#[command(name = "skep", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// Print data as JSON: one value, or one value a line where it is a stream
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    /// Print data and errors only
    #[arg(short, long, global = true, help_heading = "Global options")]
    quiet: bool,
    /// Work as if started in DIR
    #[arg(short = 'C', value_name = "DIR", global = true, help_heading = "Global options")]
    directory: Option<PathBuf>,
}

impl Global {
    /// Returns the context of a command; on failure the printer that tells it.
    pub(crate) fn context(&self) -> Result<Context, (Output, Error)> {
        let format = if self.json { Format::Json } else { Format::Text };
        let loudness = if self.quiet { Loudness::Quiet } else { Loudness::Normal };
        let output = Output::new(format, loudness);
        let current = match std::env::current_dir() {
            Ok(current) => current,
            Err(error) => {
                let failure = usage("failed to find the current directory").because(&error).into();
                return Err((output, failure));
            }
        };
        let directory = match &self.directory {
            None => current,
            Some(directory) => current.join(directory),
        };
        if !directory.is_dir() {
            let failure = usage(format!("`{}` is not a directory", directory.display()));
            return Err((output, failure.into()));
        }
        Ok(Context { output, directory })
    }
}

/// All commands, in the order in which `skep --help` lists them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(name = "app:up", visible_alias = "up")]
    Up(app::up::Arguments),
    #[command(name = "app:deploy", visible_alias = "deploy")]
    Deploy(app::deploy::Arguments),
    #[command(name = "app:rollback", visible_alias = "rollback")]
    Rollback(app::rollback::Arguments),
    #[command(name = "app:watch", visible_alias = "watch")]
    Watch(app::watch::Arguments),
    #[command(name = "app:list", visible_alias = "apps")]
    Apps(app::list::Arguments),
    #[command(name = "app:releases", visible_alias = "releases")]
    Releases(app::releases::Arguments),
    #[command(name = "app:ps", visible_alias = "ps")]
    Ps(app::ps::Arguments),
    #[command(name = "app:logs", visible_alias = "logs")]
    Logs(app::logs::Arguments),
    #[command(name = "app:run", visible_alias = "run")]
    Run(app::run::Arguments),
    #[command(name = "app:scale", visible_alias = "scale")]
    Scale(app::scale::Arguments),
    #[command(name = "app:restart", visible_alias = "restart")]
    Restart(app::restart::Arguments),
    #[command(name = "app:stop", visible_alias = "stop")]
    Stop(app::stop::Arguments),
    #[command(name = "app:start", visible_alias = "start")]
    Start(app::start::Arguments),
    #[command(name = "app:down", visible_alias = "down")]
    Down(app::down::Arguments),
    #[command(name = "app:remove")]
    Remove(app::remove::Arguments),
    #[command(name = "app:restore")]
    Restore(app::restore::Arguments),
    #[command(name = "env:set")]
    EnvSet(env::set::Arguments),
    #[command(name = "env:unset")]
    EnvUnset(env::unset::Arguments),
    #[command(name = "env:list", visible_alias = "env")]
    EnvList(env::list::Arguments),
    #[command(name = "env:explain")]
    EnvExplain(env::explain::Arguments),
    #[command(name = "group:list", alias = "groups:list")]
    GroupList(group::list::Arguments),
    #[command(name = "group:show", alias = "groups:show")]
    GroupShow(group::show::Arguments),
    #[command(name = "group:diff", alias = "groups:diff")]
    GroupDiff(group::diff::Arguments),
    #[command(name = "group:lint", visible_alias = "lint")]
    GroupLint(group::lint::Arguments),
    #[command(name = "role:create", alias = "roles:create")]
    RoleCreate(role::create::Arguments),
    #[command(name = "role:update", alias = "roles:update")]
    RoleUpdate(role::update::Arguments),
    #[command(name = "role:show", alias = "roles:show")]
    RoleShow(role::show::Arguments),
    #[command(name = "node:plan", visible_alias = "plan")]
    Plan(node::plan::Arguments),
    #[command(name = "node:converge", visible_alias = "converge")]
    Converge(node::converge::Arguments),
    #[command(name = "attr:why")]
    AttrWhy(attr::why::Arguments),
    #[command(name = "cookbook:new")]
    CookbookNew(cookbook::new::Arguments),
    #[command(name = "cookbook:check")]
    CookbookCheck(cookbook::check::Arguments),
    #[command(name = "cookbook:docs")]
    CookbookDocs(cookbook::docs::Arguments),
    #[command(name = "kitchen:list")]
    KitchenList(kitchen::list::Arguments),
    #[command(name = "kitchen:create")]
    KitchenCreate(kitchen::create::Arguments),
    #[command(name = "kitchen:converge")]
    KitchenConverge(kitchen::converge::Arguments),
    #[command(name = "kitchen:verify")]
    KitchenVerify(kitchen::verify::Arguments),
    #[command(name = "kitchen:check", hide = true)]
    KitchenCheck(kitchen::check::Arguments),
    #[command(name = "kitchen:test")]
    KitchenTest(kitchen::test::Arguments),
    #[command(name = "kitchen:diff")]
    KitchenDiff(kitchen::diff::Arguments),
    #[command(name = "kitchen:exec")]
    KitchenExec(kitchen::exec::Arguments),
    #[command(name = "kitchen:login")]
    KitchenLogin(kitchen::login::Arguments),
    #[command(name = "kitchen:destroy")]
    KitchenDestroy(kitchen::destroy::Arguments),
    #[command(name = "agent:status")]
    AgentStatus(agent::status::Arguments),
    #[command(name = "agent:install")]
    AgentInstall(agent::install::Arguments),
    #[command(name = "agent:stop")]
    AgentStop(agent::stop::Arguments),
    #[command(name = "agent:start")]
    AgentStart(agent::start::Arguments),
    #[command(name = "agent:run", hide = true)]
    AgentRun(agent::run::Arguments),
    #[command(name = "doctor")]
    Doctor(doctor::Arguments),
    #[command(name = "completions")]
    Completions(completions::Arguments),
    #[command(name = "docs", hide = true)]
    Docs(docs::Arguments),
}

/// Returns the whole command line's definition.
pub(crate) fn definition() -> clap::Command {
    let command = Cli::command().disable_help_subcommand(true).mut_subcommands(under_short_name);
    let overview = overview(&command);
    command.override_help(overview)
}

/// Lets a command's usage say the name that people type.
fn under_short_name(command: clap::Command) -> clap::Command {
    let Some(short) = command.get_visible_aliases().next().map(str::to_owned) else {
        return command;
    };
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replacen(command.get_name(), &short, 1);
    command.override_usage(format!("skep {usage}"))
}

/// Parses a command line, the program's name first; help and mistakes are printed here.
pub(crate) fn parse(line: Vec<OsString>) -> Result<Cli, ExitCode> {
    let parsed = definition().try_get_matches_from(line);
    let parsed = parsed.and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| {
        // Standard output or error being closed is nobody's mistake.
        let _ = error.print();
        if error.use_stderr() { ExitCode::from(Kind::Usage.exit_code()) } else { ExitCode::SUCCESS }
    })
}

/// The list of commands, by namespace; clap has no groups of subcommands.
fn overview(command: &clap::Command) -> String {
    const GROUPS: [(&str, &str); 10] = [
        ("Apps", "app"),
        ("Variables", "env"),
        ("Node groups", "group"),
        ("Roles", "role"),
        ("Recipes on this machine", "node"),
        ("Attributes", "attr"),
        ("Cookbooks", "cookbook"),
        ("Kitchen", "kitchen"),
        ("Agent", "agent"),
        ("This machine", ""),
    ];
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("{about}\n\n");
    text.push_str("Usage: skep [OPTIONS] COMMAND [APP | APP/SERVICE | DIR] …\n");
    for (heading, namespace) in GROUPS {
        // Writing to a String cannot fail, here and below.
        let _ = write!(text, "\n{heading}:\n");
        for one in command.get_subcommands().filter(|one| !one.is_hide_set()) {
            let name = one.get_name();
            let own = name.split_once(':').map_or("", |(namespace, _)| namespace);
            if own != namespace {
                continue;
            }
            let shown = one.get_visible_aliases().next().unwrap_or(name);
            let about = one.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {shown:<16} {about}");
        }
    }
    text.push_str(
        "\nOptions:\n\
         \x20 -C DIR         Work as if started in DIR\n\
         \x20 -q, --quiet    Print data and errors only\n\
         \x20     --json     Print data as JSON\n\
         \x20 -h, --help     This, or with a command that command's help\n\
         \x20 -V, --version  The version\n\
         \n\
         APP may be left out in the app's own directory. SKEP_HOME names another installation.\n\
         Short names stand for longer ones: `skep up` is `skep app:up`, `skep plan` is `skep node:plan`.",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        definition().debug_assert();
    }

    #[test]
    fn every_command_has_its_help() {
        for command in definition().get_subcommands() {
            let name = command.get_name();
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty(), "`{name}` has no help");
            assert!(!about.ends_with('.'), "`{name}`: the first line has no period");
        }
    }
}
