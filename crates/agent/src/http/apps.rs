//! Lists, and the removal of an app.

use api::{AppDetail, AppSummary, Overview, ProcessRow, ReleaseRow, Removal, ScaleReply};
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::reply::Reply;
use crate::start::build;
use crate::state::Agent;

pub(super) async fn overview(State(agent): State<Agent>) -> Json<Overview> {
    let node = agent.node();
    let problems = agent.problems();
    Json(Overview {
        build: build(),
        installation: node.supervisor.config().installation.clone(),
        home: node.home.root().display().to_string(),
        pid: std::process::id(),
        since: agent.inner.since.clone(),
        ready: problems.is_empty(),
        not_enforced: agent.inner.not_enforced.clone(),
        problems,
    })
}

pub(super) async fn list(State(agent): State<Agent>) -> Reply<Vec<AppSummary>> {
    let apps = agent.node().journal().apps()?;
    Ok(Json(apps.iter().map(|app| agent.summary(app)).collect()))
}

pub(super) async fn show(State(agent): State<Agent>, Path(app): Path<String>) -> Reply<AppDetail> {
    let app = agent.app(&app)?;
    Ok(Json(agent.detail(&app)?))
}

#[derive(Debug, Deserialize)]
pub(super) struct RemoveQuery {
    #[serde(default)]
    plan: bool,
    #[serde(default)]
    who: String,
}

pub(super) async fn remove(
    State(agent): State<Agent>,
    Path(app): Path<String>,
    Query(query): Query<RemoveQuery>,
) -> Reply<Removal> {
    let app = agent.app(&app)?;
    if query.plan {
        return Ok(Json(agent.removal_plan(&app)?));
    }
    // In a task of its own: a client that goes away must not leave it half-done.
    let removal = tokio::spawn(async move { agent.remove(app, &query.who).await });
    let removal = removal
        .await
        .map_err(|error| report::Failure::from_error(report::Kind::Internal, &error))??;
    Ok(Json(removal))
}

pub(super) async fn restore(
    State(agent): State<Agent>,
    Json(request): Json<api::RestoreRequest>,
) -> Reply<AppDetail> {
    let name = agent.restore(request.archive.as_ref())?;
    let app = agent.app(&name)?;
    Ok(Json(agent.detail(&app)?))
}

pub(super) async fn releases(
    State(agent): State<Agent>,
    Path(app): Path<String>,
) -> Reply<Vec<ReleaseRow>> {
    let app = agent.app(&app)?;
    Ok(Json(agent.release_rows(&app)?))
}

#[derive(Debug, Deserialize)]
pub(super) struct ProcessQuery {
    app: Option<String>,
}

pub(super) async fn processes(
    State(agent): State<Agent>,
    Query(query): Query<ProcessQuery>,
) -> Reply<Vec<ProcessRow>> {
    let apps = match query.app {
        Some(app) => vec![agent.app(&app)?],
        None => agent.node().journal().apps()?,
    };
    Ok(Json(apps.iter().flat_map(|app| agent.processes(app)).collect()))
}

pub(super) async fn scale(
    State(agent): State<Agent>,
    Path(app): Path<String>,
) -> Reply<ScaleReply> {
    let app = agent.app(&app)?;
    let entries = agent.scale_entries(&app)?;
    Ok(Json(ScaleReply { app: app.name, entries }))
}
