//! From a directory to an immutable artifact: source set, build key, build, manifest, retention.
//!
//! ```text
//! directory ─ source set ─ build key ─?─ artifact that is there already
//!                                     └─ stage ─ environment ─ code, steps ─ manifest ─ rename
//! ```
//!
//! - [`Builder::plan`] reads the source and knows, before anything is built, whether that leads to an
//!   artifact that is there already. [`Builder::build`] makes it otherwise, and cleans up after
//!   itself however it ends.
//! - An artifact has two layers: an *environment* (interpreter link and installed packages) and the
//!   *code*. They have keys and manifests of their own, so that a code change installs nothing.
//! - Everything a build runs, it runs as the app's user in a fresh directory with a constructed
//!   environment. The artifact is made of new files that this user never had open; nobody may write
//!   to them.
//! - [`Manifest`] is the format that an artifact's id is the digest of; [`mod@artifact`] says where
//!   artifacts lie.
//! - [`seed_data`] fills the directories that outlive releases; [`retention`] decides what goes.
//!
//! It is *not* concerned with releases (records in the store), with running anything of an app
//! after its build, or with which user an app has.

pub mod artifact;
mod build;
mod bytecode;
mod cancel;
mod command;
mod data;
mod digest;
mod error;
mod fresh;
mod git;
mod identity;
mod install;
mod interpreter;
mod key;
mod lines;
mod links;
mod log;
pub mod manifest;
mod normalise;
mod path;
mod pip;
mod plan;
mod python;
mod requirements;
pub mod retention;
mod rules;
mod source;
mod space;
mod stage;
mod stat_cache;
mod strays;
mod take;
mod tools;
mod tree;
mod variables;
mod verify;
mod walk;
mod wish;

pub use artifact::{Artifact, ArtifactError, Artifacts, EnvironmentLayer, switch_current};
pub use build::BuildEvent;
pub use cancel::Cancel;
pub use data::{DataError, Seed, Seeded, seed_data};
pub use digest::{Digest, NotADigest};
pub use error::BuildError;
pub use identity::{BuildUser, Identity};
pub use interpreter::{Interpreter, NoInterpreter, Rejected};
pub use manifest::{Manifest, ManifestError, fuzz_manifest};
pub use path::PathFault;
pub use pip::fuzz_pip_config;
pub use plan::{BuildPlan, Builder, EnvironmentPlan};
pub use python::{Kind as ProjectKind, Project, ProjectError};
pub use requirements::fuzz_requirements;
pub use rules::DEFAULT_EXCLUDES;
pub use source::{SourceEntry, SourceError, SourceKind, SourceSet};
pub use stat_cache::fuzz_stat_cache;
pub use take::TakeError;
pub use tools::{MINIMUM_UV, ToolError, UV_VERSION};
pub use variables::{build_environment, is_passed};
pub use verify::Difference;
pub use wish::{NotAWish, Wish, fuzz_wish};
