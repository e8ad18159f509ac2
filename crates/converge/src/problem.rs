//! Why one resource could not be read, applied or undone.

use std::path::PathBuf;

use disk::DiskError;

/// A problem with one resource; whoever reports it names the resource.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Something else is at the path.
    #[error("`{}` is {found}, not {wanted}{}", .path.display(), .hint)]
    Occupied {
        /// Where.
        path: PathBuf,
        /// What is there.
        found: &'static str,
        /// What should be.
        wanted: &'static str,
        /// What may be done about it, with a leading `; `, or nothing.
        hint: &'static str,
    },
    /// There is no directory to make it in.
    #[error("there is no directory `{}`, and no resource makes it", .0.display())]
    NoDirectory(PathBuf),
    /// Nobody of that name.
    #[error("there is no {what} `{name}`, and no resource makes it")]
    Nobody {
        /// `user` or `group`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A command did not do its work.
    #[error("`{command}` {ending}{}", indented(.output))]
    Command {
        /// What was started, for people.
        command: String,
        /// How it ended: `ended with exit 1`.
        ending: String,
        /// The end of its output; empty if that must not be shown.
        output: String,
    },
    /// A guard gave no answer.
    #[error("the guard `{command}` {ending}: that is neither yes nor no")]
    Guard {
        /// What was started.
        command: String,
        /// How it ended.
        ending: String,
    },
    /// What was applied did not have its effect.
    #[error("did not converge: after it was applied, there is still to do: {0}")]
    DidNotConverge(String),
    /// A record of the ledger does not say what it should.
    #[error("the ledger's record of it cannot be read")]
    Record(#[source] serde_json::Error),
    /// It will not be done.
    #[error("{0}")]
    Refused(String),
}

fn indented(output: &str) -> String {
    let lines = output.trim_end().lines().map(|line| format!("\n    {line}"));
    lines.collect()
}
