//! From an infrastructure repository to resources in order: what `plan`, `converge` and `attr:why` share.
//!
//! ```text
//! nodes file, DNA, words ─ target ─ effective run list ─ cookbooks, locked ─ attributes ─┐
//!                                       this machine: facts, agent, data bags ─ node ────┼─ list
//! ```
//!
//! Nothing here needs an agent, and nothing changes the machine. A recipe that asks for an app's
//! variables or services asks the agent then, if one runs.

mod assemble;
mod facts;
mod machine;
mod memory;
mod target;

pub(crate) use assemble::{Assembled, alone, assemble, attributes, evaluate_beside};
pub(crate) use target::Target;
