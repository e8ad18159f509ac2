//! Asking for a change, and what is printed before there is one.

use std::collections::BTreeMap;

use api::{DeployId, DeployKind, DeployRequest, DeployStarted, PlanReply, path};

use super::{ChangeOptions, Ends, Follow};
use crate::client::{Client, target};
use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::interrupt::Interrupts;
use crate::output::{Format, Output};
use crate::render::deploy::{Session, Verbosity};
use crate::render::paint::Style;
use crate::render::untrusted::visible;
use crate::which::Chosen;

/// Returns a request of `kind` for an app that exists.
pub(crate) fn on_app(app: &str, kind: DeployKind) -> DeployRequest {
    DeployRequest {
        app: Some(app.to_owned()),
        kind,
        who: crate::who::who(),
        listen: None,
        build_environment: BTreeMap::new(),
        shell: crate::parts::shell_names(),
    }
}

/// Asks for a change and follows it to its end, or prints its plan.
pub(crate) async fn submit(
    context: &Context,
    client: &Client,
    request: &DeployRequest,
    options: ChangeOptions,
) -> Result<Outcome> {
    if options.plan {
        let plan: PlanReply = client.post(path::PLAN, request).await?;
        return print_plan(&context.output, &plan);
    }
    // From here on Ctrl-C must not leave a change behind that nobody was told of.
    let interrupts = Interrupts::listen()?;
    let answer: DeployStarted = client.post(path::DEPLOYS, request).await?;
    started(context, client, interrupts, &answer, options.output.verbosity()).await
}

/// Follows what the agent took on.
pub(crate) async fn started(
    context: &Context,
    client: &Client,
    interrupts: Interrupts,
    answer: &DeployStarted,
    verbosity: Verbosity,
) -> Result<Outcome> {
    if let Some(id) = &answer.id {
        return attach(context, client, interrupts, &answer.app, id, verbosity).await;
    }
    match context.output.format {
        Format::Json => context.output.json(answer)?,
        Format::Text => {
            let message = answer.message.as_deref().unwrap_or("nothing to do");
            context.output.say(&format!("{}: {message}", answer.app));
        }
    }
    Ok(Outcome::Done)
}

/// Follows a deploy by its id.
pub(crate) async fn attach(
    context: &Context,
    client: &Client,
    interrupts: Interrupts,
    app: &str,
    id: &DeployId,
    verbosity: Verbosity,
) -> Result<Outcome> {
    let events = client.stream(&target(path::DEPLOY_EVENTS, &[("id", &id.0)], &[])).await?;
    Follow::new(&context.output, client, interrupts, Session::Deploy, verbosity)
        .of(app, Some(id.clone()))
        .run(events, Ends::WithTheDeploy)
        .await
}

/// Prints what a change would do.
fn print_plan(output: &Output, plan: &PlanReply) -> Result<Outcome> {
    let outcome = if plan.changes { Outcome::Changes } else { Outcome::Done };
    if output.format == Format::Json {
        output.json(plan)?;
        return Ok(outcome);
    }
    let paint = output.data_paint;
    let versions = match (plan.from, plan.to) {
        (Some(from), Some(to)) => format!(" v{from} → v{to}"),
        (from, to) => from.or(to).map(|number| format!(" v{number}")).unwrap_or_default(),
    };
    let what = if plan.changes { "would change" } else { "no change" };
    output.line(&format!("{}{versions}: {what}", paint.paint(Style::Bold, &plan.app)))?;
    for line in &plan.lines {
        let step = format!("{:?}", line.step).to_lowercase();
        output.line(&format!("   {step:<8} {}", visible(&line.text)))?;
    }
    Ok(outcome)
}

impl Chosen {
    /// Returns the command's name for this app or service, for hints.
    pub(crate) fn display(&self) -> String {
        match &self.service {
            Some(service) => format!("{}/{service}", self.app),
            None => self.app.clone(),
        }
    }
}
