//! Apps, releases, processes and scale as they are listed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How the sentence in [`Overview::not_enforced`] begins that says that there are no cgroups; its
/// reason follows.
pub const LIMIT_SESSIONS: &str = "processes that leave their session are found late";

/// What this agent is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// Version and commit of the agent's build.
    pub build: String,
    /// The installation's id.
    pub installation: String,
    /// SKEP_HOME.
    pub home: String,
    /// The agent's process.
    pub pid: u32,
    /// Since when, RFC 3339.
    pub since: String,
    /// Whether it is complete: shims connected, routes acknowledged.
    pub ready: bool,
    /// What cannot be enforced here, one sentence each.
    pub not_enforced: Vec<String>,
    /// What is wrong now, one sentence each.
    pub problems: Vec<String>,
}

/// Where an app stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppState {
    /// All wanted slots are ready.
    Running,
    /// Some wanted slot is not ready.
    Degraded,
    /// Stopped on request.
    Stopped,
    /// It has no good release yet.
    New,
}

/// One app in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSummary {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: AppState,
    /// The current release.
    #[serde(default)]
    pub release: Option<u32>,
    /// Where it answers.
    pub addresses: Vec<String>,
    /// The directory it was last deployed from.
    #[serde(default)]
    pub directory: Option<String>,
    /// A deploy going on.
    #[serde(default)]
    pub deploy: Option<crate::DeployId>,
}

/// One rule that leads to an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// `ADDR:PORT`.
    pub listener: String,
    /// A host; absent: any.
    #[serde(default)]
    pub host: Option<String>,
    /// Path prefix.
    pub path: String,
    /// `app/service`.
    pub service: String,
}

/// One app, all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppDetail {
    /// As in the list.
    #[serde(flatten)]
    pub summary: AppSummary,
    /// Its routes.
    pub routes: Vec<Route>,
    /// Wanted slots by service.
    pub scale: BTreeMap<String, u32>,
    /// Where its data is.
    pub data_directory: String,
    /// Remarks of the app file's reader.
    pub notes: Vec<String>,
}

/// How a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseState {
    /// Being made.
    Pending,
    /// Serves, its watch time is not over.
    Watching,
    /// Serves now.
    Current,
    /// Served well; a rollback target.
    Good,
    /// Never served, or was swapped back; never a rollback target.
    Failed,
}

/// One release in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRow {
    /// Its number; `v14` for people.
    pub number: u32,
    /// How it stands.
    pub state: ReleaseState,
    /// When it was made, RFC 3339.
    pub at: String,
    /// Who made it.
    pub who: String,
    /// `deploy`, `environment` or `rollback to v12`.
    pub kind: String,
    /// Commit and uncommitted changes, where known.
    #[serde(default)]
    pub source: Option<String>,
    /// Compared with the release before it.
    pub changed: Vec<String>,
    /// The artifact's id.
    #[serde(default)]
    pub artifact: Option<String>,
    /// Whether its artifact is on disk.
    pub kept: bool,
    /// Why it failed, one line.
    #[serde(default)]
    pub failure: Option<String>,
}

/// How a slot stands, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotPhase {
    /// Runs, not ready yet.
    Starting,
    /// Runs and may be routed to.
    Ready,
    /// Replaced; its last requests are running.
    Draining,
    /// Waits before its next start.
    Backoff,
    /// Crashed too often.
    CrashLoop,
    /// Being stopped.
    Stopping,
    /// Stopped.
    Stopped,
    /// Ended and not to be restarted.
    Finished,
    /// Could not be started.
    Failed,
    /// Its shim does not answer.
    Unknown,
}

/// One slot in `ps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRow {
    /// `app/service`.
    pub service: String,
    /// The slot's number.
    pub slot: u32,
    /// The generation.
    pub generation: u64,
    /// The release.
    pub release: u32,
    /// How it stands.
    pub phase: SlotPhase,
    /// Its main process.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Processes in its tree, where that is known.
    #[serde(default)]
    pub processes: Option<u32>,
    /// Memory of its tree in bytes (RSS summed), where that is known.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Restarts since the slot was made.
    pub restarts: u64,
    /// Since when it runs, RFC 3339.
    #[serde(default)]
    pub since: Option<String>,
    /// How it last ended, or what is missing.
    #[serde(default)]
    pub note: Option<String>,
}

/// Wanted slots of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleEntry {
    /// The service.
    pub service: String,
    /// How many.
    pub slots: u32,
    /// `app file` or `operator`.
    pub layer: String,
    /// Who set it, where an operator did.
    #[serde(default)]
    pub who: Option<String>,
}

/// Today's scale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleReply {
    /// The app.
    pub app: String,
    /// By service.
    pub entries: Vec<ScaleEntry>,
}

/// A wanted number of slots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTarget {
    /// The service.
    pub service: String,
    /// How many.
    pub slots: u32,
}

/// A change of scale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleRequest {
    /// What to change; the others stay.
    pub targets: Vec<ServiceTarget>,
    /// Who asks.
    pub who: String,
}

/// What removing an app takes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// The app.
    pub app: String,
    /// What would be, or was, removed.
    pub lines: Vec<String>,
    /// Where data, releases and variables were archived.
    #[serde(default)]
    pub archive: Option<String>,
    /// The command that brings it back.
    #[serde(default)]
    pub undo: Option<String>,
}

/// Asks for a removed app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreRequest {
    /// Its archive's directory.
    pub archive: String,
}

/// What was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halted {
    /// The apps; the next start of the agent brings those back that are not stopped on request.
    pub apps: Vec<String>,
}
