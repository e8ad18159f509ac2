use std::io::{IsTerminal, Read};

use api::{DeployKind, DeployStarted, EnvChange, EnvRequest, path};
use report::{Failure, Kind};

use crate::change::{ChangeOptions, on_app, started, submit};
use crate::client::{Client, target};
use crate::context::Context;
use crate::error::{Outcome, Result, usage};
use crate::interrupt::Interrupts;
use crate::place::{Place, is_name};
use crate::terminal;
use crate::which::choose_or_new;

/// Set variables of an app
///
/// A change of variables is a release through the same gate as any other: a value with which the
/// app does not start never replaces one with which it does. With --stage it is stored and takes
/// effect with the next release.
///
/// KEY=VALUE sets a value; KEY=- reads it from standard input; KEY alone asks for it without
/// showing it, or reads standard input if that is no terminal.
///
/// A first word of lowercase letters, digits and hyphens is the app; write a variable of such a
/// name with its `=`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n\
\x20 skep env:set DEBUG=0 STRIPE_KEY\n\
\x20 skep env:set shop TLS_KEY=- < key.pem")]
pub(crate) struct Arguments {
    /// The app [default: the one of this directory], then variables
    #[arg(required = true, value_name = "APP | KEY[=VALUE|-]")]
    words: Vec<String>,
    /// Store only
    #[arg(long)]
    stage: bool,
    #[command(flatten)]
    options: ChangeOptions,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Outcome> {
    let Arguments { words, stage, options } = arguments;
    let (app, words) = split_app(&words);
    if words.is_empty() {
        return Err(usage("which variable?").hint("skep env:set [APP] KEY=VALUE …").into());
    }
    let wishes: Vec<Wish> = words.iter().map(|word| parse(word)).collect::<Result<_>>()?;
    let inputs = wishes.iter().filter(|wish| wish.value.reads_input()).count();
    if inputs > 1 {
        return Err(usage("standard input can be the value of one variable only").into());
    }
    let client = context.client().await?;
    let app = choose_or_new(context, &client, app.as_ref()).await?;
    let mut changes = Vec::new();
    for wish in wishes {
        let value = wish.value.get(&wish.name)?;
        changes.push(EnvChange { name: wish.name, value: Some(value) });
    }
    apply(context, &client, &app, changes, stage, options).await
}

/// Changes variables and follows the release that makes.
pub(super) async fn apply(
    context: &Context,
    client: &Client,
    app: &str,
    changes: Vec<EnvChange>,
    stage: bool,
    options: ChangeOptions,
) -> Result<Outcome> {
    if options.plan {
        let request = on_app(app, DeployKind::Environment { changes, stage });
        return submit(context, client, &request, options).await;
    }
    let interrupts = Interrupts::listen()?;
    let shell = crate::parts::shell_names();
    let request = EnvRequest { changes, who: crate::who::who(), stage, shell };
    let answer: DeployStarted =
        client.patch(&target(path::ENVIRONMENT, &[("app", app)], &[]), &request).await?;
    started(context, client, interrupts, &answer, options.output.verbosity()).await
}

/// Takes the app off the words.
pub(super) fn split_app(words: &[String]) -> (Option<Place>, &[String]) {
    match words.split_first() {
        Some((first, rest)) if is_name(first) => (Some(Place::App(first.clone())), rest),
        _ => (None, words),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Wish {
    name: String,
    value: Value,
}

#[derive(Debug, PartialEq, Eq)]
enum Value {
    Given(String),
    Input,
    Asked,
}

/// Longest value; the kernel passes no longer variable to a program (`MAX_ARG_STRLEN`).
const MAX_VALUE_BYTES: u64 = 128 << 10;

impl Value {
    fn reads_input(&self) -> bool {
        match self {
            Self::Given(_) => false,
            Self::Input => true,
            Self::Asked => !std::io::stdin().is_terminal(),
        }
    }

    fn get(self, name: &str) -> Result<String> {
        match self {
            Self::Given(value) => Ok(value),
            Self::Asked if std::io::stdin().is_terminal() => {
                terminal::ask_hidden(&format!("{name}: "))
            }
            Self::Input | Self::Asked => read_input(name),
        }
    }
}

/// Reads a value from standard input; one newline at its end is the shell's, not the value's.
fn read_input(name: &str) -> Result<String> {
    let mut text = String::new();
    std::io::stdin().lock().take(MAX_VALUE_BYTES + 1).read_to_string(&mut text).map_err(
        |error| {
            Failure::new(Kind::Usage, format!("failed to read `{name}` from standard input"))
                .because(&error)
        },
    )?;
    if text.len() as u64 > MAX_VALUE_BYTES {
        let text = format!("`{name}` is longer than {MAX_VALUE_BYTES} bytes");
        return Err(usage(text).hint("keep long values in a file below the app's data").into());
    }
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

fn parse(word: &str) -> Result<Wish> {
    let (name, value) = match word.split_once('=') {
        None => (word, Value::Asked),
        Some((name, "-")) => (name, Value::Input),
        Some((name, value)) => (name, Value::Given(value.to_owned())),
    };
    Ok(Wish { name: variable_name(name)?.to_owned(), value })
}

/// Returns `name` if it is a variable's.
pub(super) fn variable_name(name: &str) -> Result<&str> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if first && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(name);
    }
    Err(usage(format!("`{name}` is not a variable's name"))
        .hint("letters, digits and underscores, not a digit first")
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_given_read_or_asked_for() {
        let wish = |word: &str| parse(word).unwrap();
        assert_eq!(wish("A=b=c").value, Value::Given("b=c".to_owned()));
        assert_eq!(wish("A=").value, Value::Given(String::new()));
        assert_eq!(wish("A=-").value, Value::Input);
        assert_eq!(wish("A").value, Value::Asked);
        for bad in ["=x", "1A=x", "A B=x", "A-B=x", "É=x"] {
            assert!(parse(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn the_first_word_may_be_the_app() {
        let words =
            |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        assert_eq!(split_app(&words("shop A=1")).0, Some(Place::App("shop".to_owned())));
        assert_eq!(split_app(&words("A debug=1")).0, None);
        assert_eq!(split_app(&words("debug=1")).0, None);
    }
}
