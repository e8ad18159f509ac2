//! Running programs: announced, checked, and with one kind of failure for all commands.

use std::fmt;
use std::io::Write;
use std::process::{Command, ExitCode, Output, Stdio};

/// Why a command ended early. The codes are those of `skep` itself.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something failed.
    Failed(String),
    /// The command line is wrong.
    Usage(String),
    /// Something is missing that could not be installed.
    Missing(String),
    /// We were asked to end, and have tidied up.
    Interrupted,
    /// A program in the foreground ended with this code and has said why.
    Said(u8),
}

impl Stop {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 64,
            Self::Missing(_) => 69,
            Self::Interrupted => 130,
            Self::Said(code) => *code,
        })
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text) | Self::Usage(text) | Self::Missing(text) => f.write_str(text),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Said(code) => write!(f, "exit code {code}"),
        }
    }
}

/// Adds what was tried to an I/O error.
pub(crate) trait Tried<T> {
    fn tried(self, what: impl fmt::Display) -> Result<T, Stop>;
}

impl<T> Tried<T> for std::io::Result<T> {
    fn tried(self, what: impl fmt::Display) -> Result<T, Stop> {
        self.map_err(|error| Stop::Failed(format!("failed to {what}: {error}")))
    }
}

/// Fails with what it is `otherwise`, unless it holds.
pub(crate) fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Stop> {
    if holds { Ok(()) } else { Err(Stop::Failed(otherwise())) }
}

/// Returns the failure of what was done or of what was done after it in any case, or both.
pub(crate) fn both(first: Result<(), Stop>, second: Result<(), Stop>) -> Result<(), Stop> {
    match (first, second) {
        (Err(first), Err(second)) => {
            Err(Stop::Failed(format!("{first}\nand while tidying up: {second}")))
        }
        (first, second) => first.and(second),
    }
}

/// Says what is done next.
pub(crate) fn announce(text: impl fmt::Display) {
    say(format_args!("· {text}"));
}

/// Says a line.
pub(crate) fn say(line: impl fmt::Display) {
    say_raw(format!("{line}\n").as_bytes());
}

/// Says what a program said. A reader that is gone, a terminal or `head`, is no reason to stop half
/// way: what was started still has to be ended.
pub(crate) fn say_raw(text: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text).and_then(|()| out.flush());
}

/// Returns the command as it would be typed.
pub(crate) fn typed(command: &Command) -> String {
    let quoted = |word: &std::ffi::OsStr| {
        let word = word.to_string_lossy().into_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:+,@%".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(quoted)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a program to its end; anything but status 0 is a failure.
pub(crate) fn run(command: &mut Command) -> Result<(), Stop> {
    let text = typed(command);
    let status = command.status().tried(format_args!("run `{text}`"))?;
    if status.success() {
        Ok(())
    } else {
        Err(Stop::Failed(format!("`{text}` ended with {status}")))
    }
}

/// Runs a program and returns what it wrote; the status is the caller's to judge.
pub(crate) fn output(command: &mut Command) -> Result<Output, Stop> {
    let text = typed(command);
    command.stdin(Stdio::null()).output().tried(format_args!("run `{text}`"))
}

/// Returns whether a program runs and ends with status 0, silently.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Returns the cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
