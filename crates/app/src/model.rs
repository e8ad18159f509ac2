//! The app file as a value: everything a release needs to know about how it runs.
//!
//! Serialized (as JSON) into each release record, so that a rollback runs with the configuration
//! it had; the config digest is the digest of that JSON. Fields are added, never repurposed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Its name: lowercase letters, digits, inner hyphens; at most 63 bytes.
    pub name: String,
    /// Where the value came from.
    pub origin: Origin,
    /// Files and directories, relative to the source, that outlive releases.
    pub data: Vec<DataPath>,
    /// How the artifact is made.
    pub build: Build,
    /// What runs once before a new release starts.
    pub release: ReleaseTask,
    /// Declared variables by name.
    pub env: BTreeMap<String, Variable>,
    /// Services by name.
    pub services: BTreeMap<String, Service>,
    /// How deploys of this app behave.
    pub deploy: DeployPolicy,
    /// What the parser assumed and wants said, for example `instance/ is kept as data`.
    pub notes: Vec<String>,
}

impl App {
    /// Returns the canonical JSON that the config digest is taken of: two apps that would run the
    /// same have the same. Maps are sorted, and what is only said about the app ([`Self::notes`],
    /// [`Self::origin`]) is left out, so that neither a clearer wording nor a move from a
    /// `Procfile` to the same `skep.toml` is a change.
    pub fn config_json(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|name, _| name != "notes" && name != "origin");
        }
        value.to_string()
    }
}

/// Which file an app's description was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// `skep.toml`.
    AppFile,
    /// `Procfile`, named after its directory.
    Procfile,
    /// Neither; guessed from the code.
    Detected,
}

/// A path kept across releases.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DataPath {
    /// Relative to the source directory, normalised, without `..`.
    pub path: String,
    /// Whether the user wrote it or a starter layout implied it.
    pub implied: bool,
}

/// How the artifact is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Shell commands run in the source copy after the environment is there.
    pub steps: Vec<String>,
    /// Which Python, as uv understands it (`3.12`, `>=3.11`); absent: the project's own wish.
    pub python: Option<String>,
    /// Glob patterns added to the source set.
    pub include: Vec<String>,
    /// Glob patterns taken out of it.
    pub exclude: Vec<String>,
    /// How long the whole build may take, in milliseconds.
    pub timeout_ms: u64,
}

/// The release command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseTask {
    /// The command; absent: nothing runs.
    pub command: Option<Command>,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
}

/// A command line as it will be exec'ed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// As the user wrote it.
    pub text: String,
    /// Split into words as a POSIX shell would, leading `NAME=value` words taken off into
    /// `assignments`; for a shell command `["/bin/sh", "-c", text]`.
    pub words: Vec<String>,
    /// Leading `NAME=value` words.
    pub assignments: Vec<(String, String)>,
    /// Why it needs a shell (`&&`, `|`, `$(…)`, a redirection …); absent: it does not.
    pub shell: Option<String>,
}

/// A declared variable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its default.
    pub value: Option<String>,
    /// A release without it is refused.
    pub required: bool,
    /// Never printed unasked.
    pub secret: bool,
    /// Made once, at random, and kept: this many bytes, written as hexadecimal.
    pub generate_bytes: Option<u32>,
    /// What it is for, shown where it is missing.
    pub about: Option<String>,
}

/// One process type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// What runs.
    pub command: Command,
    /// How many slots at first; `skep scale` takes over from here.
    pub processes: u32,
    /// How it listens.
    pub listen: Listen,
    /// Explicit health path; absent: any answer below 500 to `GET /`.
    pub health: Option<String>,
    /// Hosts it answers for; empty: any.
    pub hosts: Vec<String>,
    /// Path prefix it answers for.
    pub path: String,
    /// User it runs as (root installations only); absent: the app's own.
    pub user: Option<String>,
    /// Signal number that asks for an orderly end.
    pub stop_signal: i32,
    /// How long that may take, in milliseconds.
    pub stop_grace_ms: u64,
    /// What makes a slot ready.
    pub ready: Ready,
    /// How long getting ready may take, in milliseconds.
    pub ready_timeout_ms: u64,
    /// What happens when it ends by itself.
    pub restart: Restart,
    /// Services of this app that must be ready before it starts.
    pub after: Vec<String>,
    /// Whether old and new may run side by side though it does not listen.
    pub overlap: bool,
    /// How long a request waits when no slot is ready, in milliseconds.
    pub hold_ms: u64,
    /// How long requests may go on in a replaced slot, in milliseconds.
    pub drain_ms: u64,
    /// How long a slot may take to its first response byte, in milliseconds.
    pub response_timeout_ms: u64,
    /// Largest request body in bytes.
    pub body_limit_bytes: u64,
    /// Most requests in flight in one slot.
    pub in_flight: u32,
    /// `RLIMIT_NOFILE`.
    pub open_files: Option<u64>,
    /// Variables of this service alone.
    pub env: BTreeMap<String, String>,
    /// The server that was recognised in the command, by its profile's name.
    pub profile: Option<String>,
    /// How long an idle connection to a slot may be kept, in milliseconds: below the server's own
    /// keep-alive time; 0: one request a connection.
    pub idle_ms: u64,
}

/// How a service gets its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listen {
    /// Descriptor 3, a held unix listener.
    Fd,
    /// It binds the unix socket whose path is in `PORT`.
    Path,
    /// It binds `PORT` on 127.0.0.1 (or all addresses).
    Port,
    /// It binds this port itself; old and new cannot overlap.
    Fixed(u16),
    /// It does not listen.
    None,
}

/// What makes a slot ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// An HTTP answer on the slot's own socket.
    Http,
    /// `READY=1` on `NOTIFY_SOCKET`.
    Notify,
    /// It has stayed up this long, in milliseconds.
    StaysUp(u64),
}

/// What happens when a process ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// It is started again.
    Always,
    /// It is started again unless its status was 0.
    OnFailure,
    /// It is not started again.
    Never,
}

/// How deploys of an app behave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployPolicy {
    /// How long after the switch a crash loop or lost readiness swaps back, in milliseconds.
    pub watch_ms: u64,
    /// Good releases kept.
    pub keep: u32,
}
