//! One cgroup leaf per start of a slot: find, create, list, kill, watch, remove.
//!
//! Skep uses the version 2 hierarchy for one thing: to make "the process tree of this start is
//! empty" a fact of the kernel instead of a guess from `/proc`. It works where version 2 is the
//! only hierarchy and where it is mounted beside version 1 (`/sys/fs/cgroup/unified`).
//!
//! ```text
//! <base>                          skep-<installation>, see [`Base::establish`]
//!   <app.service>/                one service
//!     shim                        its shim
//!     <slot>.<start number>       one start of one slot, for example `g7.0.3`
//! ```
//!
//! # Guarantees
//!
//! * [`Leaf::is_populated`] false means: no process of that start is alive, whatever it forked and
//!   however often it changed its session.
//! * [`Leaf::kill`] reaches every process of the leaf and of cgroups below it.
//! * [`Leaf::signal`] never signals a process that left the leaf or took over a dead one's id.
//!
//! # It is not
//!
//! a resource limiter. No controller is enabled here (they may belong to version 1 or to systemd),
//! so the rule against processes in inner cgroups never applies; [`Leaf::usage`] adds up `/proc`.

mod base;
mod error;
mod leaf;
mod mount;
mod usage;

pub use base::Base;
pub use error::{CgroupError, WhyNot};
pub use leaf::{Leaf, Watch};
pub use mount::{Layout, Mount};
pub use usage::Usage;
