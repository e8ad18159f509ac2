//! The node daemon.
//!
//! It composes the crates below it and serves the HTTP interface of `api`; it has no logic that one
//! of them could hold. It is disposable: killed at any moment, its shim starts it again, and it
//! takes over what runs without touching it. Its start, in order (`start`):
//!
//! 1. the home's format, the store, the key;
//! 2. the shims that run are greeted, and hand over duplicates of what they hold;
//! 3. every slot that the store wants is announced to its supervisor, so that orphans are adopted;
//! 4. the proxy: its slot, the public listeners, the whole route table;
//! 5. the interface is served; what does not run and should is started, what no record names is
//!    ended, deploys that were going on are gone on with, those that waited are queued again;
//! 6. a proxy of another build is replaced (`proxy`); clients of foreground sessions may come back for
//!    a while.

mod deploys;
mod halt;
mod http;
mod live;
mod order;
mod proxy;
mod registry;
mod removal;
mod sessions;
mod start;
mod state;
mod take_over;

pub use start::run;
