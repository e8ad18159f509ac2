//! Carries a plan out: environment, code, steps, bytecode, manifest, activation.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use disk::{Lock, PathContext};

use crate::artifact::{Artifact, Built, CODE, ENVIRONMENT_LINK, EnvironmentLayer, VENV, activate};
use crate::bytecode;
use crate::cancel::Cancel;
use crate::command::{self, CommandError, Limits, Program};
use crate::error::BuildError;
use crate::fresh::New;
use crate::identity::Identity;
use crate::key;
use crate::log::BuildLog;
use crate::manifest::{Layer, Manifest};
use crate::plan::{BuildPlan, Builder};
use crate::retention::{self, BUILDER_LOCK};
use crate::space::Estimate;
use crate::stage::Stage;
use crate::take::{self, Taking};
use crate::variables::{Base, SYSTEM_PATH};

/// News of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// A part began.
    Started {
        /// What it does.
        what: String,
    },
    /// A program wrote a line.
    Line(String),
    /// A part is done.
    Finished {
        /// What it did.
        what: String,
        /// How long it took.
        elapsed: Duration,
    },
    /// Something worth knowing that is no failure.
    Notice(String),
}

/// Where a build's news and log lines go.
pub(crate) struct Progress<'a> {
    pub(crate) events: &'a mut dyn FnMut(BuildEvent),
    pub(crate) log: BuildLog,
}

impl Progress<'_> {
    pub(crate) fn line(&mut self, line: &str) {
        self.log.line(line);
        (self.events)(BuildEvent::Line(line.to_owned()));
    }

    pub(crate) fn notice(&mut self, text: String) {
        self.log.line(&text);
        (self.events)(BuildEvent::Notice(text));
    }
}

/// One build going on.
pub(crate) struct Building<'a> {
    pub(crate) builder: &'a Builder,
    pub(crate) plan: &'a BuildPlan,
    pub(crate) stage: Stage,
    pub(crate) deadline: Instant,
    pub(crate) cancel: &'a Cancel,
    /// The caller's variables, with pip's configuration translated for uv.
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) progress: Progress<'a>,
}

impl Builder {
    /// Builds what `plan` says, or returns what is there already. Blocks; safe to run on its own
    /// thread. After an error or a cancellation nothing is left but the log, and an environment that
    /// was finished before.
    pub fn build(
        &self,
        plan: &BuildPlan,
        events: &mut dyn FnMut(BuildEvent),
        cancel: &Cancel,
    ) -> Result<Artifact, BuildError> {
        if let Some(existing) = self.artifacts.lookup(&plan.build_key) {
            return Ok(existing);
        }
        self.artifacts.create()?;
        let directory = self.artifacts.directory();
        if let Some((directory, mode)) = self.identity.obstacle(directory) {
            return Err(BuildError::Unreachable { directory, mode, user: self.identity.name() });
        }
        let Some(_lock) = Lock::try_exclusive(&directory.join(BUILDER_LOCK))? else {
            return Err(BuildError::Busy(self.app.name.clone()));
        };
        retention::sweep(&self.artifacts)?;
        self.check_space(plan)?;
        let log = BuildLog::create(&self.home.build_logs(&self.app.name), &plan.build_key.short())?;
        let mut building = Building {
            builder: self,
            plan,
            stage: Stage::create(directory, &self.identity)?,
            deadline: Instant::now() + Duration::from_millis(self.app.build.timeout_ms),
            cancel,
            variables: self.variables.clone(),
            progress: Progress { events, log },
        };
        let environment = building.environment()?;
        building.code(environment)
    }

    fn check_space(&self, plan: &BuildPlan) -> Result<(), BuildError> {
        let (last_code_bytes, last_environment_bytes) = self.artifacts.last_sizes();
        let estimate = Estimate {
            source_bytes: plan.source.size_bytes,
            last_code_bytes,
            last_environment_bytes,
            builds_environment: plan.environment.as_ref().is_some_and(|e| e.existing.is_none()),
            node: plan.node,
        };
        let directory = self.artifacts.directory();
        estimate.check(directory, disk::free_bytes(directory)?)
    }
}

impl Building<'_> {
    /// Makes the artifact.
    fn code(&mut self, environment: Option<EnvironmentLayer>) -> Result<Artifact, BuildError> {
        let started = Instant::now();
        (self.progress.events)(BuildEvent::Started { what: "code".to_owned() });
        let code = self.stage.code();
        let source = &self.plan.source;
        self.stage.copy_source(&self.builder.source, &source.entries, &code, self.cancel)?;
        self.stage.open_up()?;
        self.steps(environment.as_ref(), &code)?;
        let python = match &environment {
            Some(layer) => Some(layer.python.clone()),
            None => self.plan.interpreter.as_ref().map(|python| python.path.clone()),
        };
        if let Some(python) = &python {
            let variables = self.variables(&[])?;
            self.compile(python, &code, &variables)?;
        }
        self.close_down()?;

        let builder = self.builder;
        let data: Vec<(String, String)> =
            builder.app.data.iter().map(|d| (d.path.clone(), d.path.clone())).collect();
        let new = New::create(builder.artifacts.directory())?;
        let taken = take::take(&Taking {
            from: &code,
            into: &new.0.join(CODE),
            data: &data,
            data_directory: &builder.home.data(&builder.app.name),
            interpreter: None,
            dropped: &BTreeSet::new(),
            rewritten: &BTreeMap::new(),
            cancel: self.cancel,
        })?;
        for path in taken.data_written {
            self.progress.notice(format!(
                "the build wrote to {path}, which is data: what it wrote is not kept"
            ));
        }
        let manifest = Manifest {
            layer: Layer::Code,
            environment: environment.as_ref().map(|layer| layer.id),
            entries: taken.entries,
        };
        if let Some(layer) = &environment {
            let target =
                Path::new("..").join(layer.directory.file_name().unwrap_or_default()).join(VENV);
            let link = new.0.join(ENVIRONMENT_LINK);
            std::os::unix::fs::symlink(target, &link).context("create link", &link)?;
        }
        let id = new.finish(&manifest)?;
        let built = Built {
            source: source.label(),
            plain_python: if environment.is_some() { None } else { python },
            code_bytes: manifest.size_bytes(),
        };
        activate(&new.0, &builder.artifacts.path_of(&id), &id)?;
        let artifact =
            builder.artifacts.artifact(self.plan.build_key, id, environment, built.clone());
        builder.artifacts.remember(&artifact, &built)?;
        let elapsed = started.elapsed();
        (self.progress.events)(BuildEvent::Finished { what: "code".to_owned(), elapsed });
        Ok(artifact)
    }

    /// Runs `npm ci` and the app file's steps in the stage's copy of the code.
    fn steps(
        &mut self,
        environment: Option<&EnvironmentLayer>,
        code: &Path,
    ) -> Result<(), BuildError> {
        let mut first: Vec<PathBuf> =
            environment.map(|layer| layer.bin_directory.clone()).into_iter().collect();
        if self.plan.node {
            first.push(code.join("node_modules/.bin"));
        }
        let mut variables = self.variables(&first)?;
        if let Some(layer) = environment {
            variables.insert("VIRTUAL_ENV".to_owned(), text(&layer.prefix)?);
        }
        let app = &self.builder.app;
        if self.plan.node {
            let npm = command::find("npm", SYSTEM_PATH).ok_or(BuildError::NoNpm)?;
            variables.insert("npm_config_cache".to_owned(), text(&self.cache("npm")?)?);
            let program = Program {
                path: npm,
                arguments: ["ci", "--no-audit", "--no-fund"].map(OsString::from).into(),
                directory: code.to_owned(),
                environment: variables.clone(),
            };
            self.part("npm ci", &program)?;
        }
        for step in &app.build.steps {
            let program = Program {
                path: PathBuf::from("/bin/sh"),
                arguments: ["-c", step].map(OsString::from).into(),
                directory: code.to_owned(),
                environment: variables.clone(),
            };
            self.part(&format!("build step `{step}`"), &program)?;
        }
        Ok(())
    }

    fn part(&mut self, what: &str, program: &Program) -> Result<(), BuildError> {
        let started = Instant::now();
        (self.progress.events)(BuildEvent::Started { what: what.to_owned() });
        self.run(what, program)?;
        let elapsed = started.elapsed();
        (self.progress.events)(BuildEvent::Finished { what: what.to_owned(), elapsed });
        Ok(())
    }

    /// Runs one program of the build as its user.
    pub(crate) fn run(&mut self, step: &str, program: &Program) -> Result<(), BuildError> {
        self.progress.log.begin(&program.text());
        let limits = Limits { deadline: self.deadline, cancel: self.cancel };
        let progress = &mut self.progress;
        let result = command::stream(program, &self.builder.identity, limits, &mut |line| {
            progress.line(line);
        });
        let Err(error) = result else { return Ok(()) };
        let last_lines = self.progress.log.last_lines();
        let log = self.progress.log.path().to_owned();
        let step = step.to_owned();
        Err(match error {
            CommandError::Cancelled => BuildError::Cancelled,
            CommandError::TimedOut => {
                let limit_s = self.builder.app.build.timeout_ms / 1000;
                BuildError::TimedOut { step, limit_s, last_lines, log }
            }
            CommandError::Status(status) => BuildError::Step {
                step,
                command: program.text(),
                reason: command::status_text(status),
                last_lines,
                log,
            },
            other => BuildError::Step {
                step,
                command: program.text(),
                reason: report::chain(&other).join(": "),
                last_lines,
                log,
            },
        })
    }

    /// Compiles below `root`; what does not compile is in the log and no failure.
    pub(crate) fn compile(
        &mut self,
        python: &Path,
        root: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<(), BuildError> {
        let program = bytecode::compile(python, root, environment);
        self.progress.log.begin(&format!("compile {}", root.display()));
        let limits = Limits { deadline: self.deadline, cancel: self.cancel };
        let log = &mut self.progress.log;
        match command::stream(&program, &self.builder.identity, limits, &mut |line| log.line(line))
        {
            Err(CommandError::Cancelled) => Err(BuildError::Cancelled),
            Err(error) => {
                let reason = report::chain(&error).join(": ");
                self.progress.notice(format!("bytecode was not compiled: {reason}"));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    pub(crate) fn close_down(&mut self) -> Result<(), BuildError> {
        let ended = self.stage.close_down()?;
        if ended > 0 {
            self.progress
                .notice(format!("{ended} processes that the build left running were ended"));
        }
        Ok(())
    }

    /// Returns the environment of the build's programs.
    pub(crate) fn variables(
        &self,
        first: &[PathBuf],
    ) -> Result<BTreeMap<String, String>, BuildError> {
        let mut environment = self.variables.clone();
        for (name, value) in key::step_variables(&self.builder.app) {
            environment.insert(name.to_owned(), value.to_owned());
        }
        let first: Vec<String> = first.iter().map(|path| text(path)).collect::<Result<_, _>>()?;
        Base {
            first: &first,
            home: &text(&self.stage.home())?,
            temporary: &text(&self.stage.temporary())?,
            stage: self.stage.id(),
        }
        .put(&mut environment);
        Ok(environment)
    }

    /// Returns a cache directory of the build's user, made if it is missing.
    pub(crate) fn cache(&self, name: &str) -> Result<PathBuf, BuildError> {
        let identity: &Identity = &self.builder.identity;
        let path = self.builder.home.cache().join(format!("{name}-{}", identity.uid()));
        if !path.exists() {
            disk::create_directory(&path, 0o700)?;
            identity.own(&path)?;
        }
        Ok(path)
    }
}

pub(crate) fn text(path: &Path) -> Result<String, BuildError> {
    path.to_str().map(str::to_owned).ok_or_else(|| BuildError::Machine {
        operation: format!("use `{}` as SKEP_HOME", path.display()),
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not UTF-8"),
    })
}
