//! SKEP_HOME: where everything of one installation lies.
//!
//! [`Home`] is the only place that spells a path below it; DESIGN's table of writers and
//! durability is the doc of its methods. `FORMAT` is read before anything else: a newer one is
//! refused with a hint, a missing one is written by whoever starts the agent first.
//!
//! Modes: the home and every directory above artifacts and sockets is 0711, so that an app's own
//! user reaches its files and lists nothing; `shims/` and the store are 0700 and 0600.

mod format;
mod layout;

pub use format::{FORMAT_VERSION, HomeError, Installation, RUN_MODE};
pub use layout::Home;
