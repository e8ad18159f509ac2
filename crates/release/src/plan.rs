//! What a build would do, known before it does anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use app::model::App;
use home::Home;

use crate::artifact::{Artifact, Artifacts, EnvironmentLayer};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::BuildError;
use crate::identity::Identity;
use crate::interpreter::{self, Interpreter};
use crate::key;
use crate::python::{self, Detected, Project};
use crate::source::{self, SourceSet};
use crate::variables::{self, SYSTEM_PATH};

/// What a build of one source is, before it is built.
#[derive(Debug, Clone)]
pub struct BuildPlan {
    /// The files it sees.
    pub source: SourceSet,
    /// What it leads to, by key.
    pub build_key: Digest,
    /// The artifact that this key led to before: nothing has to be built.
    pub existing: Option<Artifact>,
    /// The environment, if it has one.
    pub environment: Option<EnvironmentPlan>,
    /// The interpreter; `None` when nothing in the source is Python.
    pub interpreter: Option<Interpreter>,
    /// Whether `npm ci` runs first.
    pub node: bool,
    /// What would be done, in order, for people.
    pub lines: Vec<String>,
    /// What a person should know.
    pub notices: Vec<String>,
    /// Names of the caller's variables that build programs would see.
    pub passed_variables: Vec<String>,
}

impl BuildPlan {
    /// Returns the source for people: `8c1f2e9 +2 uncommitted`.
    pub fn source_label(&self) -> String {
        self.source.label()
    }
}

/// What the environment would be.
#[derive(Debug, Clone)]
pub struct EnvironmentPlan {
    /// Its key.
    pub key: Digest,
    /// What it is made from.
    pub project: Project,
    /// The layer that this key led to before: nothing has to be installed.
    pub existing: Option<EnvironmentLayer>,
}

/// Makes artifacts of one app.
#[derive(Debug, Clone)]
pub struct Builder {
    pub(crate) home: Home,
    pub(crate) app: App,
    pub(crate) source: PathBuf,
    pub(crate) identity: Identity,
    /// The caller's allow-listed variables.
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) search_path: String,
    pub(crate) artifacts: Artifacts,
}

impl Builder {
    /// Returns a builder of `app` from `source`. Of `caller_environment` only the variables that
    /// [`crate::build_environment`] names reach a build; its `PATH` is where interpreters and uv
    /// are looked for first, and `HOME` adds `~/.local/bin` and `~/.cargo/bin`.
    pub fn new(
        home: &Home,
        app: &App,
        source: &Path,
        identity: Identity,
        caller_environment: &BTreeMap<String, String>,
    ) -> Self {
        Self {
            home: home.clone(),
            app: app.clone(),
            source: source.to_owned(),
            identity,
            variables: variables::build_environment(caller_environment),
            search_path: search_path(caller_environment),
            artifacts: Artifacts::of(home, &app.name),
        }
    }

    /// Returns the app's artifacts.
    pub fn artifacts(&self) -> &Artifacts {
        &self.artifacts
    }

    /// Finds out what a build would do. Reads the source, runs git and the interpreter, and changes
    /// nothing but `SKEP_HOME/cache`.
    pub fn plan(&self, cancel: &Cancel) -> Result<BuildPlan, BuildError> {
        disk::create_directories(&self.home.cache(), 0o711)?;
        let source = source::read(&self.source, &self.app, &self.home.cache(), cancel)?;
        let detected = python::detect(&source, self.app.build.python.as_deref())?;
        let mut notices = source.notices.clone();
        notices.extend(detected.notices.iter().cloned());
        let interpreter = self.interpreter(&detected, &mut notices, cancel)?;
        if cancel.is_requested() {
            return Err(BuildError::Cancelled);
        }
        let environment = match (detected.project, &interpreter) {
            (Some(project), Some(interpreter)) => {
                let key = key::environment(&project, interpreter);
                let existing = self.artifacts.lookup_environment(&key);
                Some(EnvironmentPlan { key, project, existing })
            }
            _ => None,
        };
        let node = source.has_file("package.json")
            && (source.has_file("package-lock.json") || source.has_file("npm-shrinkwrap.json"));
        let environment_key = environment.as_ref().map(|plan| plan.key);
        let build_key =
            key::build(&source, &self.app, environment_key.as_ref(), interpreter.as_ref(), node);
        let existing = self.artifacts.lookup(&build_key);
        let mut plan = BuildPlan {
            source,
            build_key,
            existing,
            environment,
            interpreter,
            node,
            lines: Vec::new(),
            notices,
            passed_variables: self.variables.keys().cloned().collect(),
        };
        plan.lines = lines(&plan, &self.app);
        Ok(plan)
    }

    fn interpreter(
        &self,
        detected: &Detected,
        notices: &mut Vec<String>,
        cancel: &Cancel,
    ) -> Result<Option<Interpreter>, BuildError> {
        let Some(wish) = &detected.wish else { return Ok(None) };
        let found = interpreter::find(wish, &self.search_path, &self.identity, cancel);
        let search = match found {
            Ok(search) => search,
            // Nobody asked for Python: a stray script beside an app in another language.
            Err(_) if wish.is_any() && detected.project.is_none() => return Ok(None),
            Err(none) => return Err(none.into()),
        };
        if let Some(rejected) = search.unreachable.first() {
            notices.push(format!(
                "{} is not used: {}; {} is",
                rejected.path.display(),
                rejected.reason,
                search.interpreter.path.display()
            ));
        }
        Ok(Some(search.interpreter))
    }
}

fn search_path(caller: &BTreeMap<String, String>) -> String {
    let mut path = caller.get("PATH").cloned().unwrap_or_default();
    if let Some(home) = caller.get("HOME").filter(|home| home.starts_with('/')) {
        path = format!("{path}:{home}/.local/bin:{home}/.cargo/bin");
    }
    format!("{path}:{SYSTEM_PATH}")
}

fn lines(plan: &BuildPlan, app: &App) -> Vec<String> {
    if let Some(existing) = &plan.existing {
        return vec![format!(
            "artifact {} was built before: nothing to build",
            existing.id.short()
        )];
    }
    let mut lines = Vec::new();
    if let Some(environment) = &plan.environment {
        let python = plan.interpreter.as_ref().map_or_else(String::new, |python| {
            format!("Python {} ({})", python.version, python.path.display())
        });
        lines.push(match &environment.existing {
            Some(layer) => format!("environment unchanged ({})", layer.id.short()),
            None => format!("environment from {} with {python}", environment.project.kind.file()),
        });
        if let Some(why) = &environment.project.installs_source {
            lines.push(format!("{why}: every code change makes a new environment"));
        }
    }
    let count = plan.source.entries.len();
    lines.push(format!("code: {count} files, {}", crate::error::size_text(plan.source.size_bytes)));
    if plan.node {
        lines.push("npm ci".to_owned());
    }
    lines.extend(app.build.steps.iter().map(|step| format!("build step: {step}")));
    if !plan.passed_variables.is_empty() {
        lines.push(format!("the build sees {}", plan.passed_variables.join(", ")));
    }
    lines
}
