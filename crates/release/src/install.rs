//! The environment layer: filled by uv in the stage, then kept.

use std::ffi::OsString;
use std::path::Path;
use std::time::Instant;

use crate::artifact::{EnvironmentLayer, VENV, activate};
use crate::build::{BuildEvent, Building, text};
use crate::command::Program;
use crate::data::ENVIRONMENT_DATA;
use crate::error::BuildError;
use crate::fresh::New;
use crate::manifest::{Layer, Manifest};
use crate::normalise;
use crate::pip;
use crate::plan::EnvironmentPlan;
use crate::python::Kind;
use crate::take::{self, Taking};
use crate::tools;

impl Building<'_> {
    /// Returns the environment layer, made if it is not there.
    pub(crate) fn environment(&mut self) -> Result<Option<EnvironmentLayer>, BuildError> {
        let Some(plan) = &self.plan.environment else { return Ok(None) };
        if let Some(existing) = self.builder.artifacts.lookup_environment(&plan.key) {
            return Ok(Some(existing));
        }
        let started = Instant::now();
        let what = format!("environment from {}", plan.project.kind.file());
        (self.progress.events)(BuildEvent::Started { what: what.clone() });
        self.install(plan)?;
        let layer = self.keep_environment(plan)?;
        (self.progress.events)(BuildEvent::Finished { what, elapsed: started.elapsed() });
        Ok(Some(layer))
    }

    /// Fills the stage's environment.
    fn install(&mut self, plan: &EnvironmentPlan) -> Result<(), BuildError> {
        let Some(interpreter) = &self.plan.interpreter else { return Ok(()) };
        let request = tools::Request {
            home: &self.builder.home,
            identity: &self.builder.identity,
            search_path: &self.builder.search_path,
            variables: &self.builder.variables,
            cancel: self.cancel,
        };
        let progress = &mut self.progress;
        let uv = tools::uv(&request, &mut |line| progress.line(line))?;
        progress.log.line(&format!("uv {} at {}", uv.version, uv.path.display()));
        let pythons = tools::trusted_pythons(&self.builder.identity, &self.builder.search_path);
        pip::translate(&mut self.variables, &pythons, self.cancel);

        let source = self.stage.source();
        let inputs = &plan.project.inputs;
        self.stage.copy_source(&self.builder.source, inputs, &source, self.cancel)?;
        self.stage.make(&self.stage.environment())?;
        let venv = self.stage.environment();
        let python = interpreter.path.as_os_str();
        let mut environment = self.variables(&[])?;
        let cache = self.cache("uv")?;
        for (name, value) in [
            ("UV_CACHE_DIR", cache.as_path()),
            ("UV_PROJECT_ENVIRONMENT", venv.as_path()),
            ("UV_LINK_MODE", Path::new("copy")),
            ("UV_NO_PROGRESS", Path::new("1")),
            ("UV_PYTHON_DOWNLOADS", Path::new("never")),
        ] {
            environment.insert(name.to_owned(), text(value)?);
        }
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let mut create = words(&["venv", "--quiet", "--relocatable", "--no-project", "--python"]);
        create.extend([python.to_owned(), venv.clone().into_os_string()]);
        let mut install = match plan.project.kind {
            Kind::Lock => words(&["sync", "--frozen", "--no-dev", "--no-editable", "--python"]),
            _ => words(&["pip", "install", "--no-editable", "--python"]),
        };
        match plan.project.kind {
            Kind::Lock => install.push(python.to_owned()),
            kind => {
                install.push(venv.join("bin/python").into_os_string());
                install.extend(words(match kind {
                    Kind::Requirements => &["--requirement", "requirements.txt"],
                    Kind::Dependencies => &["--requirement", "pyproject.toml"],
                    // Named on the command line: such a path is never taken from uv's cache.
                    Kind::Project | Kind::Lock => &["."],
                }));
            }
        }
        self.stage.open_up()?;
        for arguments in [create, install] {
            let program = Program {
                path: uv.path.clone(),
                arguments,
                directory: source.clone(),
                environment: environment.clone(),
            };
            self.run("installing the environment", &program)?;
        }
        self.compile(&venv.join("bin/python"), &venv.join("lib"), &environment)
    }

    /// Makes the stage's environment a layer.
    fn keep_environment(&mut self, plan: &EnvironmentPlan) -> Result<EnvironmentLayer, BuildError> {
        self.close_down()?;
        let venv = self.stage.environment();
        let normalised = normalise::environment(&venv)?;
        let has_var = plan.project.installs_source.is_some() && !venv.join("var").exists();
        let data = if has_var {
            vec![("var".to_owned(), ENVIRONMENT_DATA.to_owned())]
        } else {
            Vec::new()
        };
        let artifacts = &self.builder.artifacts;
        let new = New::create(artifacts.directory())?;
        let taken = take::take(&Taking {
            from: &venv,
            into: &new.0.join(VENV),
            data: &data,
            data_directory: &self.builder.home.data(&self.builder.app.name),
            interpreter: self.plan.interpreter.as_ref().map(|python| python.path.as_path()),
            dropped: &normalised.dropped,
            rewritten: &normalised.rewritten,
            cancel: self.cancel,
        })?;
        let manifest =
            Manifest { layer: Layer::Environment, environment: None, entries: taken.entries };
        let id = new.finish(&manifest)?;
        activate(&new.0, &artifacts.environment_path_of(&id), &id)?;
        let layer = artifacts.environment(plan.key, id, has_var, manifest.size_bytes());
        artifacts.remember_environment(&layer)?;
        Ok(layer)
    }
}
