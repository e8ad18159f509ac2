//! What a deploy would do, without doing it.

use std::path::Path;

use api::{DeployKind, DeployRequest, PlanLine, PlanReply, StepName};
use release::{Builder, Cancel};
use report::{Failure, Kind};

use super::artifact::identity;
use super::listener;
use crate::error::DeployError;
use crate::node::Node;
use crate::plan;
use crate::records::ReleaseRecord;

/// Returns what deploying a directory would do. Reads the source and runs git and the
/// interpreter; blocks.
pub fn plan_of(node: &Node, request: &DeployRequest) -> Result<PlanReply, DeployError> {
    let DeployKind::Deploy { directory, force } = &request.kind else {
        return Err(Failure::new(Kind::Usage, "only a deploy of a directory has a plan").into());
    };
    let source = Path::new(directory);
    let app = app::load(source).map_err(Failure::from)?;
    let journal = node.journal();
    let record = journal.app(&app.name)?.unwrap_or_default();
    let known = record.listener.clone();
    let wanted = match &request.listen {
        Some(text) => Some(listener::parse(text)?.to_string()),
        None => known.clone(),
    };
    listener::check_claims(node, &app, wanted.as_deref())?;
    let current: Option<ReleaseRecord> = match &record.serving {
        Some(serving) => Some(journal.release(&app.name, serving.release)?),
        None => None,
    };
    let identity = identity(node, &app.name)?;
    let builder = Builder::new(&node.home, &app, source, identity, &request.build_environment);
    let cancel = Cancel::new()
        .map_err(|error| DeployError::from(Failure::from_error(Kind::Temporary, &error)))?;
    let planned = builder.plan(&cancel).map_err(|error| DeployError::from(Failure::from(error)))?;
    let head = environment::operator::head(&node.store, &app.name)?;
    let same = current.as_ref().is_some_and(|current| {
        planned.existing.as_ref().is_some_and(|found| found.id == current.artifact.id)
            && current.app.config_json() == app.config_json()
            && current.env_version == head.current
    });
    let changes = *force || !same || wanted != known;
    let mut lines = Vec::new();
    let mut say = |step, text: String| lines.push(PlanLine { step, text });
    if changes {
        for line in &planned.lines {
            say(StepName::Build, line.clone());
        }
        if let Some(command) = &app.release.command {
            say(StepName::Release, command.text.clone());
        }
        let scale = journal.scale(&app.name)?;
        for (name, service) in &app.services {
            let slots = plan::wanted(&app, &scale, name);
            let how = service.listen_reason();
            let replaced = match plan::may_overlap(service) {
                true => "beside the old",
                false => "one by one, the old stopped first",
            };
            let slots = match slots {
                1 => "1 slot".to_owned(),
                more => format!("{more} slots"),
            };
            say(StepName::Start, format!("{name}: {slots}, {replaced}; {how}"));
        }
        let address = wanted.unwrap_or_else(|| "an address that is chosen then".to_owned());
        say(StepName::Switch, format!("routes on {address}"));
    }
    Ok(PlanReply {
        app: app.name,
        from: current.map(|current| current.number),
        changes,
        lines,
        build_environment: planned.passed_variables,
    })
}
