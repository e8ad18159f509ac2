//! Where everything is. `{app}` is an app's name, `{id}` a deploy's id.

/// `GET` → [`crate::Overview`].
pub const OVERVIEW: &str = "/v1";
/// `GET` → [`crate::AppSummary`] list.
pub const APPS: &str = "/v1/apps";
/// `GET` → [`crate::AppDetail`]; `DELETE` (`?plan=true`) → [`crate::Removal`].
pub const APP: &str = "/v1/apps/{app}";
/// `POST` [`crate::RestoreRequest`] → [`crate::AppDetail`]: brings a removed app back, stopped.
pub const RESTORE: &str = "/v1/restore";
/// `GET` → [`crate::ReleaseRow`] list, newest first.
pub const RELEASES: &str = "/v1/apps/{app}/releases";
/// `GET` (`?app=`) → [`crate::ProcessRow`] list.
pub const PROCESSES: &str = "/v1/processes";
/// `GET` → [`crate::ScaleReply`]; `PUT` [`crate::ScaleRequest`] → [`crate::DeployStarted`].
pub const SCALE: &str = "/v1/apps/{app}/scale";
/// `GET` → [`crate::EnvList`]; `PATCH` [`crate::EnvRequest`] → [`crate::DeployStarted`].
pub const ENVIRONMENT: &str = "/v1/apps/{app}/env";
/// `GET` (`?service=&variable=`) → [`crate::EnvExplain`].
pub const EXPLAIN: &str = "/v1/apps/{app}/env/explain";
/// `POST` [`crate::RunRequest`] → [`crate::RunPlan`].
pub const RUN: &str = "/v1/apps/{app}/run";
/// `GET` with [`crate::LogQuery`] → stream of [`crate::LogLine`].
pub const LOGS: &str = "/v1/logs";
/// `POST` [`crate::DeployRequest`] → [`crate::DeployStarted`].
pub const DEPLOYS: &str = "/v1/deploys";
/// `POST` [`crate::DeployRequest`] → [`crate::PlanReply`]; changes nothing.
pub const PLAN: &str = "/v1/plan";
/// `GET` → stream of [`crate::DeployEvent`], from the deploy's beginning to its end.
pub const DEPLOY_EVENTS: &str = "/v1/deploys/{id}/events";
/// `POST` → cancels before the switch; afterwards refused with `locked`.
pub const DEPLOY_CANCEL: &str = "/v1/deploys/{id}/cancel";
/// `POST` [`crate::UpRequest`] → stream of [`crate::DeployEvent`]. While the stream is open the app
/// stays up; when it closes, what this session started is drained.
pub const UP: &str = "/v1/up";
/// `GET` → stream of [`crate::DeployEvent`]: holds a session again after its connection was lost;
/// `DELETE` → [`crate::DeployStarted`]: stops what serves if it is the session's. `{session}` is the
/// id that its client chose.
pub const SESSION: &str = "/v1/up/{session}";
/// `POST` → [`crate::Halted`]: stops every slot and shim but the agent's own; desired state is kept.
pub const HALT: &str = "/v1/halt";
