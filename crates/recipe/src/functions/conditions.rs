//! Conditions of guards: questions that are asked when the resource is about to be looked at.

use std::fmt;

use allocative::Allocative;
use resource::Condition;
use starlark::environment::GlobalsBuilder;
use starlark::values::{
    NoSerialize, ProvidesStaticType, StarlarkPagablePanic, StarlarkValue, Value, starlark_value,
};
use starlark::{starlark_module, starlark_simple_value};

use crate::complaint::Complaint;
use crate::convert::{items, name_of};
use crate::limits::GUARD_TIMEOUT_MS;
use crate::secret::has_mark;

/// A condition as a value of the language.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, Allocative, StarlarkPagablePanic)]
pub(crate) struct ConditionWord(#[allocative(skip)] pub(crate) Condition);

starlark_simple_value!(ConditionWord);

impl fmt::Display for ConditionWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Condition::Exists(path) => write!(f, "exists({path:?})"),
            Condition::Installed(package) => write!(f, "installed({package:?})"),
            Condition::User(user) => write!(f, "has_user({user:?})"),
            Condition::Command { arguments, .. } => write!(f, "command({arguments:?})"),
        }
    }
}

#[starlark_value(type = "condition")]
impl<'v> StarlarkValue<'v> for ConditionWord {
    fn to_bool(&self) -> bool {
        // `if exists("/x"):` would always be true; the language has no way to refuse here.
        true
    }
}

/// Returns text that a condition may hold: plans show conditions.
fn shown(what: &str, text: &str) -> Result<String, Complaint> {
    if has_mark(text) {
        return Err(Complaint::new(format!("{what} cannot hold a secret: plans show it")));
    }
    match text.is_empty() || text.contains('\0') {
        true => Err(Complaint::new(format!("{what} must be text that is not empty"))),
        false => Ok(text.to_owned()),
    }
}

fn absolute(what: &str, path: &str) -> Result<String, Complaint> {
    let path = shown(what, path)?;
    match path.starts_with('/') && !path.split('/').any(|part| part == "..") {
        true => Ok(path),
        false => Err(Complaint::new(format!(
            "{what} must be an absolute path without `..`, not `{path}`"
        ))),
    }
}

fn arguments(command: Value<'_>) -> Result<Vec<String>, Complaint> {
    let expected = || {
        let label = format!("a command is a list of text, not {}", name_of(command));
        Complaint::new(label).at_position(0).hint("write `command([\"test\", \"-e\", \"/x\"])`")
    };
    let items = items(command).ok_or_else(expected)?;
    let texts =
        items.iter().map(|item| shown("a command", item.unpack_str().ok_or_else(expected)?));
    let arguments: Vec<String> = texts.collect::<Result<_, _>>()?;
    match arguments.is_empty() {
        true => Err(Complaint::new("a command needs a program").at_position(0)),
        false => Ok(arguments),
    }
}

pub(crate) fn add(builder: &mut GlobalsBuilder) {
    functions(builder);
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// Something is at an absolute path.
    fn exists(#[starlark(require = pos)] path: &str) -> starlark::Result<ConditionWord> {
        let path = absolute("the path", path).map_err(|complaint| complaint.at_position(0))?;
        Ok(ConditionWord(Condition::Exists(path)))
    }

    /// A package is installed.
    fn installed(#[starlark(require = pos)] package: &str) -> starlark::Result<ConditionWord> {
        Ok(ConditionWord(Condition::Installed(shown("the package", package)?)))
    }

    /// A user is known.
    fn has_user(#[starlark(require = pos)] user: &str) -> starlark::Result<ConditionWord> {
        Ok(ConditionWord(Condition::User(shown("the user", user)?)))
    }

    /// A command ends with status 0.
    fn command<'v>(
        #[starlark(require = pos)] arguments: Value<'v>,
        #[starlark(require = named)] user: Option<&str>,
        #[starlark(require = named)] directory: Option<&str>,
        #[starlark(require = named)] timeout: Option<&str>,
    ) -> starlark::Result<ConditionWord> {
        let user = user.map(|user| shown("the user", user)).transpose()?;
        let directory = directory.map(|path| absolute("the directory", path)).transpose();
        let directory = directory.map_err(|complaint| complaint.at_name("directory"))?;
        let timeout_ms = match timeout.map(report::quantity::parse_duration) {
            None => GUARD_TIMEOUT_MS,
            Some(Ok(ms)) => ms,
            Some(Err(error)) => {
                let label = format!("`timeout`: {error}");
                return Err(Complaint::new(label).at_name("timeout").into());
            }
        };
        let arguments = self::arguments(arguments)?;
        Ok(ConditionWord(Condition::Command { arguments, user, directory, timeout_ms }))
    }
}
