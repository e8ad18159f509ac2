//! Starting a machine's keeper and waiting until the machine runs.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use disk::{DiskError, Lock};

use super::{Machine, Setup};

/// The first word of the keeper's command line.
pub const KEEPER: &str = "kitchen-keeper";

/// What the keeper says when the machine runs; anything else is why it does not.
pub(super) const RUNS: &str = "runs\n";

impl Machine {
    /// Makes a machine in a directory that is there and empty. `program` is an executable whose
    /// `main` calls [`keep`](super::keep) when its first argument is [`KEEPER`].
    pub fn create(directory: &Path, setup: &Setup, program: &Path) -> Result<Self, DiskError> {
        let failed = |error: std::io::Error| DiskError::new("start a machine in", directory, error);
        let text = serde_json::to_vec(setup).map_err(|error| failed(error.into()))?;
        super::write_record(&directory.join("setup.json"), &text)?;
        // Made before the keeper: whoever finds it unlocked knows that nobody lives here.
        drop(Lock::try_exclusive(&directory.join("lock"))?);
        let log = std::fs::File::create(directory.join("keeper.log")).map_err(failed)?;
        let mut command = Command::new(program);
        command
            .arg(KEEPER)
            .arg(directory)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| is_passed_on(name)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        // Whoever ends the terminal that it was made from does not end the machine.
        command.process_group(0);
        let mut keeper = command.spawn().map_err(failed)?;
        let mut said = String::new();
        if let Some(mut output) = keeper.stdout.take() {
            output.read_to_string(&mut said).map_err(failed)?;
        }
        if said != RUNS {
            let status = keeper.wait().map_err(failed)?;
            let why = match said.trim() {
                "" => format!("its keeper ended with {status}"),
                said => said.to_owned(),
            };
            return Err(failed(std::io::Error::other(why)));
        }
        Self::find(directory)?.ok_or_else(|| {
            failed(std::io::Error::other("it ended as soon as it ran; see keeper.log"))
        })
    }
}

/// What a keeper needs of its caller: how to reach the outside.
fn is_passed_on(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_lowercase();
    matches!(name.as_str(), "http_proxy" | "https_proxy" | "no_proxy" | "all_proxy")
}
