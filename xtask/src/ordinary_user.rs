//! Root's second run: the same test binaries as a user without rights.
//!
//! No user is created: the uid is that of `nobody`, which every Debian has, with a home and a
//! temporary directory of its own that exist for this run only. What the tests leave there is
//! a defect, and is said.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::{Place, others_may_enter};
use crate::step::{Stop, Tried, output, typed};

/// `nobody`.
const UID: u32 = 65534;

/// The packages that act on the system, whose outcome therefore depends on who runs them; the
/// others are pure and would only repeat themselves.
const PACKAGES: &[&str] = &[
    "agent",
    "cgroup",
    "control",
    "converge",
    "cookbook",
    "deploy",
    "disk",
    "environment",
    "home",
    "logs",
    "proxy",
    "release",
    "shim",
    "skep",
    "store",
    "supervise",
];

/// A user without rights, and the directory that is all it has.
pub(crate) struct OrdinaryUser {
    home: PathBuf,
}

/// A test binary and the directory it runs in.
pub(crate) struct TestBinary {
    pub(crate) executable: PathBuf,
    directory: PathBuf,
}

impl OrdinaryUser {
    /// Makes the user's directory, empty. It is in no repository: to git, what lies in the clone
    /// belongs to whoever owns that.
    pub(crate) fn prepare(place: &Place) -> Result<Self, Stop> {
        let home = PathBuf::from(format!("/var/tmp/skep-ordinary-user.{}", std::process::id()));
        if !others_may_enter(&place.target) {
            return Err(Stop::Failed(format!(
                "ordinary users cannot enter {}; set CARGO_TARGET_DIR to a directory they can",
                place.target.display()
            )));
        }
        for directory in [home.clone(), home.join("tmp")] {
            fs::create_dir(&directory)
                .and_then(|()| fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)))
                .and_then(|()| chown(&directory, Some(UID), Some(UID)))
                .tried(format_args!("create {}", directory.display()))?;
        }
        Ok(Self { home })
    }

    /// Returns the user's id.
    #[allow(clippy::unused_self)] // It is the user's.
    pub(crate) fn uid(&self) -> u32 {
        UID
    }

    /// Builds the test binaries and returns them.
    #[allow(clippy::unused_self)] // They are the ones this user runs.
    pub(crate) fn test_binaries(&self, place: &Place) -> Result<Vec<TestBinary>, Stop> {
        let mut cargo = place.cargo();
        cargo.args(["test", "--no-run", "--quiet", "--message-format", "json"]);
        let crates = place.source.join("crates");
        for path in PACKAGES.iter().map(|name| crates.join(name)).filter(|path| path.exists()) {
            // By place: somebody else's crate may have the same name.
            cargo.arg("--package").arg(format!("path+file://{}", path.display()));
        }
        let built = output(&mut cargo)?;
        if !built.status.success() {
            return Err(Stop::Failed(format!(
                "`{}` ended with {}\n{}",
                typed(&cargo),
                built.status,
                String::from_utf8_lossy(&built.stderr)
            )));
        }
        Ok(String::from_utf8_lossy(&built.stdout).lines().filter_map(test_binary).collect())
    }

    /// Returns the command that runs a test binary as this user.
    pub(crate) fn command(&self, binary: &TestBinary, path: &OsStr) -> Command {
        let id = UID.to_string();
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
            .arg(&binary.executable)
            .current_dir(&binary.directory)
            .env_clear()
            .env("PATH", enterable(path))
            .env("HOME", &self.home)
            .env("USER", "nobody")
            .env("LANG", "C.UTF-8")
            .env("TMPDIR", self.home.join("tmp"))
            .env("SKEP_TEST_ROOT", self.home.join("tmp"))
            .env("CARGO_MANIFEST_DIR", &binary.directory);
        for name in ["RUST_BACKTRACE", "CI", "TERM"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        for (name, value) in std::env::vars_os().filter(|(name, _)| for_downloads(name)) {
            command.env(name, value);
        }
        command
    }

    /// Removes the user's directory and returns what the tests left in it: nothing, or a defect.
    pub(crate) fn tidy(&self) -> Result<Vec<String>, Stop> {
        let temporary = self.home.join("tmp");
        let left = fs::read_dir(&temporary)
            .tried(format_args!("list {}", temporary.display()))?
            .filter_map(Result::ok)
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        fs::remove_dir_all(&self.home).tried(format_args!("remove {}", self.home.display()))?;
        Ok(left)
    }
}

impl Drop for OrdinaryUser {
    /// After a failure half-way; [`OrdinaryUser::tidy`] has done it otherwise.
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.home);
    }
}

/// Returns whether a variable says where packages come from; tests build apps.
fn for_downloads(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    ["PIP_", "UV_", "SSL_CERT_"].iter().any(|prefix| name.starts_with(prefix))
        || name.to_ascii_uppercase().ends_with("_PROXY")
}

/// Returns the directories of a `PATH` that others than root may enter.
fn enterable(path: &OsStr) -> OsString {
    let all = std::env::split_paths(path).filter(|directory| others_may_enter(directory));
    std::env::join_paths(all).unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".into())
}

/// Reads one line of cargo's messages.
fn test_binary(line: &str) -> Option<TestBinary> {
    let value = |key: &str| {
        let (_, rest) = line.split_once(&format!("\"{key}\":\""))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    // A target says whether it can be tested, the profile whether this file is the test.
    let (_, profile) = line.split_once("\"profile\":{")?;
    let (profile, _) = profile.split_once('}')?;
    if value("reason") != Some("compiler-artifact") || !profile.contains("\"test\":true") {
        return None;
    }
    Some(TestBinary {
        executable: PathBuf::from(value("executable")?),
        directory: Path::new(value("manifest_path")?).parent()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_binaries_are_told_from_other_artifacts() {
        let line = |test: &str, executable: &str| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"manifest_path\":\"/r/crates/shim/Cargo.toml\",\
                 \"target\":{{\"kind\":[\"bin\"],\"test\":true}},\
                 \"profile\":{{\"opt_level\":\"0\",\"test\":{test}}},\
                 \"filenames\":[],\"executable\":{executable}}}"
            )
        };
        let binary = test_binary(&line("true", "\"/t/shim-1\"")).unwrap();
        assert_eq!(binary.executable, Path::new("/t/shim-1"));
        assert_eq!(binary.directory, Path::new("/r/crates/shim"));
        assert!(test_binary(&line("false", "null")).is_none());
        assert!(test_binary(&line("false", "\"/t/skep\"")).is_none());
        assert!(test_binary("{\"reason\":\"build-finished\",\"success\":true}").is_none());
    }
}
