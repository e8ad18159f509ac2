//! Brings a machine to what recipes say of it: reads, plans, applies, undoes.
//!
//! The input is a [`resource::ResourceList`]; how it came about is not known here. [`plan()`]
//! compares it with a [`Host`] and returns a [`Plan`], a value; [`apply()`] makes it true. Both go
//! through the same kinds ([`kinds`]) with the same comparison, so a plan does not guess what an
//! apply would do.
//!
//! Guarantees:
//!
//! - **A plan changes nothing**, and is right on a bare machine: planned changes are a
//!   `shadow` that later comparisons read first. What cannot be known is `?`, never "no".
//! - **Nothing to do costs nothing**: databases are parsed natively, no program is started, nothing
//!   but the process id in the lock is written, and nothing is synced.
//! - **Looked at again**: after a change the resource is compared once more; what is left is an error.
//! - **Killed anywhere, a run is repaired by the next one**: a durable `journal` entry comes
//!   before each change, with what will have been made and who is owed a notification.
//! - **Only what was made is undone.** The ledger knows what every change made, as opposed to
//!   found; when nobody declares a resource any more, that is taken back, in reverse order of needs.
//! - **Secrets stay out** of plans, diffs, saved plans, output and the journal. Kept copies of what
//!   was found lie in a directory of root's alone.
//! - **Programs get a constructed environment**, a process group of their own and a deadline.
//!
//! Not here: evaluating recipes, rendering templates, facts, and the commands that show all this.
//! Users and groups are those of `/etc/passwd` and `/etc/group`; a directory service is not asked.

mod apply;
mod attributes;
mod before;
mod change;
mod command;
mod digest;
mod guard;
mod held;
mod host;
mod journal;
mod keep;
mod kind;
pub mod kinds;
mod ledger;
mod notices;
mod outcome;
mod plan;
mod planning;
mod problem;
mod render;
mod replace;
mod saved;
mod shadow;
mod state;

pub use apply::{ApplyError, apply};
pub use change::{Change, Difference, Mark};
pub use digest::DigestKey;
pub use host::{Host, fuzz_accounts, fuzz_packages};
pub use journal::fuzz_converge_journal;
pub use kind::{Kind, Record};
pub use ledger::{Ledger, LedgerError, Made, Owed, fuzz_ledger};
pub use outcome::{Event, Outcome, Outcomes, Point, Report};
pub use plan::{Counts, Plan, Role, ShownPlan, Step};
pub use planning::{Leaving, PlanError, PlanOptions, check, plan};
pub use render::RenderOptions;
pub use saved::{How, MAX_SAVED_BYTES, Moved, SavedPlan, SavedPlanError, fuzz_saved_plan};
pub use state::{StateDirectory, StateError};
