//! Everything the store knows of an app, as JSON under these keys:
//!
//! | key | value | written |
//! |---|---|---|
//! | `app-records/A` | [`AppRecord`] | first deploy, `--listen`, each switch |
//! | `apps/A/releases/N` (ten digits) | [`ReleaseRecord`] | with each phase of its deploy |
//! | `apps/A/scale` | [`Scale`] | `skep scale` |
//! | `apps/A/env/…` | see `environment` | `skep env:set` |
//! | `waiting/A/ID` | [`DeployRecord`]s that wait for their turn, in their order | when taken on |
//! | `callers/A/ID` | a sealed [`crate::Caller`], until that deploy's end | when taken on |
//! | `deploying/A` | the [`DeployRecord`] that is going on | with each phase |
//! | `deploys/ID` | [`DeployRecord`]s that ended, the last [`KEPT_DEPLOYS`] | at their end |
//! | `counters/NAME` | a number that only rises | generations, deploys, route epochs |
//! | `users/NAME` | uid | first deploy as root |
//!
//! IDs are written with sixteen digits, so that their keys sort as they were given out. What the
//! agent's start reads of every app has a prefix of its own: an app's history does not slow it.
//!
//! Of an app's releases the last [`KEPT_RELEASES`] can be asked for, and every one whose files are
//! kept.
//!
//! Desired state lives here and nowhere else; what is observed (pids, readiness) is never stored.

use std::collections::BTreeMap;

use api::DeployKind;
use app::model::App;
use release::Artifact;
use serde::{Deserialize, Serialize};

/// Ended deploys that can still be asked for, per installation.
pub const KEPT_DEPLOYS: usize = 200;

/// Releases of an app that can still be asked for after their files went: what changed in the last
/// months of an app that is deployed daily.
pub const KEPT_RELEASES: usize = 200;

/// What is known of an app besides its releases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppRecord {
    /// Its name.
    pub name: String,
    /// The public address it keeps, for example `0.0.0.0:8000`; absent: it has no routes yet.
    #[serde(default)]
    pub listener: Option<String>,
    /// The directory it was last deployed from.
    #[serde(default)]
    pub directory: Option<String>,
    /// What runs; absent before the first release and never after.
    #[serde(default)]
    pub serving: Option<Serving>,
    /// The last number given to a release.
    #[serde(default)]
    pub last_release: u32,
    /// The foreground session that what runs belongs to; absent: it stays until somebody stops it.
    #[serde(default)]
    pub session: Option<Session>,
}

/// A foreground session: what it deployed is up while a client's connection lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id, chosen by the client.
    pub id: String,
    /// The deploy it began with.
    pub deploy: String,
    /// The boot it began in: a client does not outlive it.
    pub boot_id: String,
    /// Who began it.
    pub who: String,
}

/// What runs of an app: the outcome of a deploy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// The release.
    pub release: u32,
    /// Services by name, stopped ones included.
    pub services: BTreeMap<String, Placement>,
}

/// The slots of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Stopped by an operator; its slots are not running.
    #[serde(default)]
    pub stopped: bool,
    /// By number.
    pub slots: BTreeMap<u32, SlotPlacement>,
}

impl Serving {
    /// Returns whether every service was stopped.
    pub fn is_down(&self) -> bool {
        self.services.values().all(|placement| placement.stopped)
    }
}

/// One slot as it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotPlacement {
    /// Its generation.
    pub generation: u64,
    /// The release its process was started from.
    pub release: u32,
    /// Its port, where it binds one.
    #[serde(default)]
    pub port: Option<u16>,
}

/// How a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseState {
    /// Being deployed.
    Pending,
    /// It became ready and served; a rollback target.
    Good,
    /// It never served, or was swapped back.
    Failed,
}

/// One release: app, artifact, variables, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// Its number.
    pub number: u32,
    /// How it stands.
    pub state: ReleaseState,
    /// The app file it runs with.
    pub app: App,
    /// Its files.
    pub artifact: Artifact,
    /// Version of the operator's variables.
    pub env_version: u64,
    /// Who asked for it.
    pub who: String,
    /// When, RFC 3339.
    pub at: String,
    /// `deploy`, `environment` or `rollback to v12`.
    pub kind: String,
    /// Commit and uncommitted changes.
    #[serde(default)]
    pub source: Option<String>,
    /// Compared with the release before it.
    #[serde(default)]
    pub changed: Vec<String>,
    /// Why it failed, one line.
    #[serde(default)]
    pub failure: Option<String>,
    /// Whether its artifact was removed.
    #[serde(default)]
    pub removed: bool,
}

/// The operator's numbers of slots; they outlive deploys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// By service.
    pub services: BTreeMap<String, Scaled>,
}

/// A number and who wanted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaled {
    /// Slots.
    pub slots: u32,
    /// Who set it.
    pub who: String,
    /// When, RFC 3339.
    pub at: String,
}

/// What somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "intent", rename_all = "snake_case")]
pub enum Intent {
    /// Build a directory and make it current.
    Deploy {
        /// Absolute path.
        directory: String,
        /// Even if nothing changed.
        force: bool,
    },
    /// Make an earlier good release current.
    Rollback {
        /// Which; absent: the good one before the current.
        to: Option<u32>,
    },
    /// Replace slots one by one.
    Restart {
        /// Only this service.
        service: Option<String>,
    },
    /// Stop serving.
    Stop {
        /// Only this service.
        service: Option<String>,
    },
    /// Serve again.
    Start {
        /// Only this service.
        service: Option<String>,
    },
    /// Change numbers of slots.
    Scale {
        /// Service → slots.
        targets: BTreeMap<String, u32>,
    },
    /// Make a written version of the variables current.
    Environment {
        /// The version.
        version: u64,
        /// Names that change, for people.
        names: Vec<String>,
    },
}

impl Intent {
    /// Returns what a request asks for; `None` for variables, of which a version is written first.
    pub fn asked(kind: &DeployKind) -> Option<Self> {
        Some(match kind.clone() {
            DeployKind::Deploy { directory, force } => Self::Deploy { directory, force },
            DeployKind::Rollback { to } => Self::Rollback { to },
            DeployKind::Restart { service } => Self::Restart { service },
            DeployKind::Stop { service } => Self::Stop { service },
            DeployKind::Start { service } => Self::Start { service },
            DeployKind::Scale { targets } => Self::Scale { targets },
            DeployKind::Environment { .. } => return None,
        })
    }

    /// Returns its word in `releases`, summaries and messages.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Deploy { .. } => "deploy",
            Self::Rollback { .. } => "rollback",
            Self::Restart { .. } => "restart",
            Self::Stop { .. } => "stop",
            Self::Start { .. } => "start",
            Self::Scale { .. } => "scale",
            Self::Environment { .. } => "environment",
        }
    }
}

/// Where a deploy is. The order is the order in which they follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waiting for the one before it.
    Queued,
    /// Making the artifact.
    Build,
    /// Variables, addresses, space.
    Check,
    /// The release command runs; a crash here leaves its outcome to its shim's journal.
    Release,
    /// New slots are started and awaited.
    Start,
    /// The routes are being changed: from here on it is finished, not undone.
    Switch,
    /// Old slots drain and stop.
    Drain,
    /// A crash loop swaps back.
    Watch,
    /// The old slots end: there is nothing to swap back to any more.
    Retire,
    /// Being undone.
    Undo,
    /// Over.
    Ended,
}

/// How a deploy ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// As asked.
    Done,
    /// Failed; what was before is intact.
    Failed(Box<report::Failure>),
    /// Cancelled on request; what was before is intact.
    Cancelled,
    /// A newer one took its place before it began.
    Superseded,
}

/// The journal of one deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployRecord {
    /// Its id, `d17`.
    pub id: String,
    /// The app.
    pub app: String,
    /// What was asked for.
    pub intent: Intent,
    /// Who asked.
    pub who: String,
    /// When, RFC 3339.
    pub at: String,
    /// The boot in which it was written last: processes of another one are gone.
    pub boot_id: String,
    /// Where it is.
    pub phase: Phase,
    /// The foreground session that asked for it, or that it ends.
    #[serde(default)]
    pub session: Option<Session>,
    /// What ran before; absent before the first release.
    #[serde(default)]
    pub from: Option<Serving>,
    /// The release it made.
    #[serde(default)]
    pub release: Option<u32>,
    /// The public address that it had before.
    #[serde(default)]
    pub from_listener: Option<String>,
    /// The public address that the app has from the switch on; until it is checked the one that was
    /// asked for.
    #[serde(default)]
    pub listener: Option<String>,
    /// What it goes to, one after the other: one for a deploy, one a slot for a restart.
    #[serde(default)]
    pub stages: Vec<Serving>,
    /// The stage it is at.
    #[serde(default)]
    pub stage: usize,
    /// The slot that runs the release command, once it was started.
    #[serde(default)]
    pub release_slot: Option<u64>,
    /// How it ended.
    #[serde(default)]
    pub end: Option<End>,
}

/// The keys; see the module's table.
pub mod key {
    /// The records of all apps.
    pub const APPS: &str = "app-records/";

    /// An app.
    pub fn app(app: &str) -> String {
        format!("{APPS}{app}")
    }

    /// What an app's archive takes along besides its record: releases, scale, variables.
    pub fn everything(app: &str) -> String {
        format!("apps/{app}/")
    }

    /// All releases of an app.
    pub fn releases(app: &str) -> String {
        format!("apps/{app}/releases/")
    }

    /// A release.
    pub fn release(app: &str, number: u32) -> String {
        format!("apps/{app}/releases/{number:010}")
    }

    /// An app's scale.
    pub fn scale(app: &str) -> String {
        format!("apps/{app}/scale")
    }

    /// Deploys that are going on.
    pub const DEPLOYING: &str = "deploying/";

    /// The deploy of an app that is going on.
    pub fn deploy(app: &str) -> String {
        format!("{DEPLOYING}{app}")
    }

    /// Deploys that wait for their turn.
    pub const WAITING: &str = "waiting/";

    /// Those of an app.
    pub fn waiting_of(app: &str) -> String {
        format!("{WAITING}{app}/")
    }

    /// A deploy that waits for its turn.
    pub fn waiting(app: &str, id: &str) -> String {
        format!("{WAITING}{app}/{:016}", number(id))
    }

    /// What the callers of an app's deploys gave along.
    pub fn callers_of(app: &str) -> String {
        format!("callers/{app}/")
    }

    /// What the caller of a deploy gave along, sealed.
    pub fn caller(app: &str, id: &str) -> String {
        format!("callers/{app}/{:016}", number(id))
    }

    /// Deploys that ended.
    pub const ENDED: &str = "deploys/";

    /// A deploy that ended.
    pub fn ended(id: &str) -> String {
        format!("{ENDED}{:016}", number(id))
    }

    /// Returns the number in an id such as `d17`.
    fn number(id: &str) -> u64 {
        id.trim_start_matches('d').parse().unwrap_or(0)
    }

    /// A counter.
    pub fn counter(name: &str) -> String {
        format!("counters/{name}")
    }

    /// A user id.
    pub fn user(name: &str) -> String {
        format!("users/{name}")
    }
}
