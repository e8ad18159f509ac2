//! The arguments of `skep-shim`.

use std::ffi::OsString;
use std::path::PathBuf;

use control::ServiceName;

/// Printed with every usage error.
pub(crate) const USAGE: &str = "usage: skep-shim --directory DIR --socket PATH \
    --service APP/SERVICE --installation ID [--cgroup BASE]";

/// What a shim is told at its start; everything else it is told by its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// Journal, lock and logs.
    pub(crate) directory: PathBuf,
    /// The control socket.
    pub(crate) socket: PathBuf,
    pub(crate) service: ServiceName,
    pub(crate) installation: String,
    /// The installation's cgroup; absent: sessions have to do.
    pub(crate) cgroup: Option<PathBuf>,
}

/// Arguments that are not understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    #[error("unknown argument `{0}`")]
    Unknown(String),
    #[error("`{0}` needs a value")]
    NoValue(&'static str),
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{option}` is not valid: {reason}")]
    Invalid { option: &'static str, reason: String },
}

const OPTIONS: [&str; 5] = ["--directory", "--socket", "--service", "--installation", "--cgroup"];

impl CommandLine {
    /// Parses the arguments behind the program's name.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut values: [Option<OsString>; OPTIONS.len()] = Default::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let index = OPTIONS
                .iter()
                .position(|option| argument == *option)
                .ok_or_else(|| UsageError::Unknown(argument.to_string_lossy().into_owned()))?;
            values[index] = Some(arguments.next().ok_or(UsageError::NoValue(OPTIONS[index]))?);
        }
        let [directory, socket, service, installation, cgroup] = values;
        let text = |value: Option<OsString>, option| {
            let value = value.ok_or(UsageError::Missing(option))?;
            value
                .into_string()
                .map_err(|_| UsageError::Invalid { option, reason: "it is not UTF-8".to_owned() })
        };
        // The shim leaves the starter's working directory.
        let path = |value: Option<OsString>, option| {
            let value = value.ok_or(UsageError::Missing(option))?;
            std::path::absolute(value)
                .map_err(|error| UsageError::Invalid { option, reason: error.to_string() })
        };
        Ok(Self {
            directory: path(directory, OPTIONS[0])?,
            socket: path(socket, OPTIONS[1])?,
            service: text(service, OPTIONS[2])?.parse().map_err(|error: control::IdError| {
                UsageError::Invalid { option: OPTIONS[2], reason: error.to_string() }
            })?,
            installation: text(installation, OPTIONS[3])?,
            cgroup: cgroup.map(|value| path(Some(value), OPTIONS[4])).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<CommandLine, String> {
        let arguments = text.split_ascii_whitespace().map(OsString::from);
        CommandLine::parse(arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn all_options_are_understood() {
        let whole = "--directory /d --socket /s --service a/b --installation i --cgroup /c";
        let line = parse(whole).unwrap();
        assert_eq!(line.service.to_string(), "a/b");
        assert_eq!(line.cgroup, Some("/c".into()));
        assert!(
            parse("--directory d --socket /s --service a/b --installation i")
                .unwrap()
                .directory
                .is_absolute()
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(parse("--no").unwrap_err(), "unknown argument `--no`");
        assert_eq!(parse("--socket").unwrap_err(), "`--socket` needs a value");
        assert_eq!(parse("").unwrap_err(), "`--directory` is missing");
        let bad = "--directory /d --socket /s --installation i --service A";
        assert!(parse(bad).unwrap_err().starts_with("`--service` is not valid"));
    }
}
