//! Build keys: what is known before anything is built.
//!
//! The *environment key* covers what an environment is made from (the files that say what to
//! install, or the whole source set where the source itself is installed), how it is filled, the
//! interpreter's build and the platform. The *build key* covers the environment key, the source set,
//! the build section, the data paths and the builder's format. Equal keys are taken to give equal
//! artifacts, so an index that has newer versions changes nothing: editing a requirement or a lock
//! file does.

use app::model::App;

use crate::digest::{Digest, Parts};
use crate::interpreter::Interpreter;
use crate::python::Project;
use crate::source::{self, SourceSet};

/// Raised whenever the builder would make something else from the same inputs.
const BUILDER_FORMAT: &str = "1";

/// Returns what native code is built for.
fn platform() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

/// Returns the key of the environment that `project` describes.
pub(crate) fn environment(project: &Project, interpreter: &Interpreter) -> Digest {
    let mut parts = Parts::new("environment key");
    parts.add("format", BUILDER_FORMAT);
    parts.add("platform", platform());
    parts.add("kind", format!("{:?}", project.kind));
    parts.add("installs source", if project.installs_source.is_some() { "yes" } else { "no" });
    parts.add("inputs", source::digest(&project.inputs).to_string());
    add_interpreter(&mut parts, interpreter);
    parts.finish()
}

/// Returns the build key.
pub(crate) fn build(
    source: &SourceSet,
    app: &App,
    environment: Option<&Digest>,
    interpreter: Option<&Interpreter>,
    node: bool,
) -> Digest {
    let mut parts = Parts::new("build key");
    parts.add("format", BUILDER_FORMAT);
    parts.add("platform", platform());
    parts.add("source", source.digest.to_string());
    parts.add("environment", environment.map(Digest::to_string).unwrap_or_default());
    match interpreter {
        Some(interpreter) => add_interpreter(&mut parts, interpreter),
        None => parts.add("interpreter", "none"),
    }
    parts.add("node", if node { "npm ci" } else { "" });
    for step in &app.build.steps {
        parts.add("step", step);
    }
    for data in &app.data {
        parts.add("data", &data.path);
    }
    for (name, value) in step_variables(app) {
        parts.add("variable", name);
        parts.add("value", value);
    }
    parts.finish()
}

fn add_interpreter(parts: &mut Parts, interpreter: &Interpreter) {
    parts.add("interpreter", interpreter.path.as_os_str().as_encoded_bytes());
    parts.add("version", &interpreter.version);
    parts.add("build", &interpreter.build);
}

/// Returns the variables of the app file that build steps see: those with a value in the file that
/// are no secrets. What an operator sets is not among them: an artifact does not depend on it.
pub(crate) fn step_variables(app: &App) -> impl Iterator<Item = (&str, &str)> {
    app.env.iter().filter(|(_, variable)| !variable.secret).filter_map(|(name, variable)| {
        variable.value.as_deref().map(|value| (name.as_str(), value))
    })
}
