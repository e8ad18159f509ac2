//! The build phase of a deploy.

use std::path::{Path, PathBuf};
use std::time::Instant;

use api::{DeployEvent, StepName, StepState};
use app::model::App;
use release::{BuildEvent, BuildPlan, Builder, Identity};
use report::{Failure, Kind};

use super::{Executor, intended, listener};
use crate::error::DeployError;
use crate::node::Node;
use crate::records::{End, Intent, ReleaseRecord, ReleaseState, Serving};

/// Returns who builds and owns the files of an app.
pub(super) fn identity(node: &Node, app: &str) -> Result<Identity, DeployError> {
    Ok(match node.user(app)? {
        None => Identity::Same,
        Some(user) => {
            Identity::User(release::BuildUser { uid: user.uid, gid: user.gid, name: user.name })
        }
    })
}

/// How what a deploy would make stands to the release that the app is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It would be another one.
    Differs,
    /// It is the same, and serves.
    Serves,
    /// It is the same, and was stopped: it has only to be started.
    Down,
}

/// What an unchanged release that is down needs.
pub(super) const START: Intent = Intent::Start { service: None };

/// Returns how what a deploy would make stands to the app's release. `asked` is the address that was
/// asked for, if one was.
pub(super) fn standing(
    node: &Node,
    from: &Serving,
    current: &ReleaseRecord,
    app: &App,
    plan: &BuildPlan,
    asked: Option<&str>,
) -> Result<Standing, DeployError> {
    let head = environment::operator::head(&node.store, &app.name)?;
    let known = node.journal().app(&app.name)?.and_then(|app| app.listener);
    let moves = asked.is_some() && asked != known.as_deref();
    let same = plan.existing.as_ref().is_some_and(|found| found.id == current.artifact.id)
        && current.app.config_json() == app.config_json()
        && current.env_version == head.current
        && !moves;
    Ok(match (same, from.is_down()) {
        (false, _) => Standing::Differs,
        (true, false) => Standing::Serves,
        (true, true) => Standing::Down,
    })
}

impl Executor {
    /// Builds a directory and makes a release of it; an end if nothing changed.
    pub(super) async fn build(
        &mut self,
        directory: &str,
        force: bool,
    ) -> Result<Option<End>, DeployError> {
        let source = PathBuf::from(directory);
        let app = app::load(&source).map_err(Failure::from)?;
        if app.name != self.record.app {
            let text = format!("`{directory}` is the app {}, not {}", app.name, self.record.app);
            return Err(Failure::new(Kind::Usage, text).into());
        }
        let head = environment::operator::head(&self.node.store, &app.name)?;
        let operator =
            environment::operator::read(&self.node.store, &self.node.key, &app.name, head.current)?;
        intended::foresee(&self.node, &app, &operator, self.caller.shell.names())?;
        self.feed.step(StepName::Build, StepState::Running, "reading the source");
        for note in &app.notes {
            self.feed.notice(note.clone());
        }
        // Before anything is built: a claim of somebody else's address fails at once.
        listener::check_claims(&self.node, &app, self.expected_listener()?.as_deref())?;
        let identity = identity(&self.node, &app.name)?;
        let builder =
            Builder::new(&self.node.home, &app, &source, identity, &self.caller.build_environment);
        let (builder, plan) = self.plan(builder).await?;
        let current = self.current_release()?;
        let asked = self.record.listener.as_deref();
        if let (Some(current), Some(from), false) = (&current, &self.record.from, force) {
            let text = format!("no change since v{}", current.number);
            match standing(&self.node, from, current, &app, &plan, asked)? {
                Standing::Differs => {}
                Standing::Serves => {
                    self.feed.step(StepName::Build, StepState::Skipped, text);
                    return Ok(Some(End::Done));
                }
                Standing::Down => {
                    let text = format!("{text}; starting it");
                    self.feed.step(StepName::Build, StepState::Skipped, text);
                    return self.go(&START).await;
                }
            }
        }
        let environment_stays =
            plan.environment.as_ref().is_some_and(|environment| environment.existing.is_some());
        if !environment_stays {
            // They were said when it was made.
            for notice in &plan.notices {
                self.feed.notice(notice.clone());
            }
        }
        let begun = Instant::now();
        let label = plan.source_label();
        let text = describe(&plan);
        let existed = plan.existing.is_some();
        let artifact = self.run_build(builder, plan).await?;
        let text =
            if existed { text } else { format!("{text}, {:.1} s", begun.elapsed().as_secs_f64()) };
        self.seed(&app, &artifact, &source).await?;
        let head = environment::operator::head(&self.node.store, &app.name)?;
        let release = ReleaseRecord {
            number: 0,
            state: ReleaseState::Pending,
            app,
            artifact,
            env_version: head.current,
            who: String::new(),
            at: String::new(),
            kind: "deploy".to_owned(),
            source: (!label.is_empty()).then_some(label),
            changed: Vec::new(),
            failure: None,
            removed: false,
        };
        let changes = |old: ReleaseRecord| intended::changes(&self.node, &old, &release);
        let changed = current.map_or(Vec::new(), changes);
        self.add_release(ReleaseRecord { changed, ..release })?;
        self.feed.step(StepName::Build, StepState::Done, text);
        Ok(None)
    }

    fn current_release(&self) -> Result<Option<ReleaseRecord>, DeployError> {
        match &self.record.from {
            Some(from) => self.node.journal().release(&self.record.app, from.release).map(Some),
            None => Ok(None),
        }
    }

    async fn plan(&self, builder: Builder) -> Result<(Builder, BuildPlan), DeployError> {
        let cancel = self.signals.build.clone();
        let planned = tokio::task::spawn_blocking(move || {
            let plan = builder.plan(&cancel);
            plan.map(|plan| (builder, plan))
        });
        self.built(planned.await)
    }

    async fn run_build(
        &self,
        builder: Builder,
        plan: BuildPlan,
    ) -> Result<release::Artifact, DeployError> {
        let cancel = self.signals.build.clone();
        let feed = self.feed.clone();
        let built = tokio::task::spawn_blocking(move || {
            let mut tell = |event: BuildEvent| match event {
                BuildEvent::Started { what } => {
                    feed.step(StepName::Build, StepState::Running, what);
                }
                BuildEvent::Finished { what, elapsed } => {
                    let text = format!("{what} {:.1} s", elapsed.as_secs_f64());
                    feed.step(StepName::Build, StepState::Running, text);
                }
                BuildEvent::Line(line) => {
                    feed.push(DeployEvent::Output { step: StepName::Build, line });
                }
                BuildEvent::Notice(text) => feed.notice(text),
            };
            builder.build(&plan, &mut tell, &cancel)
        });
        self.built(built.await)
    }

    fn built<T>(
        &self,
        outcome: Result<Result<T, release::BuildError>, tokio::task::JoinError>,
    ) -> Result<T, DeployError> {
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) if self.is_cancelled() => Err(DeployError::Cancelled),
            Ok(Err(error)) => Err(Failure::from(error).into()),
            Err(error) => Err(Failure::from_error(Kind::Internal, &error).into()),
        }
    }

    /// Makes the app's data and home directories.
    async fn seed(
        &self,
        app: &App,
        artifact: &release::Artifact,
        source: &Path,
    ) -> Result<(), DeployError> {
        let home = self.node.home.app_home(&app.name);
        let above = self.node.home.app(&app.name);
        disk::create_directories(&above, 0o711)?;
        disk::create_directory(&home, 0o700)?;
        if let Some(user) = self.node.user(&app.name)? {
            disk::PathContext::context(
                std::os::unix::fs::chown(&home, Some(user.uid), Some(user.gid)),
                "change the owner of",
                &home,
            )?;
        }
        let identity = identity(&self.node, &app.name)?;
        let data = self.node.home.data(&app.name);
        let (app, artifact, source) = (app.clone(), artifact.clone(), source.to_owned());
        let seeded = tokio::task::spawn_blocking(move || {
            release::seed_data(&app, Some(&artifact), Some(&source), &data, &identity)
        });
        let seeded = seeded
            .await
            .map_err(|error| Failure::from_error(Kind::Internal, &error))?
            .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
        for part in seeded.iter().filter(|part| part.what == release::Seed::Copied) {
            let text = format!("`{}` was copied into the app's data, once", part.path);
            self.feed.notice(text);
        }
        Ok(())
    }
}

fn describe(plan: &BuildPlan) -> String {
    if plan.existing.is_some() {
        return "built before".to_owned();
    }
    match &plan.environment {
        Some(environment) if environment.existing.is_some() => {
            "environment unchanged, code".to_owned()
        }
        Some(_) => "environment and code".to_owned(),
        None => "code".to_owned(),
    }
}
