//! Why there is no artifact, and how that reads for a person.

use std::path::PathBuf;

use disk::DiskError;
use report::{Failure, Kind};

use crate::artifact::ArtifactError;
use crate::data::DataError;
use crate::interpreter::NoInterpreter;
use crate::python::ProjectError;
use crate::source::SourceError;
use crate::take::TakeError;
use crate::tools::ToolError;

/// Why a build, or its plan, came to nothing. Whatever it made is gone; artifacts are untouched.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no source set.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The project's description cannot be read.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// No interpreter will do.
    #[error(transparent)]
    Interpreter(#[from] NoInterpreter),
    /// No uv.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// `package.json` needs npm.
    #[error("`package-lock.json` asks for `npm ci`, but there is no npm here")]
    NoNpm,
    /// A file of the source was edited while it was copied.
    #[error("`{0}` changed while it was copied")]
    SourceChanged(String),
    /// A program of the build failed.
    #[error("{step} failed: {reason}")]
    Step {
        /// What it was for: ``the build step `npm run build` ``.
        step: String,
        /// The command line.
        command: String,
        /// `exit 1` …
        reason: String,
        /// What it wrote last.
        last_lines: Vec<String>,
        /// The whole log.
        log: PathBuf,
    },
    /// The time limit of the whole build.
    #[error("{step} was still running when the build's {limit_s} s were over")]
    TimedOut {
        /// What was running.
        step: String,
        /// The limit in seconds.
        limit_s: u64,
        /// What it wrote last.
        last_lines: Vec<String>,
        /// The whole log.
        log: PathBuf,
    },
    /// The built tree cannot become an artifact.
    #[error(transparent)]
    Take(#[from] TakeError),
    /// An artifact is damaged.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Too little space.
    #[error(
        "not enough space below `{}`: {} free, {} needed", path.display(),
        size_text(*free_bytes), size_text(*needed_bytes)
    )]
    Space {
        /// Where.
        path: PathBuf,
        /// Free there.
        free_bytes: u64,
        /// Twice what the artifact is expected to take.
        needed_bytes: u64,
    },
    /// SKEP_HOME lies where the build's user cannot go.
    #[error("{user} may not enter `{}` (mode {mode:04o}), which SKEP_HOME lies in", directory.display())]
    Unreachable {
        /// The directory in the way.
        directory: PathBuf,
        /// Its mode.
        mode: u32,
        /// Who cannot.
        user: String,
    },
    /// Another build of this app is going on.
    #[error("another build of `{0}` is going on")]
    Busy(String),
    /// Cancelled; everything it started is gone.
    #[error("the build was cancelled; nothing was changed")]
    Cancelled,
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Something else of the machine's failed.
    #[error("failed to {operation}")]
    Machine {
        /// What was tried.
        operation: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        let failure = Self::from_error(kind(&error), &error);
        explain(&error, failure)
    }
}

impl From<ArtifactError> for Failure {
    fn from(error: ArtifactError) -> Self {
        BuildError::Artifact(error).into()
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        match error {
            DataError::Disk(error) => BuildError::Disk(error).into(),
            other => Self::from_error(Kind::Usage, &other)
                .hint("data is copied from the source once: move it away, or put it there by hand"),
        }
    }
}

fn kind(error: &BuildError) -> Kind {
    match error {
        BuildError::Source(SourceError::Cancelled)
        | BuildError::Tool(ToolError::Cancelled)
        | BuildError::Take(TakeError::Cancelled)
        | BuildError::Cancelled => Kind::Interrupted,
        BuildError::Source(SourceError::Disk(error)) | BuildError::Disk(error)
            if error.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Kind::Permission
        }
        BuildError::Source(
            SourceError::NotADirectory(_)
            | SourceError::Path { .. }
            | SourceError::NotUtf8(_)
            | SourceError::Kind { .. }
            | SourceError::LinkOut { .. }
            | SourceError::Submodule(_)
            | SourceError::Pattern { .. },
        )
        | BuildError::Project(
            ProjectError::Toml { .. }
            | ProjectError::MissingRequirements { .. }
            | ProjectError::LockAlone
            | ProjectError::Wish { .. },
        ) => Kind::Usage,
        BuildError::SourceChanged(_) => Kind::Temporary,
        BuildError::Busy(_) => Kind::Locked,
        _ => Kind::Failed,
    }
}

fn explain(error: &BuildError, failure: Failure) -> Failure {
    match error {
        BuildError::Source(source) => explain_source(source, failure),
        BuildError::Interpreter(none) => explain_interpreter(none, failure),
        BuildError::Project(ProjectError::MissingRequirements { file, .. }) => {
            failure.hint(format!("git add {file}"))
        }
        BuildError::Project(ProjectError::LockAlone) => failure.hint("git add pyproject.toml"),
        BuildError::Tool(ToolError::NoPip) => {
            failure.hint("apt install python3-pip, or install uv: then try again")
        }
        BuildError::Tool(ToolError::Pip { reason, .. }) => failure
            .detail("log", reason)
            .hint("install uv, or say where pip finds it: PIP_INDEX_URL, PIP_FIND_LINKS"),
        BuildError::NoNpm => failure.hint("apt install npm"),
        BuildError::Step { command, last_lines, log, .. } => failure
            .detail("command", command)
            .detail("log", last_lines.join("\n"))
            .detail("all", log.display().to_string()),
        BuildError::TimedOut { last_lines, log, .. } => failure
            .detail("log", last_lines.join("\n"))
            .detail("all", log.display().to_string())
            .hint("raise `timeout` in `[build]`"),
        BuildError::Unreachable { directory, .. } => failure
            .hint(format!("chmod a+x {}", directory.display()))
            .hint("or set SKEP_HOME to a directory that every user may pass through"),
        BuildError::Space { path, .. } => failure
            .hint(format!("df -h {}", path.display()))
            .hint("skep releases shows what is kept; `[deploy] keep` lowers it"),
        BuildError::Artifact(ArtifactError::Changed { .. } | ArtifactError::WrongId(_)) => {
            failure.hint("skep deploy builds it again; find out who wrote there")
        }
        BuildError::Take(TakeError::LinkOut { .. }) => {
            failure.hint("let the build step copy instead of link, or declare the path in `data`")
        }
        BuildError::SourceChanged(_) => failure.hint("skep deploy, once the files are at rest"),
        _ => failure,
    }
}

fn explain_source(error: &SourceError, failure: Failure) -> Failure {
    match error {
        SourceError::Submodule(path) => failure
            .hint(format!("[build] exclude = [\"{path}\"] leaves it out"))
            .hint("git rm --cached it and commit its files to make them part of this repository"),
        SourceError::Git { reason, .. } if reason.contains("dubious ownership") => failure
            .hint("git trusts a repository of its own user's only: chown it, or copy the app"),
        SourceError::Git { directory, .. } => failure
            .hint(format!("git runs as the owner of {}, who must reach it", directory.display())),
        SourceError::GitMissing { .. } => failure.hint("apt install git"),
        SourceError::Path { path, .. }
        | SourceError::Kind { path, .. }
        | SourceError::LinkOut { path, .. } => {
            failure.hint(format!("[build] exclude = [\"{path}\"] leaves it out"))
        }
        SourceError::TooMany => {
            failure.hint("[build] exclude leaves directories out; data belongs into `data`")
        }
        _ => failure,
    }
}

fn explain_interpreter(none: &NoInterpreter, mut failure: Failure) -> Failure {
    for rejected in &none.rejected {
        failure = failure.detail(rejected.path.display().to_string(), &rejected.reason);
    }
    if none.rejected.is_empty() {
        return failure.hint("apt install python3");
    }
    failure.hint(
        "install one where every user may execute it (apt install python3), \
         or set `[build] python` to one that is here",
    )
}

/// Returns `38 MB` or `1.4 GB`.
pub(crate) fn size_text(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    for (unit, name) in UNITS {
        if bytes >= unit {
            let tenths = bytes / (unit / 10);
            return if tenths < 100 {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            } else {
                format!("{} {name}", tenths / 10)
            };
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_digits_or_more() {
        for (bytes, text) in [
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (38_400_000, "38 MB"),
            (1_449_000_000, "1.4 GB"),
        ] {
            assert_eq!(size_text(bytes), text);
        }
    }

    #[test]
    fn a_failed_step_says_command_status_and_last_lines() {
        let failure = Failure::from(BuildError::Step {
            step: "the build step `false`".to_owned(),
            command: "/bin/sh -c false".to_owned(),
            reason: "exit 1".to_owned(),
            last_lines: vec!["one".to_owned(), "two".to_owned()],
            log: PathBuf::from("/x.log"),
        });
        assert_eq!(
            failure.to_string(),
            "error: the build step `false` failed: exit 1\n  command  /bin/sh -c false\n  \
             log      one\n           two\n  all      /x.log"
        );
    }
}
