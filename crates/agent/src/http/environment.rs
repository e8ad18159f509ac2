//! Variables and one-off commands.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use api::{DeployStarted, EnvEntry, EnvExplain, EnvList, EnvRequest, RunPlan, RunRequest};
use axum::Json;
use axum::extract::{Path, Query, State};
use deploy::executor::Caller;
use deploy::records::Intent;
use deploy::spec::{Prepared, find_program};
use deploy::{DeployError, diagnose};
use environment::operator::{self, Change};
use environment::{Purpose, Row};
use report::{Failure, Kind, Secret};
use serde::Deserialize;
use store::Txn;

use super::reply::Reply;
use crate::state::Agent;

fn prepared(agent: &Agent, app: &str) -> Result<Prepared, Failure> {
    let record = agent.app(app)?;
    let Some(serving) = &record.serving else {
        return Err(
            Failure::new(Kind::Usage, format!("{app} has no release yet")).hint("skep deploy")
        );
    };
    let release = agent.node().journal().release(app, serving.release)?;
    Ok(Prepared::read(agent.node(), release)?)
}

#[derive(Debug, Deserialize)]
pub(super) struct ListQuery {
    #[serde(default)]
    reveal: bool,
}

pub(super) async fn list(
    State(agent): State<Agent>,
    Path(app): Path<String>,
    Query(query): Query<ListQuery>,
) -> Reply<EnvList> {
    let record = agent.app(&app)?;
    let node = agent.node();
    let head = operator::head(&node.store, &app).map_err(DeployError::from)?;
    let variables =
        operator::read(&node.store, &node.key, &app, head.current).map_err(DeployError::from)?;
    let declared = match &record.serving {
        Some(serving) => node.journal().release(&app, serving.release)?.app.env,
        None => std::collections::BTreeMap::new(),
    };
    let mut entries: Vec<EnvEntry> = variables
        .iter()
        .map(|(name, variable)| EnvEntry {
            name: name.to_owned(),
            value: query.reveal.then(|| variable.value.reveal().to_owned()),
            secret: true,
            layer: api::EnvLayer::Operator,
            who: Some(variable.who.clone()),
            at: Some(variable.at.clone()),
            missing: false,
        })
        .collect();
    for (name, variable) in &declared {
        if variables.get(name).is_some() {
            continue;
        }
        let generated = variable.generate_bytes.is_some();
        entries.push(EnvEntry {
            name: name.clone(),
            value: variable.value.clone().filter(|_| query.reveal || !variable.secret),
            secret: variable.secret || generated,
            layer: if generated { api::EnvLayer::Generated } else { api::EnvLayer::AppFile },
            who: None,
            at: None,
            missing: variable.required && variable.value.is_none(),
        });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Json(EnvList { app, version: head.current, entries }))
}

pub(super) async fn change(
    State(agent): State<Agent>,
    Path(app): Path<String>,
    Json(request): Json<EnvRequest>,
) -> Reply<DeployStarted> {
    let record = agent.app_or_new(&app)?;
    let node = agent.node();
    // From the look at what is waiting to the place in the queue: two changes at once build on each
    // other.
    let _alone = agent.inner.environment.lock().unwrap_or_else(PoisonError::into_inner);
    let changes: Vec<Change> = request
        .changes
        .into_iter()
        .map(|change| Change { name: change.name, value: change.value.map(Secret::new) })
        .collect();
    let head = operator::head(&node.store, &app).map_err(DeployError::from)?;
    // Changes that wait for their turn are built upon: none of them is lost.
    let waiting = agent.inner.registry.with(&app, |queue| {
        queue.waiting.iter().rev().find_map(|waiting| match &waiting.record.intent {
            Intent::Environment { version, .. } => Some(*version),
            _ => None,
        })
    });
    let going_on = node.journal().deploy(&app)?.and_then(|deploy| match deploy.intent {
        Intent::Environment { version, .. } => Some(version),
        _ => None,
    });
    let base = waiting.or(going_on).unwrap_or(head.current);
    let at = deploy::node::now();
    let draft = operator::draft(&node.store, &node.key, &app, base, &changes, (&request.who, &at))
        .map_err(DeployError::from)?;
    let nothing = |message: String| {
        Ok(Json(DeployStarted { id: None, app: app.clone(), message: Some(message) }))
    };
    if draft.differences.is_empty() {
        return nothing("nothing to do: these variables are so already".to_owned());
    }
    if request.stage || record.serving.is_none() {
        let txn = operator::make_current(Txn::new(), &node.store, &app, draft.version)
            .map_err(DeployError::from)?;
        node.journal().commit(&txn)?;
        return nothing("stored; it takes effect with the next release".to_owned());
    }
    let names = draft.differences.keys().cloned().collect();
    let id = format!("d{}", node.journal().count("deploy")?);
    let intent = Intent::Environment { version: draft.version, names };
    let caller = Caller { shell: request.shell, ..Caller::default() };
    Ok(Json(agent.enqueue(agent.record(id, &app, intent, &request.who), &caller)?))
}

#[derive(Debug, Deserialize)]
pub(super) struct ExplainQuery {
    service: Option<String>,
    variable: Option<String>,
    #[serde(default)]
    reveal: bool,
}

pub(super) async fn explain(
    State(agent): State<Agent>,
    Path(app): Path<String>,
    Query(query): Query<ExplainQuery>,
) -> Reply<EnvExplain> {
    let prepared = prepared(&agent, &app)?;
    let services = &prepared.app().services;
    // Without a name the one that most questions are about: who serves the requests.
    let serving = services.iter().find(|(_, s)| s.listen != app::model::Listen::None);
    let chosen = match &query.service {
        Some(name) => services.get_key_value(name),
        None => services.get_key_value(app::WEB).or(serving).or(services.iter().next()),
    };
    let Some((name, service)) = chosen else {
        let wanted = query.service.unwrap_or_default();
        let known: Vec<&str> = services.keys().map(String::as_str).collect();
        return Err(Failure::new(Kind::Usage, format!("{app} has no service `{wanted}`"))
            .hint(format!("its services are: {}", known.join(", ")))
            .into());
    };
    let listens = service.listen != app::model::Listen::None;
    let runtime = agent.node().home.slot_runtime(&format!("{app}.{name}"), 0, 0);
    // What differs from slot to slot is shown as what it is.
    let slot = environment::Slot {
        number: 0,
        port: listens.then_some("(each slot's own)"),
        runtime: Some(&runtime),
    };
    let environment = prepared
        .environment(agent.node(), Purpose::Service { name, slot })
        .map_err(|error| error.failure(&BTreeSet::new()))?;
    let rows: Vec<&Row> = environment
        .rows()
        .iter()
        .filter(|row| query.variable.as_ref().is_none_or(|wanted| *wanted == row.name))
        .collect();
    Ok(Json(EnvExplain {
        service: format!("{app}/{name}"),
        entries: rows.iter().map(|row| entry(row, query.reveal)).collect(),
        sources: rows.iter().map(|row| row.source.clone()).collect(),
    }))
}

fn entry(row: &Row, reveal: bool) -> EnvEntry {
    EnvEntry {
        name: row.name.clone(),
        value: (reveal || !row.masked()).then(|| row.value.reveal().to_owned()),
        secret: row.masked(),
        layer: diagnose::layer(row.layer),
        who: row.who.clone(),
        at: row.at.clone(),
        missing: false,
    }
}

pub(super) async fn run(
    State(agent): State<Agent>,
    Path(app): Path<String>,
    Json(request): Json<RunRequest>,
) -> Reply<RunPlan> {
    let prepared = prepared(&agent, &app)?;
    let purpose = Purpose::OneOff { service: request.service.as_deref() };
    let environment = prepared
        .environment(agent.node(), purpose)
        .map_err(|error| error.failure(&BTreeSet::new()))?;
    let artifact = &prepared.release.artifact;
    let name = request.command.first().cloned().unwrap_or_default();
    let path = environment.get("PATH").unwrap_or_default();
    let program = find_program(&name, path, &artifact.code_directory).ok_or_else(|| {
        Failure::new(Kind::Usage, format!("no program `{name}`"))
            .detail("looked in", path.replace(':', "\n"))
    })?;
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    Ok(Json(RunPlan {
        release: prepared.release.number,
        program: text(&program),
        arguments: request.command,
        directory: text(&artifact.code_directory),
        environment: environment.variables(),
        credentials: prepared.user().map(|user| (user.uid, user.gid)),
        lease: text(&artifact.lease),
        umask: 0o022,
    }))
}
