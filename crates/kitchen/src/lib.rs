//! Throw-away machines to try cookbooks in.
//!
//! - [`kitchen_file`] reads `kitchen.toml`: suites on platforms are instances.
//! - [`instance`] knows what was done to one, and what comes next.
//! - [`base`] makes the tree that a machine starts from: once, and shared by all.
//! - [`machine`] makes, finds, enters and ends one.
//! - [`changes`] lists what was changed in one.
//! - [`inside`] is what runs in one; [`check`] are the checks that look at it from there.
//!
//! Needs root. What lies below SKEP_HOME is 0700: a root tree has programs that are set-user-id and may be old.
//!
//! Not here: evaluating recipes and applying them; the command that goes in runs the very code of `skep
//! converge`.

pub mod base;
pub mod changes;
pub mod check;
mod digest;
pub mod inside;
pub mod instance;
pub mod kitchen_file;
pub mod machine;
