//! One environment, constructed and explained.
//!
//! A process of an app never inherits a variable. What it gets is built here from layers, the same
//! way for services, release commands and one-offs, whoever asks:
//!
//! | layer, lowest first | says |
//! |---|---|
//! | base | `HOME`, `PATH`, `LANG` … and the `SKEP_…` names of this app, release and slot |
//! | profile | what the recognised server needs, and `PORT` |
//! | app file | defaults in `[env]` |
//! | service | `[services.NAME.env]`, then `NAME=value` words before the command |
//! | generated | drawn once at random and kept |
//! | operator | `skep env:set` |
//!
//! - [`Environment::construct`] is pure: everything it knows is an argument. It refuses names and
//!   values that no process could be given (`check`), names that Skep itself speaks through, and
//!   an environment in which a required variable is missing ([`Missing`]).
//! - Every variable remembers its layer, the file or command that set it, by whom and when, and
//!   whether it is a secret: [`Environment::rows`]. The last row of a name is what processes get.
//! - The operator's variables ([`operator`]) are whole, numbered, immutable versions in the store,
//!   so that a rollback brings them back; [`generated`] values are made once. Both are sealed with
//!   age under a [`Key`] that lies outside the store: the store sees neither a value nor a name.
//!
//! It is *not* concerned with builds, whose environment `release` makes: of the layers above an
//! artifact depends on the app file's alone, and what a build gets besides (places in its stage, and
//! what the caller's shell says of indexes, proxies and certificates) never reaches a service. Nor
//! with who may ask to reveal a value.

mod base;
mod check;
mod construct;
pub mod generated;
mod key;
mod layer;
mod missing;
pub mod operator;
mod profile;
mod secrecy;

pub use base::Base;
pub use check::{ENVIRONMENT_LIMIT_BYTES, Refusal, RefusalReason, VARIABLE_LIMIT_BYTES, check};
pub use construct::{ConstructError, Environment, Inputs, Purpose, Row, Slot};
pub use generated::Generated;
pub use key::{Key, KeyError};
pub use layer::Layer;
pub use missing::{IN_THE_SHELL, Missing, MissingVariable};
pub use operator::{OperatorVariable, Variables, VariablesError};
pub use secrecy::{Redaction, looks_secret};
