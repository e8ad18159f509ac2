//! Finds the Python that an app is built with and runs with.
//!
//! Every candidate is *run as the build's user*: that is the only proof that this user may execute
//! it. On many machines the first `python3` in root's PATH is a version manager's below `/root`
//! (mode 0700), which an app's own user can neither execute nor be given. Such candidates are
//! remembered with the directory that is in the way, and the next one is tried. Interpreters are
//! never downloaded here.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cancel::Cancel;
use crate::command::{self, CommandError, Limits, Program};
use crate::identity::Identity;
use crate::variables::SYSTEM_PATH;
use crate::wish::Wish;

/// How long an interpreter may take to say what it is; version managers' scripts need most of a
/// second on a cold disk.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);
/// The first whose `compileall` writes paths relative to a tree.
const MINIMUM_PYTHON: &str = "3.9";
/// Most candidates that are tried.
const MAX_CANDIDATES: usize = 64;

/// Says what it is, one value a line. `_base_executable` is the interpreter behind a virtual
/// environment.
const PROBE: &str = "import sys, sysconfig\n\
    print(getattr(sys, '_base_executable', None) or sys.executable)\n\
    print('%d.%d.%d' % sys.version_info[:3])\n\
    print(sys.implementation.name, sysconfig.get_platform(), sysconfig.get_config_var('SOABI'))\n\
    print(' '.join(sys.version.split()))\n";

/// An interpreter that the build's user may execute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// Its real path.
    pub path: PathBuf,
    /// Its version.
    pub version: String,
    /// Which build of that version: implementation, platform, ABI, compile date.
    pub build: String,
}

/// Why a candidate was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The candidate.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// No interpreter will do.
#[derive(Debug, thiserror::Error)]
#[error("no {wish} here that {user} may execute")]
pub struct NoInterpreter {
    /// What was wanted.
    pub wish: Wish,
    /// For whom.
    pub user: String,
    /// What there is, and why not.
    pub rejected: Vec<Rejected>,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) interpreter: Interpreter,
    /// Earlier candidates that the user may not execute; a person expects one of them.
    pub(crate) unreachable: Vec<Rejected>,
}

/// Returns the first interpreter on `search_path` that fits and that the user may execute.
pub(crate) fn find(
    wish: &Wish,
    search_path: &str,
    identity: &Identity,
    cancel: &Cancel,
) -> Result<Search, NoInterpreter> {
    let mut rejected = Vec::new();
    let mut unreachable = Vec::new();
    let minimum: Wish = format!(">={MINIMUM_PYTHON}").parse().unwrap_or_default();
    for path in candidates(search_path).into_iter().take(MAX_CANDIDATES) {
        match probe(&path, identity, cancel) {
            Ok(interpreter) if !interpreter.build.starts_with("cpython") => {
                rejected.push(Rejected { path, reason: "not CPython".to_owned() });
            }
            Ok(interpreter) if !minimum.accepts(numbers(&interpreter)) => {
                let reason = format!("is {}, older than {MINIMUM_PYTHON}", interpreter.version);
                rejected.push(Rejected { path, reason });
            }
            Ok(interpreter) if wish.accepts(numbers(&interpreter)) => {
                return Ok(Search { interpreter, unreachable });
            }
            Ok(interpreter) => {
                let reason = format!("is {}", interpreter.version);
                rejected.push(Rejected { path, reason });
            }
            Err(reason) => {
                rejected.push(Rejected { path: path.clone(), reason: reason.clone() });
                unreachable.push(Rejected { path, reason });
            }
        }
    }
    Err(NoInterpreter { wish: wish.clone(), user: identity.name(), rejected })
}

fn numbers(interpreter: &Interpreter) -> [u32; 3] {
    let mut numbers = interpreter.version.split('.').map(|n| n.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    [next(), next(), next()]
}

/// Returns `python3` and `python3.N` of each directory, newest minor version first.
pub(crate) fn candidates(search_path: &str) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for directory in search_path.split(':').filter(|directory| directory.starts_with('/')) {
        let directory = Path::new(directory);
        let Ok(entries) = fs::read_dir(directory) else { continue };
        let mut versions: Vec<u32> = entries
            .filter_map(|entry| {
                entry.ok()?.file_name().to_str()?.strip_prefix("python3.")?.parse().ok()
            })
            .collect();
        versions.sort_unstable_by(|a, b| b.cmp(a));
        let names = std::iter::once("python3".to_owned())
            .chain(versions.into_iter().map(|minor| format!("python3.{minor}")));
        for name in names {
            let path = directory.join(name);
            // `/bin` is often `/usr/bin`, and `python3` a link to `python3.11`.
            if let Ok(real) = path.canonicalize()
                && (is_script(&real) || seen.insert(real))
            {
                found.push(path);
            }
        }
    }
    found
}

/// Version managers put the same script under every name.
fn is_script(path: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 2];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!"
}

/// Runs a candidate as the user.
fn probe(path: &Path, identity: &Identity, cancel: &Cancel) -> Result<Interpreter, String> {
    let mut environment = BTreeMap::new();
    environment.insert("PATH".to_owned(), SYSTEM_PATH.to_owned());
    environment.insert("HOME".to_owned(), "/nonexistent".to_owned());
    let program = Program {
        path: path.to_owned(),
        arguments: ["-I", "-S", "-c", PROBE].map(OsString::from).into(),
        directory: PathBuf::from("/"),
        environment,
    };
    let limits = Limits { deadline: Instant::now() + PROBE_TIMEOUT, cancel };
    let captured = match command::capture(&program, identity, limits) {
        Ok(captured) => captured,
        Err(CommandError::Start { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            return Err(obstacle(path, identity));
        }
        Err(error) => return Err(report::chain(&error).join(": ")),
    };
    if !captured.status.success() {
        let last = captured.stderr.lines().last().unwrap_or_default().trim();
        let status = command::status_text(captured.status);
        return Err(format!("cannot be run by {}: {status}: {last}", identity.name()));
    }
    let text = String::from_utf8_lossy(&captured.stdout);
    let mut lines = text.lines().map(str::trim);
    match (lines.next(), lines.next(), lines.next(), lines.next()) {
        (Some(real), Some(version), Some(build), Some(compiled)) if real.starts_with('/') => {
            Ok(Interpreter {
                path: PathBuf::from(real),
                version: version.to_owned(),
                build: format!("{build} {compiled}"),
            })
        }
        _ => Err("did not say what it is".to_owned()),
    }
}

/// Says what keeps the user from executing `path`.
fn obstacle(path: &Path, identity: &Identity) -> String {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = identity.name();
    match identity.obstacle(real.parent().unwrap_or(&real)) {
        Some((above, mode)) => {
            format!("{name} may not enter {} (mode {mode:04o})", above.display())
        }
        None => format!("{name} may not execute it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machines_python_is_found_and_a_wish_nobody_fulfils_lists_what_there_is() {
        let cancel = Cancel::new().unwrap();
        let path = "/usr/local/bin:/usr/bin:/bin";
        let found = find(&Wish::default(), path, &Identity::Same, &cancel).unwrap().interpreter;
        assert!(found.path.is_absolute() && found.version.starts_with("3."), "{found:?}");

        let wish = "==2.7.*".parse().unwrap();
        let error = find(&wish, path, &Identity::Same, &cancel).unwrap_err();
        assert!(error.rejected.iter().any(|r| r.reason == format!("is {}", found.version)));
    }
}
