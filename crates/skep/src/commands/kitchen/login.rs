use std::ffi::OsString;

use super::inside::{become_program, machine_of};
use super::open::{Kitchen, need_root};
use crate::context::Context;
use crate::error::{Outcome, Result};

/// Open a shell in the machine of an instance
///
/// The user's own login shell, in the user's home. Jobs are controlled as usual; `tty` knows no name, because the
/// terminal is not one of the machine's.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The instance, or what tells it from others [default: the only one that has a machine]
    instance: Option<String>,
    /// As whom: a user of the machine
    #[arg(long, default_value = "root")]
    user: String,
    /// Where: a directory of the machine [default: the user's home]
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
}

pub(crate) fn run(
    Arguments { instance, user, cwd }: Arguments,
    context: &Context,
) -> Result<Outcome> {
    need_root("kitchen:login")?;
    let kitchen = Kitchen::open(context)?;
    let machine = machine_of(&kitchen.one(instance.as_deref())?)?;
    let mut words: Vec<OsString> = vec!["--login".into(), "--user".into(), user.into()];
    words.extend(cwd.into_iter().flat_map(|cwd| ["--directory".into(), cwd.into()]));
    Err(become_program(&machine, &words))
}
