//! The agent's side of shims.
//!
//! A shim keeps the processes, sockets and logs of one service and needs nobody to go on doing so.
//! This crate starts shims, talks to them, keeps duplicates of what they hold, and replaces one
//! that died. [`Supervisor`] has one task a service; [`ServiceHandle`] sends it requests and shows
//! its [`ServiceView`], which always is the last known *level*, never a list of events.
//!
//! # Guarantees
//!
//! - **Never a second copy.** A shim is started only where nobody listens on its socket, and the
//!   shim itself takes the service's lock or ends. One that hangs or was stopped with `SIGSTOP` is
//!   reported as [`ShimState::Unresponsive`] and neither killed nor doubled.
//! - **A shim's death costs its service nothing.** The end of the connection and of the process
//!   (its pidfd) start a new shim at once; it is given every recipe and the duplicates of every
//!   descriptor ([`control::shim::Request::Adopt`]). Requests that were on their way are sent
//!   again, once; all of them are idempotent.
//! - **Stale is never shown as current.** While a new shim takes over, the view keeps the slots as
//!   last known and [`ServiceView::shim`] is not `Connected`.
//! - **Everything is bounded**: each wait has a deadline, each queue and store a size
//!   ([`limits`]), and a shim that keeps failing is tried again ever more slowly, which is shown.
//!
//! # Who has to do what
//!
//! A supervisor never invents a recipe. After a start of the agent it says with
//! [`ServiceHandle::expect`] which slots an earlier agent *of this boot* started; only then are
//! orphaned processes that nobody expects ended.
//!
//! # It is not
//!
//! a reconciler: it starts no slot that it was not told to start, knows no generation's meaning and
//! no store.

pub mod bootstrap;
mod config;
mod error;
mod fds;
mod handle;
mod keeper;
mod launch;
pub mod limits;
mod link;
mod parent;
mod pending;
mod process;
mod supervisor;
mod view;

pub use config::{Config, ShimProgram};
pub use error::{SuperviseError, WaitError};
pub use handle::{ServiceHandle, wait_for};
pub use parent::{ParentError, watch_parent};
pub use supervisor::{Discovered, Discovery, Supervisor};
pub use view::{LogsDropped, ServiceView, ShimState};
