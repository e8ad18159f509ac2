//! Applying a plan: the same comparison again, on the machine as it is, and then the change.
//!
//! A run
//! 1. takes the lock, reads journal and ledger, and stops if they are not those of the plan;
//! 2. delivers what an earlier run owes, to targets whose group is in order ([`deliver`]);
//! 3. goes through the resources of recipes that run because another has left, as in 5;
//! 4. takes back what nobody declares any more ([`undo`]);
//! 5. goes through the other resources in order: guards, comparison, record, journal, change, comparison
//!    ([`change`]); what is notified immediately acts right after its cause;
//! 6. delivers the delayed notifications, each target once, if its group is in order;
//! 7. writes the ledger and empties the journal.
//!
//! A resource that fails blocks those that need it; the others go on. A notification that could not
//! be delivered stays owed, and each later run tries it once. A run that changes nothing writes
//! nothing. A run is ended by ending its process: whatever it was doing, the next one repairs it.

mod change;
mod deliver;
mod redact;
mod undo;

use std::collections::HashSet;

use disk::DiskError;
use resource::{Entry, ResourceId};

use crate::change::{Change, Mark};
use crate::host::Host;
use crate::journal::{Durable, Entry as JournalEntry};
use crate::notices::Groups;
use crate::outcome::{Event, Outcome, Outcomes, Point, Report};
use crate::plan::{Plan, Role};
use crate::problem::Problem;
use crate::state::{State, StateDirectory, StateError};

/// Why a run did not begin, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The state is somebody else's, or cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// Another run came between.
    #[error("another run has changed this machine since the plan was made")]
    Moved,
    /// Journal or ledger cannot be written: without them nothing may be changed.
    #[error("stopped: what is done cannot be recorded")]
    Record(#[source] DiskError),
}

/// Applies a plan. `now_ms` is the time that the ledger notes, in milliseconds since 1970.
pub fn apply(
    plan: &Plan,
    host: &Host,
    directory: &StateDirectory,
    now_ms: u64,
    progress: &mut dyn FnMut(Event<'_>),
) -> Result<Report, ApplyError> {
    let state = directory.take()?;
    if state.ledger.sequence != plan.sequence {
        return Err(ApplyError::Moved);
    }
    let groups = Groups::of(&plan.list);
    let count = plan.list.entries().len();
    let mut run = Run {
        plan,
        host,
        groups: &groups,
        state,
        now_ms,
        progress,
        fates: vec![Fate::Waiting; count],
        in_order: HashSet::new(),
        failing: HashSet::new(),
        report: Report::default(),
    };
    let ran = run.all();
    // Also after a failure: what was recorded is true.
    let settled = run.state.settle().map_err(ApplyError::Record);
    if settled.is_ok() {
        (run.progress)(Event::At(Point::Settled));
    }
    ran.and(settled).map(|()| run.report)
}

/// What became of a declared resource, for those that need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    Good,
    Bad,
}

/// One run.
struct Run<'a> {
    plan: &'a Plan,
    host: &'a Host,
    groups: &'a Groups,
    state: State,
    now_ms: u64,
    progress: &'a mut dyn FnMut(Event<'_>),
    fates: Vec<Fate>,
    /// Resources that the plan found as they should be.
    in_order: HashSet<usize>,
    /// Targets that could not do what they were notified of.
    failing: HashSet<ResourceId>,
    report: Report,
}

impl Run<'_> {
    fn all(&mut self) -> Result<(), ApplyError> {
        for (from, to) in &self.plan.heirs {
            self.state.ledger.hand_over(from, to);
        }
        self.find_in_order();
        self.deliver_owed()?;
        let mut at = 0;
        while at < self.plan.departing {
            at = self.declared(at)?;
        }
        for id in &self.plan.leaving {
            self.undo(id)?;
        }
        let count = self.plan.list.entries().len();
        while at < count {
            at = self.declared(at)?;
        }
        self.deliver_delayed()?;
        self.note_owners();
        Ok(())
    }

    fn tell(&mut self, point: Point) {
        (self.progress)(Event::At(point));
    }

    fn record(&mut self, entry: JournalEntry, durable: Durable) -> Result<u64, ApplyError> {
        self.state.record(entry, durable).map_err(ApplyError::Record)
    }

    fn end(&mut self, outcome: Outcome) {
        (self.progress)(Event::Ends(&outcome));
        self.report.outcomes.push(outcome);
    }

    fn failed(
        &mut self,
        at: usize,
        entry: &Entry,
        problem: &Problem,
        changes: Vec<Change>,
        causes: &[ResourceId],
    ) {
        let ignored = entry.declaration.ignore_failure;
        self.fates[at] = if ignored { Fate::Good } else { Fate::Bad };
        let problem = redact::text(problem, &entry.declaration);
        self.end(Outcome {
            id: entry.declaration.id.clone(),
            result: Outcomes::Failed { problem, ignored },
            changes,
            causes: causes.to_vec(),
        });
    }

    /// Notes which resources the plan found in order: what an earlier run owes to their group may be
    /// delivered at once.
    fn find_in_order(&mut self) {
        let declared = self.plan.steps.iter().filter(|step| step.role == Role::Declared);
        for (at, step) in declared.enumerate() {
            if matches!(step.mark, Mark::Unchanged | Mark::Skipped) {
                self.in_order.insert(at);
            }
        }
    }

    /// Brings the owners of what was made up to date.
    fn note_owners(&mut self) {
        if self.plan.is_partial {
            // There may be others, in the rest of the list.
            return;
        }
        for entry in self.plan.list.entries() {
            if let Some(made) = self.state.ledger.made.get_mut(&entry.declaration.id)
                && made.owners != entry.owners
            {
                made.owners.clone_from(&entry.owners);
            }
        }
    }
}
