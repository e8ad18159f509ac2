//! What an intent makes of an app: asked by the executor, which does it, and by a plan, which shows it.
//!
//! Nothing here changes anything. A deploy's release is known by its build only; all the others, and
//! the servings that lead to any of them, are made here and nowhere else.

use std::collections::BTreeSet;

use app::model::{App, Listen};
use environment::{Base, ConstructError, Environment, Inputs, Missing, Purpose, Slot, Variables};
use report::{Failure, Kind};

use crate::error::DeployError;
use crate::journal::Journal;
use crate::node::{Node, now};
use crate::plan::{self, Allocate};
use crate::records::{Intent, ReleaseRecord, ReleaseState, Scale, Scaled, Serving};

/// Most slots of one service on one node: beyond it a typo is likelier than a wish.
const MAX_SLOTS: u32 = 1000;

/// Where an intent leads.
#[derive(Debug)]
pub(super) enum Target {
    /// To a release of its own.
    Release {
        /// Without a number yet.
        release: Box<ReleaseRecord>,
        /// Why nothing has to be built, for people.
        about: String,
    },
    /// To other slots of the release that serves.
    Slots {
        /// One after the other; none: nothing to do.
        stages: Vec<Serving>,
        /// The wish to be recorded.
        scale: Option<Scale>,
    },
}

/// Returns what serves, or why this cannot be done without.
pub(super) fn serving<'a>(
    app: &str,
    serving: Option<&'a Serving>,
) -> Result<&'a Serving, DeployError> {
    serving.ok_or_else(|| {
        Failure::new(Kind::Usage, format!("{app} has no release yet")).hint("skep deploy").into()
    })
}

/// Returns the number that the next release of an app gets.
pub(super) fn next_number(journal: Journal<'_>, app: &str) -> Result<u32, DeployError> {
    Ok(journal.app(app)?.map_or(0, |app| app.last_release) + 1)
}

/// Returns the serving of a new release. Whoever deploys an app that is down wants it up; one service
/// that was stopped by itself stays so.
pub(super) fn stage<A: Allocate<Error = DeployError>>(
    journal: Journal<'_>,
    app: &App,
    number: u32,
    before: Option<&Serving>,
    allocate: &mut A,
) -> Result<Serving, DeployError> {
    let scale = journal.scale(&app.name)?;
    plan::fresh(app, number, &scale, before.filter(|serving| !serving.is_down()), allocate)
}

/// Returns what an intent leads to from `serving`.
pub(super) fn of<A: Allocate<Error = DeployError>>(
    node: &Node,
    app: &str,
    serving: &Serving,
    intent: &Intent,
    who: &str,
    allocate: &mut A,
) -> Result<Target, DeployError> {
    let journal = node.journal();
    let current = journal.release(app, serving.release)?;
    let model = &current.app;
    let known = |service: &str| match model.services.contains_key(service) {
        true => Ok(()),
        false => Err(unknown_service(app, service, model.services.keys())),
    };
    let any = |service: Option<&str>| service.map_or(Ok(()), known);
    let mut wish = None;
    let stages = match intent {
        Intent::Deploy { .. } => {
            let text = "what a deploy leads to is known by its build";
            return Err(Failure::new(Kind::Internal, text).into());
        }
        Intent::Rollback { to } => return rollback(node, app, &current, *to),
        Intent::Environment { version, names } => {
            let about = format!("code as in v{}", current.number);
            let mut release = Box::new(current);
            release.env_version = *version;
            "environment".clone_into(&mut release.kind);
            release.changed = names.iter().map(|name| format!("env {name}")).collect();
            return Ok(Target::Release { release, about });
        }
        Intent::Restart { service } => {
            any(service.as_deref())?;
            plan::restarted(model, serving, service.as_deref(), allocate)?
        }
        Intent::Stop { service } => {
            any(service.as_deref())?;
            vec![plan::stopped(serving, service.as_deref())]
        }
        Intent::Start { service } => {
            any(service.as_deref())?;
            let scale = journal.scale(app)?;
            vec![plan::started(model, serving, service.as_deref(), &scale, allocate)?]
        }
        Intent::Scale { targets } => {
            let mut scale = journal.scale(app)?;
            for (service, slots) in targets {
                known(service)?;
                let scaled = Scaled { slots: *slots, who: who.to_owned(), at: now() };
                scale.services.insert(service.clone(), scaled);
            }
            check_scale(model, &scale)?;
            let stage = plan::scaled(model, serving, &scale, allocate)?;
            wish = Some(scale);
            vec![stage]
        }
    };
    // A stage that is what was before it is no stage.
    let stages = stages
        .into_iter()
        .scan(serving.clone(), |before, stage| {
            let changed = *before != stage;
            before.clone_from(&stage);
            Some(changed.then_some(stage))
        })
        .flatten()
        .collect();
    Ok(Target::Slots { stages, scale: wish })
}

fn rollback(
    node: &Node,
    app: &str,
    current: &ReleaseRecord,
    to: Option<u32>,
) -> Result<Target, DeployError> {
    let releases = node.journal().releases(app)?;
    let target = rollback_target(app, &releases, current, to)?;
    if !target.artifact.directory.is_dir() {
        let text = format!("the files of {app} v{} are not kept any more", target.number);
        return Err(Failure::new(Kind::Failed, text)
            .hint(format!("skep releases {app} shows which are kept"))
            .into());
    }
    let about = format!("v{} is here: nothing to build", target.number);
    let mut release = Box::new(target);
    release.changed = changes(node, current, &release);
    release.kind = format!("rollback to v{}", release.number);
    Ok(Target::Release { release, about })
}

/// Fails with what is known to fail before anything is built or started: a required variable that no
/// layer sets, a user that nobody may choose. `shell` are the names in the caller's shell.
pub(super) fn foresee(
    node: &Node,
    app: &App,
    operator: &Variables,
    shell: &BTreeSet<String>,
) -> Result<(), DeployError> {
    refuse_users(app)?;
    let home = node.home.app_home(&app.name);
    let generated = environment::generated::read(&node.store, &node.key, &app.name)?;
    for name in app.services.keys() {
        let slot = Slot { number: 0, port: None, runtime: None };
        let constructed = Environment::construct(&Inputs {
            app,
            purpose: Purpose::Service { name, slot },
            release: None,
            // Where its programs will be is not known yet, and decides about no other variable.
            base: Base { user: "", home: &home, python: None },
            generated: &generated,
            operator,
        });
        // Whatever else is wrong is told when all is known.
        let Err(ConstructError::Missing(mut missing)) = constructed else { continue };
        let drawn = |name: &str| app.env.get(name).is_some_and(|v| v.generate_bytes.is_some());
        missing.variables.retain(|variable| !drawn(&variable.name));
        if !missing.variables.is_empty() {
            return Err(told(&missing, shell).into());
        }
    }
    Ok(())
}

fn told(missing: &Missing, shell: &BTreeSet<String>) -> Failure {
    missing.failure(shell).detail("state", "nothing was built, nothing was changed")
}

/// Refuses `user`: a pushed repository must not choose whose files its processes may touch.
pub(super) fn refuse_users(app: &App) -> Result<(), DeployError> {
    let Some((name, user)) =
        app.services.iter().find_map(|(name, service)| Some((name, service.user.as_ref()?)))
    else {
        return Ok(());
    };
    let text = format!("`{name}` wants to run as `{user}`, which is not supported yet");
    Err(Failure::new(Kind::Usage, text)
        .cause(
            "each app runs as a user of its own; which others it may be is for the operator to say",
        )
        .hint(format!("remove `user` from [services.{name}]"))
        .into())
}

fn unknown_service<'a>(
    app: &str,
    service: &str,
    known: impl Iterator<Item = &'a String> + Clone,
) -> DeployError {
    let meant = report::did_you_mean(service, known.clone().map(String::as_str));
    let names: Vec<&str> = known.map(String::as_str).collect();
    let failure = Failure::new(Kind::Usage, format!("{app} has no service `{service}`"));
    match meant {
        Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
        None => failure.hint(format!("its services are: {}", names.join(", "))),
    }
    .into()
}

fn check_scale(app: &App, scale: &Scale) -> Result<(), DeployError> {
    for (name, scaled) in &scale.services {
        let fixed = app
            .services
            .get(name)
            .is_some_and(|service| matches!(service.listen, Listen::Fixed(_)) && scaled.slots > 1);
        if fixed {
            let text = format!("`{name}` binds one fixed port: it can have one slot only");
            return Err(Failure::new(Kind::Usage, text).into());
        }
        if scaled.slots > MAX_SLOTS {
            let text = format!("{name}={} is over the limit of {MAX_SLOTS}", scaled.slots);
            return Err(Failure::new(Kind::Usage, text).into());
        }
    }
    Ok(())
}

/// Picks what to roll back to: the release that was named, else the newest good one before the
/// current that differs from it.
fn rollback_target(
    app: &str,
    releases: &[ReleaseRecord],
    current: &ReleaseRecord,
    to: Option<u32>,
) -> Result<ReleaseRecord, DeployError> {
    if let Some(number) = to {
        let found = releases.iter().find(|release| release.number == number);
        let found = found.ok_or_else(|| DeployError::NoRelease { app: app.to_owned(), number })?;
        return match found.state {
            ReleaseState::Good => Ok(found.clone()),
            ReleaseState::Pending if found.number == current.number => Ok(found.clone()),
            ReleaseState::Pending | ReleaseState::Failed => {
                let text = format!("{app} v{number} never served well: it is no rollback target");
                Err(Failure::new(Kind::Usage, text).hint(format!("skep releases {app}")).into())
            }
        };
    }
    let differs = |release: &&ReleaseRecord| {
        release.number < current.number
            && release.state == ReleaseState::Good
            && !release.removed
            && (release.artifact.id != current.artifact.id
                || release.env_version != current.env_version
                || release.app != current.app)
    };
    releases.iter().rev().find(differs).cloned().ok_or_else(|| {
        Failure::new(Kind::Usage, format!("{app} has no earlier good release"))
            .hint(format!("skep releases {app}"))
            .into()
    })
}

/// Returns how two releases differ, for people.
pub(super) fn changes(node: &Node, old: &ReleaseRecord, new: &ReleaseRecord) -> Vec<String> {
    let mut changed = Vec::new();
    if old.artifact.id != new.artifact.id {
        let environment =
            |release: &ReleaseRecord| release.artifact.environment.as_ref().map(|layer| layer.id);
        if environment(old) != environment(new) {
            changed.push("packages".to_owned());
        }
        changed.push("code".to_owned());
    }
    if old.app.config_json() != new.app.config_json() {
        changed.push("app file".to_owned());
    }
    if old.env_version != new.env_version {
        let read =
            |version| environment::operator::read(&node.store, &node.key, &new.app.name, version);
        match (read(old.env_version), read(new.env_version)) {
            (Ok(before), Ok(after)) => {
                let names = before.differences(&after);
                changed.extend(names.keys().map(|name| format!("env {name}")));
            }
            _ => changed.push("env".to_owned()),
        }
    }
    changed
}
