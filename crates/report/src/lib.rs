//! What users see of a failure.
//!
//! A library returns its own `thiserror` enum. Where it reaches a person it becomes one
//! [`Failure`]: a [`Kind`] (and with it the exit code), a message, its causes, excerpts of the
//! user's own files with a caret, and hints that name the next command. A `Failure` crosses the
//! agent's API as it is, so that a command prints the same whether it failed here or there.
//!
//! Text: lowercase fragments after "failed to", backticks around literals, no trailing period; a
//! message never repeats its cause.

mod exit;
mod failure;
pub mod quantity;
mod secret;
mod source;

pub use exit::Kind;
pub use failure::{Failure, chain};
pub use secret::Secret;
pub use source::{Excerpt, Position, SourceText, did_you_mean};
