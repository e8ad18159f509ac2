//! Root trees of Debian, by the programs that make them.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use disk::{DiskError, Lock, PathContext};

use super::BaseError;

/// Counts up when trees are made in another way.
const FORMAT: u32 = 1;

/// Longest end of what the program said that is shown.
const MAX_SAID_BYTES: usize = 2_000;

/// Largest log that is read for its end.
const MAX_LOG_BYTES: u64 = 16 << 20;

/// A program and its arguments before release and directory.
pub(super) type Program = (&'static str, &'static [&'static str]);

/// Programs that make trees, the faster one first.
static PROGRAMS: [Program; 2] = [
    ("mmdebstrap", &["--variant=minbase", "--include=ca-certificates"]),
    ("debootstrap", &["--variant=minbase", "--include=ca-certificates"]),
];

/// Where they are looked for, and they their own programs.
const SEARCH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the program gets of its caller: how to reach a mirror.
fn is_passed_on(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_lowercase();
    matches!(name.as_str(), "http_proxy" | "https_proxy" | "no_proxy" | "ftp_proxy")
}

/// Returns the name of a release's tree.
pub(super) fn name(release: &str) -> String {
    let made_from =
        format!("{FORMAT} {release} minbase ca-certificates {}", std::env::consts::ARCH);
    format!("debian-{release}-{}", &crate::digest::of(made_from.as_bytes())[..12])
}

/// Returns the program that makes trees, if one is installed.
pub(super) fn program() -> Result<&'static Program, BaseError> {
    let is_there =
        |program: &str| SEARCH.split(':').any(|at| Path::new(at).join(program).is_file());
    PROGRAMS.iter().find(|(program, _)| is_there(program)).ok_or(BaseError::NoProgram)
}

/// Makes a tree in an empty directory.
pub(super) fn make(
    (program, arguments): &Program,
    release: &str,
    directory: &Path,
    log: &Path,
    lock: &Lock,
) -> Result<(), BaseError> {
    let mut command = Command::new(program);
    command.args(*arguments).arg(release).arg(directory);
    let output = File::create(log).context("create", log)?;
    let errors = output.try_clone().context("open", log)?;
    command
        .env_clear()
        .env("PATH", SEARCH)
        .env("LANG", "C.UTF-8")
        .envs(std::env::vars_os().filter(|(name, _)| is_passed_on(name)))
        .current_dir("/")
        // An empty file; held, also by a program whose caller was killed, until nobody writes to the tree.
        .stdin(lock.as_fd().try_clone_to_owned().context("open", log)?)
        .stdout(output)
        .stderr(errors);
    let status =
        command.status().map_err(|error| DiskError::new("run", Path::new(program), error))?;
    if status.success() {
        return Ok(());
    }
    let words: Vec<_> =
        command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let said = disk::read_limited(log, MAX_LOG_BYTES).unwrap_or_default();
    let said = &said[said.len().saturating_sub(MAX_SAID_BYTES)..];
    Err(BaseError::Program {
        command: format!("{program} {}", words.join(" ")),
        status: status.to_string(),
        said: String::from_utf8_lossy(said).trim().to_owned(),
    })
}
