//! The one printer.
//!
//! Standard output carries data and nothing else; progress, remarks and errors go to standard
//! error. Colours and moving lines only on a terminal, no colours where `NO_COLOR` is set (to
//! anything) or `TERM` is `dumb`. A reader of standard output that went away ends the command
//! quietly; standard error failing is ignored, there is nobody to tell.

use std::io::{self, IsTerminal, Stderr, Stdout, Write};

use report::{Failure, Kind};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::render::failure;
use crate::render::paint::{Paint, Style};
use crate::render::table::Table;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON value, or one a line for streams.
    Json,
}

/// How much is said besides data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loudness {
    /// Progress and remarks.
    Normal,
    /// Errors only.
    Quiet,
}

/// Where and how this command prints.
#[derive(Debug)]
pub(crate) struct Output {
    /// How data is printed.
    pub(crate) format: Format,
    /// For standard output.
    pub(crate) data_paint: Paint,
    /// For standard error.
    pub(crate) progress_paint: Paint,
    loudness: Loudness,
    terminal: bool,
    stdout: Stdout,
    stderr: Stderr,
}

impl Output {
    /// Returns a printer for this process's own streams.
    pub(crate) fn new(format: Format, loudness: Loudness) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let wanted = variable("NO_COLOR").is_none()
            && variable("TERM").is_none_or(|terminal| terminal != "dumb");
        let paint = |terminal| if terminal && wanted { Paint::Colours } else { Paint::Plain };
        let dumb = variable("TERM").is_none_or(|terminal| terminal == "dumb");
        Self {
            format,
            data_paint: paint(io::stdout().is_terminal()),
            progress_paint: paint(io::stderr().is_terminal()),
            loudness,
            terminal: io::stderr().is_terminal() && !dumb,
            stdout: io::stdout(),
            stderr: io::stderr(),
        }
    }

    /// Returns whether lines may be drawn over.
    pub(crate) fn can_redraw(&self) -> bool {
        self.terminal && self.loudness == Loudness::Normal && self.format == Format::Text
    }

    /// Returns whether progress is wanted at all.
    pub(crate) fn says_progress(&self) -> bool {
        self.loudness == Loudness::Normal && self.format == Format::Text
    }

    /// Prints a line of data.
    pub(crate) fn line(&self, text: &str) -> Result<()> {
        let mut stdout = self.stdout.lock();
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.write_all(b"\n"))
            .and_then(|()| stdout.flush())
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => Error::ReaderGone,
                _ => Failure::new(Kind::Failed, "failed to write to standard output")
                    .because(&error)
                    .into(),
            })
    }

    /// Prints lines of data at once.
    pub(crate) fn lines(&self, lines: &[String]) -> Result<()> {
        if lines.is_empty() { Ok(()) } else { self.line(&lines.join("\n")) }
    }

    /// Prints a value as JSON.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(|error| {
            Failure::new(Kind::Internal, "failed to write the answer as JSON").because(&error)
        })?;
        self.line(&text)
    }

    /// Prints `value` as JSON or, for people, as `table`.
    pub(crate) fn list(&self, value: &impl Serialize, table: impl FnOnce() -> Table) -> Result<()> {
        match self.format {
            Format::Json => self.json(value),
            Format::Text => self.lines(&table().lines(self.data_paint)),
        }
    }

    /// Says something about the progress; for people, on standard error.
    pub(crate) fn say(&self, text: &str) {
        if self.says_progress() {
            self.progress(&format!("{text}\n"));
        }
    }

    /// Says something that deserves attention but fails nothing.
    pub(crate) fn warn(&self, text: &str) {
        self.say(&format!("{} {text}", self.progress_paint.paint(Style::Warning, "!")));
    }

    /// Says what to type next.
    pub(crate) fn hint(&self, text: &str) {
        self.say(&format!("{} {text}", self.progress_paint.paint(Style::Good, "hint:")));
    }

    /// Writes text as it is to standard error.
    pub(crate) fn progress(&self, text: &str) {
        write_progress(&self.stderr, text);
    }

    /// Prints a failure, whatever the loudness; with `--json` as one line of JSON.
    pub(crate) fn failure(&self, failure: &Failure) {
        let text = match self.format {
            Format::Json => serde_json::to_string(failure).unwrap_or_else(|_| failure.to_string()),
            Format::Text => failure::lines(failure, self.progress_paint).join("\n"),
        };
        self.progress(&format!("{text}\n"));
    }
}

fn write_progress(stderr: &Stderr, text: &str) {
    let mut stderr = stderr.lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Says something on standard error where no printer is at hand; the caller knows that progress is
/// wanted.
pub(crate) fn remark(text: &str) {
    write_progress(&io::stderr(), &format!("{text}\n"));
}
