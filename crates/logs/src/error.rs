//! What can go wrong before there is a log to write to, or while one is read.

use std::io;
use std::path::PathBuf;

/// A log directory or segment that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory could not be made.
    #[error("failed to create the log directory `{path}`")]
    Create {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The directory could not be opened or listed.
    #[error("failed to open the log directory `{path}`")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The directory could not be watched for changes.
    #[error("failed to watch the log directory `{path}`")]
    Watch {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A segment could not be read.
    #[error("failed to read the log segment `{path}`")]
    Segment {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}
