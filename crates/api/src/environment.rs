//! Variables, and what a one-off command needs.

use serde::{Deserialize, Serialize};

/// Which layer a variable comes from, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvLayer {
    /// Skep itself: `HOME`, `PATH`, `LANG` …
    Base,
    /// The server profile: `PORT`, `FORWARDED_ALLOW_IPS` …
    Profile,
    /// `[env]` of the app file.
    AppFile,
    /// `[services.NAME.env]` and words before the command.
    Service,
    /// Made once by Skep (`generate`).
    Generated,
    /// `skep env:set`.
    Operator,
}

/// One variable of the operator's or the app file's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvEntry {
    /// Its name.
    pub name: String,
    /// Its value; absent where it is a secret and was not asked for.
    #[serde(default)]
    pub value: Option<String>,
    /// Whether it is a secret.
    pub secret: bool,
    /// Its layer.
    pub layer: EnvLayer,
    /// Who set it, where an operator did.
    #[serde(default)]
    pub who: Option<String>,
    /// When, RFC 3339.
    #[serde(default)]
    pub at: Option<String>,
    /// Required and not set.
    #[serde(default)]
    pub missing: bool,
}

/// The variables of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvList {
    /// The app.
    pub app: String,
    /// Version of the operator's variables.
    pub version: u64,
    /// By name.
    pub entries: Vec<EnvEntry>,
}

/// One step of an explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvExplain {
    /// `app/service`.
    pub service: String,
    /// Every variable the service's processes get; several entries of one name are layers, the
    /// last one wins.
    pub entries: Vec<EnvEntry>,
    /// Where each came from, parallel to `entries`: file and line, profile, command.
    pub sources: Vec<String>,
}

/// A change of one variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvChange {
    /// Its name.
    pub name: String,
    /// Its new value; absent: unset it.
    #[serde(default)]
    pub value: Option<String>,
}

/// A change of variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvRequest {
    /// What changes.
    pub changes: Vec<EnvChange>,
    /// Who asks.
    pub who: String,
    /// Store only; take effect with the next release.
    #[serde(default)]
    pub stage: bool,
    /// Names of the caller's variables; see [`crate::DeployRequest::shell`].
    #[serde(default)]
    pub shell: crate::ShellNames,
}

/// Asks for what a one-off command needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRequest {
    /// The command's words.
    pub command: Vec<String>,
    /// With the variables of this service too.
    #[serde(default)]
    pub service: Option<String>,
}

/// Everything a one-off command needs. The caller starts it in its own terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPlan {
    /// The release it belongs to.
    pub release: u32,
    /// The program's absolute path.
    pub program: String,
    /// Its arguments, the zeroth included.
    pub arguments: Vec<String>,
    /// Where it runs.
    pub directory: String,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// Whom to become (uid, gid), where the installation is root's.
    #[serde(default)]
    pub credentials: Option<(u32, u32)>,
    /// A file to hold locked shared while it runs.
    pub lease: String,
    /// File mode creation mask.
    pub umask: u32,
}
