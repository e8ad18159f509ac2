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
    let node = agent.node().clone();
    let planned = tokio::task::spawn_blocking(move || deploy::executor::plan_of(&node, &request));
    let planned = planned.await.map_err(|error| Failure::from_error(Kind::Internal, &error))?;
    Ok(Json(planned?))
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
    let who = request.deploy.who.clone();
    let started = agent.submit(request.deploy)?;
    let Some(id) = started.id else {
        return Err(Failed(Failure::new(Kind::Internal, "a deploy without an id")));
    };
    let feed = agent.inner.registry.feed(&id.0);
    let feed = feed.ok_or_else(|| Failure::new(Kind::Internal, "a deploy without a feed"))?;
    let session = Session { agent, app: started.app, deploy: id.0, who };
    Ok(stream::lines(stream::of_feed(feed, session, true)))
}

pub(super) async fn halt(State(agent): State<Agent>) -> Reply<api::Halted> {
    // In a task of its own: a client that goes away must not leave it half-done.
    let halted = tokio::spawn(async move { agent.halt().await });
    Ok(Json(halted.await.map_err(|error| Failure::from_error(Kind::Internal, &error))??))
}

/// A foreground session: its client's connection is its lease. When the stream is dropped, the
/// deploy is cancelled if it can be, and what it started is drained and stopped.
struct Session {
    agent: Agent,
    app: String,
    deploy: String,
    who: String,
}

impl Drop for Session {
    fn drop(&mut self) {
        let agent = self.agent.clone();
        let (app, deploy, who) = (self.app.clone(), self.deploy.clone(), self.who.clone());
        tokio::spawn(async move {
            tracing::info!(app, deploy, "a foreground session ended");
            let _ = agent.cancel(&deploy);
            agent.ended(&deploy).await;
            // What served before, or what somebody deployed since, is not this session's.
            if !agent.made_what_serves(&app, &deploy) || agent.is_down(&app) {
                return;
            }
            let request = DeployRequest {
                app: Some(app.clone()),
                kind: DeployKind::Stop { service: None },
                who,
                listen: None,
                build_environment: BTreeMap::new(),
            };
            if let Err(failure) = agent.submit(request) {
                agent.problem(&app, Some(format!("the session's app was not stopped: {failure}")));
            }
        });
    }
}
