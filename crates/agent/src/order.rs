//! Putting an app in order: what runs of it is what the store wants, and it is routed to.
//!
//! At the agent's start, and after a deploy that could not end or put back something. What fails is a
//! problem that is shown, and tried again until it succeeds.

use deploy::executor::{self, Known};
use deploy::{AppRecord, DeployError};
use report::Failure;

use crate::state::{Agent, Concern, RETRY_PAUSE};

/// Ends what no record names of an app, starts what it wants and publishes its routes. The caller
/// sees to it that no deploy of the app is going on.
pub(crate) async fn put_in_order(agent: &Agent, app: &str) {
    if try_once(agent, app).await.is_err() {
        try_later(agent, app);
    }
}

/// Notes what could not be put in order, and tries it again once nothing else is going on.
pub(crate) fn failed(agent: &Agent, app: &str, error: DeployError) {
    let text = format!("{app}: {}", Failure::from(error));
    agent.problem(Concern::Order(app.to_owned()), Some(text));
    try_later(agent, app);
}

/// Makes an app's routes and gives them to the proxies.
pub(crate) async fn publish(agent: &Agent, app: &AppRecord) -> Result<(), DeployError> {
    let published = match routes_of(agent, app) {
        Ok(_) => executor::publish_serving(agent.node(), &agent.inner.readiness, app).await,
        Err(error) => Err(error),
    };
    let concern = Concern::Routes(app.name.clone());
    let trouble = published.as_ref().err();
    agent.problem(concern, trouble.map(|error| format!("{} is not routed to: {error}", app.name)));
    published
}

/// Returns an app's routes. Slots that run are routed to at once: they were ready when the agent
/// before this one went, or answer behind their held socket as soon as they can.
pub(crate) fn routes_of(agent: &Agent, app: &AppRecord) -> Result<routing::Section, DeployError> {
    let node = agent.node();
    executor::follow_serving(node, &agent.inner.readiness, app, Known::Running)?;
    executor::section_of(node, &agent.inner.readiness, app)
}

/// Ends what no record names of an app, and what nobody can connect to, and starts what it wants.
pub(crate) async fn bring_up(agent: &Agent, app: &AppRecord) -> Result<(), DeployError> {
    let node = agent.node();
    executor::remove_unclaimed(node, app).await?;
    if app.serving.is_none() {
        // Of an app that was removed, or never served, not even a shim is left.
        return executor::end_shims(node, &app.name).await;
    }
    executor::remove_unreachable(node, app).await?;
    executor::bring_up(node, &agent.inner.readiness, app).await
}

async fn try_once(agent: &Agent, name: &str) -> Result<(), DeployError> {
    let tried = async {
        let nothing = || AppRecord { name: name.to_owned(), ..AppRecord::default() };
        let app = agent.node().journal().app(name)?.unwrap_or_else(nothing);
        let published = publish(agent, &app).await;
        bring_up(agent, &app).await?;
        published
    };
    let tried = tried.await;
    let trouble = tried.as_ref().err().map(|error| format!("{name}: {error}"));
    agent.problem(Concern::Order(name.to_owned()), trouble);
    tried
}

fn try_later(agent: &Agent, app: &str) {
    let registry = &agent.inner.registry;
    let begun = registry.with(app, |queue| std::mem::replace(&mut queue.is_repaired, true));
    if begun {
        return;
    }
    let (agent, app) = (agent.clone(), app.to_owned());
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(RETRY_PAUSE).await;
            // A deploy may put it in order by itself; it is never met by what ends leftovers.
            let held = agent.inner.registry.with(&app, |queue| {
                let is_free = queue.running.is_none() && queue.removed_by.is_none();
                let held = is_free && !queue.is_held;
                queue.is_held |= held;
                held
            });
            if !held {
                continue;
            }
            let tried = try_once(&agent, &app).await;
            // Before anything can begin that fails and asks for this anew.
            agent.inner.registry.with(&app, |queue| queue.is_repaired = tried.is_err());
            agent.let_go(&app);
            if tried.is_ok() {
                return;
            }
        }
    });
}
