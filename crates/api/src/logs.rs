//! Log lines.

use serde::{Deserialize, Serialize};

/// Which lines are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogQuery {
    /// Only this app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Only this service of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Only this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<u32>,
    /// The last so many lines; absent: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<usize>,
    /// Go on with lines as they come.
    #[serde(default)]
    pub follow: bool,
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The shim itself: starts, exits, gaps.
    Shim,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was read, RFC 3339 with microseconds.
    pub at: String,
    /// `app/service`.
    pub service: String,
    /// The slot's number.
    pub slot: u32,
    /// Its main process.
    pub pid: u32,
    /// The release.
    pub release: String,
    /// Which stream.
    pub stream: LogStream,
    /// The line, without its end; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// The line goes on in the next record.
    #[serde(default)]
    pub partial: bool,
    /// Lines are missing before this one.
    #[serde(default)]
    pub gap: bool,
}
