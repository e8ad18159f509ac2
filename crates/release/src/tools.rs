//! The uv program: the machine's own, or one installed once under `SKEP_HOME/tools`.
//!
//! An installed uv of at least [`MINIMUM_UV`] that the build's user may execute is used. Otherwise
//! pip installs the version in [`UV_VERSION`], which must have one of the hashes in [`UV_HASHES`],
//! into `SKEP_HOME/tools/uv-<version>`: into a fresh directory, renamed when whole, under a lock, so
//! that builds of several apps at once install it once and a killed installation leaves nothing
//! that is ever used.
//!
//! pip runs as this process's own user, which may be root. So it is a pip of the machine's own
//! interpreters ([`trusted_pythons`]), never one that a caller's `PATH` leads to, and of the caller's
//! `PIP_*` only those that say where an index is and whom to trust ([`reaching_an_index`]).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use disk::{DiskError, Lock, PathContext};
use home::Home;

use crate::cancel::Cancel;
use crate::command::{self, CommandError, Limits, Program};
use crate::identity::Identity;
use crate::interpreter;
use crate::variables::SYSTEM_PATH;

/// The version that is installed where there is none.
pub const UV_VERSION: &str = "0.13.8";
/// SHA-256 of its wheels: glibc on x86_64 and on aarch64.
const UV_HASHES: [&str; 2] = [
    "e18a57b8b352eb7c8feb317b9f6f533c8f0ad9673fd6cf34bbe3cf1a9f6a8984",
    "5337c30bb893b4f9ce0ceb921ba2da0d13f649da644f40ad3bef84083bef0203",
];
/// The oldest series whose options (`--no-editable`, `--relocatable`) behave as builds rely on.
pub const MINIMUM_UV: [u32; 2] = [0, 13];
/// How long `uv --version` may take.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);
/// How long downloading 17 MB may take on a bad line.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(600);

/// A usable uv.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uv {
    pub(crate) path: PathBuf,
    pub(crate) version: String,
}

/// Why there is no uv.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// No pip to install it with.
    #[error("uv is not installed, and there is no pip to install it with")]
    NoPip,
    /// pip failed.
    #[error("failed to install uv {UV_VERSION} with `{}`", python.display())]
    Pip {
        /// The interpreter whose pip it was.
        python: PathBuf,
        /// The last lines it wrote.
        reason: String,
    },
    /// Installed, but the build's user cannot run it.
    #[error("`{}` was installed but cannot be run by {user}: {reason}", path.display())]
    Unusable {
        /// Where it is.
        path: PathBuf,
        /// Who cannot.
        user: String,
        /// Why.
        reason: String,
    },
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Cancelled.
    #[error("the installation of uv was cancelled")]
    Cancelled,
}

/// What finding or installing uv needs.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) home: &'a Home,
    pub(crate) identity: &'a Identity,
    pub(crate) search_path: &'a str,
    /// The caller's allow-listed variables.
    pub(crate) variables: &'a BTreeMap<String, String>,
    pub(crate) cancel: &'a Cancel,
}

/// The `PIP_*` that reach a pip of ours; others name files to read, to write or to execute.
const PIP_NAMES: [&str; 11] = [
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_INDEX_URL",
    "PIP_NO_INDEX",
    "PIP_PROXY",
    "PIP_RETRIES",
    "PIP_TIMEOUT",
    "PIP_TRUSTED_HOST",
];

/// Returns the variables that a pip run by this process itself gets.
pub(crate) fn reaching_an_index(variables: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> = variables
        .iter()
        .filter(|(name, _)| !name.starts_with("PIP_") || PIP_NAMES.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    environment.extend(plain_environment());
    // The configuration of this user is meant to be used: the index may be private.
    if let Ok(home) = std::env::var("HOME") {
        environment.insert("HOME".to_owned(), home);
    }
    environment.insert("PIP_DISABLE_PIP_VERSION_CHECK".to_owned(), "1".to_owned());
    environment
}

/// Returns the interpreters whose pip this process may run: as another user than the build's,
/// only the machine's own.
pub(crate) fn trusted_pythons(identity: &Identity, search_path: &str) -> Vec<PathBuf> {
    interpreter::candidates(match identity {
        Identity::Same => search_path,
        Identity::User(_) => SYSTEM_PATH,
    })
}

/// Returns a uv that the build's user may run; installs one if there is none.
pub(crate) fn uv(request: &Request<'_>, line: &mut dyn FnMut(&str)) -> Result<Uv, ToolError> {
    for directory in request.search_path.split(':').filter(|d| d.starts_with('/')) {
        let path = Path::new(directory).join("uv");
        if path.is_file()
            && let Ok(version) = version(&path, request.identity, request.cancel)
            && is_recent(&version)
        {
            return Ok(Uv { path, version });
        }
    }
    let directory = request.home.tools().join(format!("uv-{UV_VERSION}"));
    let path = directory.join("bin/uv");
    if !path.is_file() {
        disk::create_directories(&request.home.tools(), 0o755)?;
        // Held for the length of one installation, which is bounded.
        let _lock = Lock::exclusive(&request.home.tools().join(".lock"))?;
        if !path.is_file() {
            install(request, &directory, line)?;
        }
    }
    match version(&path, request.identity, request.cancel) {
        Ok(version) => Ok(Uv { path, version }),
        Err(_) if request.cancel.is_requested() => Err(ToolError::Cancelled),
        Err(reason) => Err(ToolError::Unusable { path, user: request.identity.name(), reason }),
    }
}

fn version(path: &Path, identity: &Identity, cancel: &Cancel) -> Result<String, String> {
    let program = Program {
        path: path.to_owned(),
        arguments: vec![OsString::from("--version")],
        directory: PathBuf::from("/"),
        environment: plain_environment(),
    };
    let limits = Limits { deadline: Instant::now() + VERSION_TIMEOUT, cancel };
    let captured = command::capture(&program, identity, limits)
        .map_err(|error| report::chain(&error).join(": "))?;
    let text = String::from_utf8_lossy(&captured.stdout).into_owned();
    match text.split_whitespace().collect::<Vec<_>>()[..] {
        ["uv", version, ..] => Ok(version.to_owned()),
        _ => Err(format!("`--version` says {:?}", text.chars().take(80).collect::<String>())),
    }
}

fn is_recent(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    [next(), next()] >= MINIMUM_UV
}

fn plain_environment() -> BTreeMap<String, String> {
    [("PATH", SYSTEM_PATH), ("HOME", "/nonexistent")]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Installs the pinned version. The lock is held.
fn install(
    request: &Request<'_>,
    directory: &Path,
    line: &mut dyn FnMut(&str),
) -> Result<(), ToolError> {
    let tools = request.home.tools();
    let stage = tools.join(".stage-uv");
    // What a killed installation left; whoever holds the lock is alone here.
    disk::remove_tree(&stage)?;
    disk::create_directory(&stage, 0o755)?;
    let result = fill(request, &stage, line).and_then(|()| {
        let tree = stage.join("tree");
        make_readable(&tree)?;
        disk::sync_tree(&tree)?;
        fs::rename(&tree, directory).context("rename", directory)?;
        disk::sync_directory(&tools)?;
        Ok(())
    });
    disk::remove_tree(&stage)?;
    result
}

fn fill(request: &Request<'_>, stage: &Path, line: &mut dyn FnMut(&str)) -> Result<(), ToolError> {
    let hashes = UV_HASHES.map(|hash| format!(" --hash=sha256:{hash}")).concat();
    let pin = stage.join("uv.txt");
    fs::write(&pin, format!("uv=={UV_VERSION}{hashes}\n")).context("write", &pin)?;
    let environment = reaching_an_index(request.variables);
    let limits = Limits { deadline: Instant::now() + INSTALL_TIMEOUT, cancel: request.cancel };
    for python in trusted_pythons(request.identity, request.search_path) {
        let run = |arguments: &[&str], line: &mut dyn FnMut(&str)| {
            let mut all: Vec<OsString> = ["-m", "pip"].map(OsString::from).into();
            all.extend(arguments.iter().map(OsString::from));
            let program = Program {
                path: python.clone(),
                arguments: all,
                directory: stage.to_owned(),
                environment: environment.clone(),
            };
            command::stream(&program, &Identity::Same, limits, line)
        };
        if run(&["--version"], &mut |_| {}).is_err() {
            if request.cancel.is_requested() {
                return Err(ToolError::Cancelled);
            }
            continue;
        }
        line(&format!("uv is not installed: installing {UV_VERSION} with pip, once"));
        let mut last = Vec::new();
        let arguments = [
            "install",
            "--no-deps",
            "--only-binary=:all:",
            "--no-compile",
            "--require-hashes",
            "--root-user-action=ignore",
            "--progress-bar=off",
            "--target=tree",
            "--requirement=uv.txt",
        ];
        let result = run(&arguments, &mut |text| {
            line(text);
            if last.len() == 10 {
                last.remove(0);
            }
            last.push(text.to_owned());
        });
        return match result {
            Ok(()) => Ok(()),
            Err(CommandError::Cancelled) => Err(ToolError::Cancelled),
            Err(error) => {
                last.push(report::chain(&error).join(": "));
                Err(ToolError::Pip { python: python.clone(), reason: last.join("\n") })
            }
        };
    }
    Err(ToolError::NoPip)
}

/// Lets every user read and execute the tree whatever the umask was.
fn make_readable(tree: &Path) -> Result<(), DiskError> {
    for entry in walkdir::WalkDir::new(tree) {
        let entry = entry.map_err(|error| DiskError::new("list", tree, error))?;
        if entry.file_type().is_symlink() {
            continue;
        }
        let path = entry.path();
        let mode = fs::metadata(path).context("read the mode of", path)?.permissions().mode();
        let mode = if entry.file_type().is_dir() || mode & 0o100 != 0 { 0o755 } else { 0o644 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .context("set the mode of", path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_cannot_make_our_pip_read_or_run_files() {
        let caller = ["PIP_INDEX_URL", "PIP_REQUIREMENT", "PIP_EDITABLE", "PIP_CACHE_DIR"]
            .map(|name| (name.to_owned(), "x".to_owned()))
            .into();
        let mut names: Vec<String> = reaching_an_index(&caller).into_keys().collect();
        names.retain(|name| name.starts_with("PIP_"));
        assert_eq!(names, ["PIP_DISABLE_PIP_VERSION_CHECK", "PIP_INDEX_URL"]);
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(is_recent("0.13.8") && is_recent("0.100.0") && is_recent("1.0.0"));
        assert!(!is_recent("0.9.30") && !is_recent("0.12.99") && !is_recent("x"));
    }
}
