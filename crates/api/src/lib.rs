//! The types of the agent's HTTP interface and of every `--json`.
//!
//! The interface is HTTP/1.1 with JSON on the unix socket `run/api.sock`; streams are one JSON
//! object a line (`application/x-ndjson`). Any failure is answered with a 4xx or 5xx status and a
//! [`report::Failure`]. Paths are in [`path`].
//!
//! Every type here is what a user's script sees: fields are added, never renamed or repurposed.
//! Times are RFC 3339 in UTC; durations are milliseconds and end in `_ms`.

mod app;
mod deploy;
mod environment;
mod logs;
pub mod path;
mod plan;
mod shell;

pub use app::{
    AppDetail, AppState, AppSummary, Halted, LIMIT_SESSIONS, Overview, ProcessRow, ReleaseRow,
    ReleaseState, Removal, RestoreRequest, Route, ScaleEntry, ScaleReply, ScaleRequest,
    ServiceTarget, SlotPhase,
};
pub use deploy::{
    DeployEvent, DeployId, DeployKind, DeployRequest, DeployStarted, DeploySummary, LiveReport,
    Progress, StepName, StepState, UpRequest,
};
pub use environment::{
    EnvChange, EnvEntry, EnvExplain, EnvLayer, EnvList, EnvRequest, RunPlan, RunRequest,
};
pub use logs::{LogLine, LogQuery, LogStream};
pub use plan::{PlanLine, PlanReply, PlannedService, PlannedVariable, VariableChange};
pub use shell::{SHELL_NAME_MAX_BYTES, SHELL_NAMES_MAX, ShellNames};
