//! Why cookbooks cannot be resolved.

use nodes::repository::LoadError;
use report::{Excerpt, Failure, Kind};

use crate::git::GitError;
use crate::lock::LOCK;
use crate::manifest::MANIFEST;
use crate::repository::{COOKBOOKS, MAX_COOKBOOKS};
use crate::sources::SOURCES;
use crate::tree::TreeError;

/// Why cookbooks cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// A file is wrong or cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A directory cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// git could not help.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A directory of `cookbooks/` that is none, or a source without one.
    #[error("`{shown}` has no `{MANIFEST}`")]
    NoManifest {
        /// The directory.
        shown: String,
        /// The cookbook.
        name: String,
    },
    /// A manifest that names another cookbook.
    #[error("`{file}` says that it is `{found}`, and it is looked for as `{name}`")]
    OtherName {
        /// The manifest.
        file: String,
        /// What it says.
        found: String,
        /// What was looked for.
        name: String,
    },
    /// A name with two sources.
    #[error("`{name}` is in `{COOKBOOKS}/` and in `[sources]` of `{SOURCES}`")]
    Twice {
        /// The name.
        name: String,
        /// Where the second one is.
        place: Option<Box<Excerpt>>,
    },
    /// A dependency that nothing provides.
    #[error("`{by}` needs `{name}`, and there is no such cookbook")]
    Unknown {
        /// Who needs it.
        by: String,
        /// What it needs.
        name: String,
        /// Where it says so.
        place: Box<Excerpt>,
        /// What was probably meant.
        meant: Option<String>,
    },
    /// Nothing fits.
    #[error("the cookbooks' versions do not fit together")]
    Conflict(Vec<String>),
    /// The solver gave up.
    #[error("the cookbooks' versions cannot be resolved in bounded time")]
    TooHard,
    /// Cookbooks need each other.
    #[error("cookbooks need each other: {}", .names.join(" → "))]
    Circle {
        /// The way round.
        names: Vec<String>,
        /// Where each says so.
        places: Vec<Excerpt>,
    },
    /// Too many.
    #[error("more than {MAX_COOKBOOKS} cookbooks")]
    TooMany,
    /// The lock says something else.
    #[error("`{LOCK}` is not what the cookbooks are now")]
    Drift(Vec<String>),
}

impl From<ResolveError> for Failure {
    fn from(error: ResolveError) -> Self {
        let failure = Failure::from_error(Kind::Usage, &error);
        match error {
            ResolveError::Load(error) => error.into(),
            ResolveError::Git(GitError::Failed { .. } | GitError::Start(_)) => {
                Self { kind: Kind::Unavailable, ..failure }
            }
            ResolveError::NoManifest { name, .. } => {
                failure.hint(format!("skep cookbook:new {name}    writes one"))
            }
            ResolveError::Twice { place, .. } => {
                let failure =
                    failure.hint("to put another one in its place, write it into `[overrides]`");
                place.into_iter().fold(failure, |failure, place| failure.excerpt(*place))
            }
            ResolveError::Unknown { place, meant, name, .. } => {
                let failure = failure.excerpt(*place);
                match meant {
                    Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
                    None => {
                        failure.hint(format!("say in `[sources]` of {SOURCES} where `{name}` is"))
                    }
                }
            }
            ResolveError::Conflict(lines) => lines.into_iter().fold(failure, Failure::cause),
            ResolveError::Circle { places, .. } => {
                places.into_iter().fold(failure, Failure::excerpt)
            }
            ResolveError::Drift(lines) => lines
                .into_iter()
                .fold(failure, Failure::cause)
                .hint(format!("without --locked {LOCK} is written again; commit it")),
            _ => failure,
        }
    }
}
