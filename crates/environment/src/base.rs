//! The lowest layer: what any process on a Unix machine expects, and what Skep says of itself.

use std::path::Path;

use crate::construct::{Inputs, Purpose};

/// Where programs are looked for behind the app's own environment.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The user and the places of a process.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    /// The name of the user it runs as.
    pub user: &'a str,
    /// That user's home directory.
    pub home: &'a Path,
    /// The root of the Python environment (`bin/` is below it), where the app has one.
    pub python: Option<&'a Path>,
}

/// Returns the base layer.
pub(crate) fn variables(inputs: &Inputs<'_>) -> Vec<(&'static str, String)> {
    let base = &inputs.base;
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut variables = vec![
        ("HOME", path(base.home)),
        ("USER", base.user.to_owned()),
        ("LOGNAME", base.user.to_owned()),
        ("SHELL", "/bin/sh".to_owned()),
        // Without it Python and many tools fall back to ASCII.
        ("LANG", "C.UTF-8".to_owned()),
        // Lines must reach the log when they are written, not when a buffer is full.
        ("PYTHONUNBUFFERED", "1".to_owned()),
        // Artifacts are immutable and come with their bytecode.
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("SKEP_APP", inputs.app.name.clone()),
    ];
    match base.python {
        Some(python) => {
            variables.push(("PATH", format!("{}:{SYSTEM_PATH}", path(&python.join("bin")))));
            variables.push(("VIRTUAL_ENV", path(python)));
        }
        None => variables.push(("PATH", SYSTEM_PATH.to_owned())),
    }
    if let Some(release) = inputs.release {
        variables.push(("SKEP_RELEASE", format!("v{release}")));
    }
    if let Some(service) = inputs.purpose.service() {
        variables.push(("SKEP_SERVICE", service.to_owned()));
    }
    if let Purpose::Service { slot, .. } = &inputs.purpose {
        variables.push(("SKEP_SLOT", slot.number.to_string()));
    }
    variables
}
