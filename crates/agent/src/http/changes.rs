//! Everything that changes what runs.

use std::collections::BTreeMap;

use api::{DeployKind, DeployRequest, DeployStarted, PlanReply, ScaleRequest, UpRequest};
use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use report::{Failure, Kind};

use super::reply::{Failed, Reply};
use super::stream;
use crate::state::Agent;

pub(super) async fn deploy(
    State(agent): State<Agent>,
    Json(request): Json<DeployRequest>,
) -> Reply<DeployStarted> {
    Ok(Json(agent.submit(request)?))
}

pub(super) async fn plan(
    State(agent): State<Agent>,
    Json(request): Json<DeployRequest>,
) -> Reply<PlanReply> {
    if let (Some(app), false) = (&request.app, plans_for_new(&request.kind)) {
        agent.app(app)?;
    }
    let node = agent.node().clone();
    let planned = tokio::task::spawn_blocking(move || deploy::executor::plan_of(&node, &request));
    let planned = planned.await.map_err(|error| Failure::from_error(Kind::Internal, &error))?;
    Ok(Json(planned?))
}

/// Returns whether a request may be the first that is heard of its app.
fn plans_for_new(kind: &DeployKind) -> bool {
    matches!(kind, DeployKind::Deploy { .. } | DeployKind::Environment { .. })
}

pub(super) async fn scale(
    State(agent): State<Agent>,
    Path(app): Path<String>,
    Json(request): Json<ScaleRequest>,
) -> Reply<DeployStarted> {
    let targets =
        request.targets.into_iter().map(|target| (target.service, target.slots)).collect();
    Ok(Json(agent.submit(DeployRequest {
        app: Some(app),
        kind: DeployKind::Scale { targets },
        who: request.who,
        listen: None,
        build_environment: BTreeMap::new(),
        shell: api::ShellNames::default(),
    })?))
}

pub(super) async fn events(
    State(agent): State<Agent>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let feed = agent.feed(&id)?.ok_or_else(|| {
        Failure::new(Kind::Usage, format!("no deploy `{id}` is remembered"))
            .hint("skep releases shows how deploys ended")
    })?;
    Ok(stream::lines(stream::of_feed(feed, (), false)))
}

pub(super) async fn cancel(
    State(agent): State<Agent>,
    Path(id): Path<String>,
) -> Reply<serde_json::Value> {
    agent.cancel(&id)?;
    Ok(Json(serde_json::json!({})))
}

pub(super) async fn up(
    State(agent): State<Agent>,
    Json(request): Json<UpRequest>,
) -> Result<Response, Failed> {
    let (lease, feed) = agent.open_session(request.deploy, &request.session)?;
    Ok(stream::lines(stream::of_feed(feed, lease, true)))
}

pub(super) async fn session(
    State(agent): State<Agent>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let (lease, feed) = agent.attach(&id)?;
    Ok(stream::lines(stream::of_feed(feed, lease, true)))
}

pub(super) async fn close_session(
    State(agent): State<Agent>,
    Path(id): Path<String>,
) -> Reply<DeployStarted> {
    Ok(Json(agent.close_session(&id)?))
}

pub(super) async fn halt(State(agent): State<Agent>) -> Reply<api::Halted> {
    // In a task of its own: a client that goes away must not leave it half-done.
    let halted = tokio::spawn(async move { agent.halt().await });
    Ok(Json(halted.await.map_err(|error| Failure::from_error(Kind::Internal, &error))??))
}
