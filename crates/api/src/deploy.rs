//! Everything that changes what runs: one request type, one stream of events.

use std::collections::BTreeMap;

use report::Failure;
use serde::{Deserialize, Serialize};

/// A deploy's id, unique in the installation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeployId(pub String);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DeployKind {
    /// Build the directory and make it the current release.
    Deploy {
        /// Absolute path of the source.
        directory: String,
        /// Build and roll out even if nothing changed.
        #[serde(default)]
        force: bool,
    },
    /// Make an earlier good release current again.
    Rollback {
        /// Which; absent: the good one before the current.
        #[serde(default)]
        to: Option<u32>,
    },
    /// Replace the slots one by one.
    Restart {
        /// Only this service.
        #[serde(default)]
        service: Option<String>,
    },
    /// Stop serving; releases, data and variables are kept.
    Stop {
        /// Only this service.
        #[serde(default)]
        service: Option<String>,
    },
    /// Serve again what was stopped.
    Start {
        /// Only this service.
        #[serde(default)]
        service: Option<String>,
    },
    /// Change the number of slots.
    Scale {
        /// Service → slots.
        targets: BTreeMap<String, u32>,
    },
    /// Change variables; a release of its own.
    Environment {
        /// What changes.
        changes: Vec<crate::EnvChange>,
        /// Store only; take effect with the next release.
        #[serde(default)]
        stage: bool,
    },
}

/// A request for one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployRequest {
    /// The app; absent for a deploy: as the directory's app file says.
    #[serde(default)]
    pub app: Option<String>,
    /// What.
    #[serde(flatten)]
    pub kind: DeployKind,
    /// Who asks, for the release record.
    pub who: String,
    /// A listener to keep for the app, `ADDR:PORT` or `:PORT`.
    #[serde(default)]
    pub listen: Option<String>,
    /// The caller's variables that a build may see (only names on the allow-list are read).
    #[serde(default)]
    pub build_environment: BTreeMap<String, String>,
    /// Names of the caller's variables, so that one that the app misses can be told apart from one
    /// that nobody has.
    #[serde(default)]
    pub shell: crate::ShellNames,
}

/// The answer to a request that was taken on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployStarted {
    /// The deploy to watch; absent: nothing to do.
    #[serde(default)]
    pub id: Option<DeployId>,
    /// The app.
    pub app: String,
    /// For people, for example `no change since v14`.
    #[serde(default)]
    pub message: Option<String>,
}

/// A foreground session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpRequest {
    /// What to deploy.
    #[serde(flatten)]
    pub deploy: DeployRequest,
    /// An id that the client chose and nobody else knows, to hold the session again with: letters,
    /// digits and `-`, 64 at most.
    pub session: String,
}

/// The steps of a deploy, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepName {
    /// Waiting for an earlier deploy of this app.
    Queue,
    /// Source set, environment, code.
    Build,
    /// Variables, space, addresses.
    Check,
    /// The release command.
    Release,
    /// New slots, until ready.
    Start,
    /// The routes.
    Switch,
    /// The old slots' last requests.
    Drain,
    /// The time in which a crash loop swaps back.
    Watch,
    /// Back to what was.
    Undo,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Going on; may be sent often with new text.
    Running,
    /// Done.
    Done,
    /// Nothing to do.
    Skipped,
    /// Failed.
    Failed,
}

/// News of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Which step.
    pub step: StepName,
    /// How it stands.
    pub state: StepState,
    /// What it does or did, for example `environment unchanged, code 0.2 s`.
    pub text: String,
    /// A remark beside it, for example `GET / 200 in 48 ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How long it has taken, in milliseconds.
    pub elapsed_ms: u64,
}

/// One line of a deploy's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum DeployEvent {
    /// First of all: what this is about.
    Begun {
        /// Its summary so far.
        deploy: DeploySummary,
    },
    /// The release was added: `to` is its number, which no summary before this one has.
    Numbered {
        /// Its summary so far.
        deploy: DeploySummary,
    },
    /// A step moved.
    Progress(Progress),
    /// A line that a build step or the release command wrote.
    Output {
        /// During which step.
        step: StepName,
        /// The line.
        line: String,
    },
    /// Something worth knowing that is not a failure.
    Notice {
        /// For people.
        text: String,
    },
    /// The new release serves; the stream goes on until `Ended` or, for `skep up`, for ever.
    Live(LiveReport),
    /// The last line.
    Ended {
        /// Its summary.
        deploy: DeploySummary,
        /// Why it failed, or absent.
        #[serde(default)]
        failure: Option<Failure>,
    },
}

/// One deploy, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploySummary {
    /// Its id.
    pub id: DeployId,
    /// The app.
    pub app: String,
    /// `deploy`, `rollback`, `restart`, `scale`, `environment`, `stop`, `start`.
    pub kind: String,
    /// The release before it.
    #[serde(default)]
    pub from: Option<u32>,
    /// The release it makes or made current; absent while it has no number yet.
    #[serde(default)]
    pub to: Option<u32>,
    /// What is new in it, for example `8c1f2e9 +2 uncommitted`.
    #[serde(default)]
    pub source: Option<String>,
    /// Who asked.
    pub who: String,
    /// When it was asked for.
    pub at: String,
    /// `running`, `live`, `done`, `failed`, `undone`, `superseded`, `cancelled`.
    pub state: String,
}

/// What is said when the new release serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveReport {
    /// From the request to the acknowledged switch, in milliseconds.
    pub after_ms: u64,
    /// Where the app answers, for example `http://shop.localhost:8000`.
    pub addresses: Vec<String>,
    /// Requests of this app that the proxy failed meanwhile.
    pub failed: u64,
    /// Requests that waited for a slot meanwhile.
    pub held: u64,
    /// The longest wait in milliseconds.
    pub held_max_ms: u64,
    /// Requests ended at the drain limit.
    pub cut: u64,
    /// The command that undoes it.
    #[serde(default)]
    pub undo: Option<String>,
}
