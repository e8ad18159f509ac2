use std::ffi::OsString;

use super::inside::{become_program, machine_of};
use super::open::{Kitchen, need_root};
use crate::context::Context;
use crate::error::{Outcome, Result};

/// Run a command in the machine of an instance
///
/// In this terminal: input, output, signals and the exit code are the command's own. Its variables are made
/// anew, nothing of yours but TERM is kept.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n\
\x20 skep kitchen:exec -- ss -tln\n\
\x20 skep kitchen:exec default-debian12 --user www-data -- id")]
pub(crate) struct Arguments {
    /// The instance, or what tells it from others [default: the only one that has a machine]
    instance: Option<String>,
    /// As whom: a user of the machine
    #[arg(long, default_value = "root")]
    user: String,
    /// Where: a directory of the machine
    #[arg(long, value_name = "DIR", default_value = "/")]
    cwd: String,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<Outcome> {
    let Arguments { instance, user, cwd, command } = arguments;
    need_root("kitchen:exec")?;
    let kitchen = Kitchen::open(context)?;
    let machine = machine_of(&kitchen.one(instance.as_deref())?)?;
    let mut words: Vec<OsString> =
        vec!["--user".into(), user.into(), "--directory".into(), cwd.into(), "--".into()];
    words.extend(command);
    Err(become_program(&machine, &words))
}
