use std::str::FromStr;

use api::DeployKind;

use crate::change::{ChangeOptions, on_app, submit};
use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::place::Place;
use crate::which::choose;

/// Make an earlier good release current again
///
/// Brings back its code, its configuration and its variables; the scale stays as it is now. Runs
/// through the same gate as a deploy, without a build and without the release command. Says in the
/// end how to undo it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n\
\x20 skep rollback\n\
\x20 skep rollback shop --to v12")]
pub(crate) struct Arguments {
    /// The app [default: the one of this directory]
    app: Option<Place>,
    /// Which release [default: the good one before the current]
    #[arg(long, value_name = "RELEASE")]
    to: Option<Release>,
    #[command(flatten)]
    options: ChangeOptions,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Outcome> {
    let Arguments { app, to, options } = arguments;
    let client = context.existing_client().await?;
    let app = choose(context, &client, app.as_ref()).await?.app;
    let kind = DeployKind::Rollback { to: to.map(|Release(number)| number) };
    submit(context, &client, &on_app(&app, kind), options).await
}

/// A release's number, written `v12` or `12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Release(pub(crate) u32);

impl FromStr for Release {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix('v').unwrap_or(text);
        match number.parse() {
            Ok(number @ 1..) => Ok(Self(number)),
            _ => Err("not a release such as v12"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_have_numbers_from_one() {
        assert_eq!("v12".parse(), Ok(Release(12)));
        assert_eq!("3".parse(), Ok(Release(3)));
        for text in ["", "v", "v0", "-1", "vv1", "latest"] {
            assert!(text.parse::<Release>().is_err(), "{text:?} was accepted");
        }
    }
}
