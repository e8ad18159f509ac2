//! The crate from outside: nodes files, good and bad.

#![allow(clippy::unwrap_used)]

mod documents;
mod files;
mod groups;
mod hostile;
mod lints;
mod merge_rules;
mod mistakes;
mod roles;
