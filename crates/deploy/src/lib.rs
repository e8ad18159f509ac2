//! One app on one node: what is wanted, and how it comes about.
//!
//! Deploy, rollback, restart, scale, stop, start and a change of variables are one mechanism: *add
//! a slot whose own socket answered, remove a slot after it drained*. Each is an [`Intent`] that
//! becomes a journalled [`DeployRecord`]; its phases are
//!
//! ```text
//! queued → build → check → release → start → switch → drain → watch → retire → ended
//!            └────────┴────────┴────────┴──► undone: the old slots were never touched, or are back
//! ```
//!
//! - [`records`]: everything the store knows of an app, and the keys.
//! - [`Journal`]: reads and writes them. A request that was taken on is a record there from then on.
//! - [`plan`]: pure. From a [`Serving`] to the next one: which slots are added, replaced, retired.
//! - [`spec`]: how one slot is started. [`section`]: what the proxies are told.
//! - [`probe`], [`readiness`]: whether a slot's own socket answers, now and after each restart.
//! - [`executor`]: does it, journal first. Every step may be repeated: an executor that is started
//!   again with the same record after a crash of the agent goes on where it was.
//! - [`diagnose`]: why a release never became ready, from logs, probes and exits.
//!
//! Architecture invariant: nothing here decides by time that something good has happened. Time
//! ends waiting for good news as a failure, and ends letting go (drain, grace) by force, which is
//! reported.

mod caller;
pub mod diagnose;
mod error;
pub mod executor;
mod feed;
mod journal;
mod listening;
pub mod node;
pub mod plan;
pub mod probe;
pub mod readiness;
pub mod records;
pub mod section;
pub mod spec;
pub mod users;

pub use caller::Caller;
pub use error::DeployError;
pub use executor::Executor;
pub use feed::Feed;
pub use journal::Journal;
pub use node::Node;
pub use records::{AppRecord, DeployRecord, Intent, Phase, ReleaseRecord, Serving};
/// Stops a build and everything it started.
pub use release::Cancel as BuildCancel;
