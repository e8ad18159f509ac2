//! The HTTP interface: one file a subject, each handler a few lines over the agent.

mod apps;
mod changes;
mod environment;
mod logs;
mod reply;
mod stream;

use std::os::unix::net::UnixListener;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, patch, post, put};
use tokio::sync::watch;

use crate::state::Agent;

/// Largest request body in bytes: a change of variables.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Serves the interface until `stopped`.
pub(crate) async fn serve(
    agent: Agent,
    listener: UnixListener,
    mut stopped: watch::Receiver<bool>,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let ended = async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    axum::serve(listener, routes(agent)).with_graceful_shutdown(ended).await
}

fn routes(agent: Agent) -> Router {
    use api::path;
    Router::new()
        .route(path::OVERVIEW, get(apps::overview))
        .route(path::APPS, get(apps::list))
        .route(path::APP, get(apps::show).merge(delete(apps::remove)))
        .route(path::RESTORE, post(apps::restore))
        .route(path::RELEASES, get(apps::releases))
        .route(path::PROCESSES, get(apps::processes))
        .route(path::SCALE, get(apps::scale).merge(put(changes::scale)))
        .route(path::ENVIRONMENT, get(environment::list).merge(patch(environment::change)))
        .route(path::EXPLAIN, get(environment::explain))
        .route(path::RUN, post(environment::run))
        .route(path::LOGS, get(logs::lines))
        .route(path::DEPLOYS, post(changes::deploy))
        .route(path::PLAN, post(changes::plan))
        .route(path::DEPLOY_EVENTS, get(changes::events))
        .route(path::DEPLOY_CANCEL, post(changes::cancel))
        .route(path::UP, post(changes::up))
        .route(path::SESSION, get(changes::session).merge(delete(changes::close_session)))
        .route(path::HALT, post(changes::halt))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(agent)
}
