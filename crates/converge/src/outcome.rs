//! What is told during a run, and what it comes to.

use resource::ResourceId;
use serde::{Deserialize, Serialize};

use crate::change::{Change, Difference};

/// What is told during a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A resource is about to be changed.
    Begins {
        /// Which.
        id: &'a ResourceId,
        /// In which respects.
        difference: &'a Difference,
    },
    /// A line of a program's output.
    Output {
        /// Whose.
        id: &'a ResourceId,
        /// The line, safe to show.
        line: &'a str,
    },
    /// A try failed, and another one follows.
    Again {
        /// Which.
        id: &'a ResourceId,
        /// Why.
        problem: &'a str,
        /// How many tries are left.
        left: u32,
    },
    /// A resource is finished with.
    Ends(&'a Outcome),
    /// The run is at this point; a run that is killed here is repaired by the next one.
    At(Point),
}

/// A point of a run at which something has just been written or done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The intent is in the journal, the change not made.
    Intended,
    /// The change is made and nothing says so yet.
    Changed,
    /// The journal says that it was made.
    Recorded,
    /// The journal says that a target is about to act.
    Delivering,
    /// The target has acted and nothing says so yet.
    Acted,
    /// The journal says that it has.
    Delivered,
    /// The journal says that something is about to be taken back.
    Undoing,
    /// It is taken back and nothing says so yet.
    TakenBack,
    /// The journal says that it was.
    Undone,
    /// The ledger may be written, the journal is empty.
    Settled,
}

/// What became of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which.
    pub id: ResourceId,
    /// What became of it.
    pub result: Outcomes,
    /// What was changed, or should have been.
    pub changes: Vec<Change>,
    /// Who notified it; empty if it was its own turn.
    pub causes: Vec<ResourceId>,
}

/// What can become of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Outcomes {
    /// It was as it should be.
    Unchanged,
    /// Its guard said no.
    Skipped {
        /// The guard.
        guard: String,
    },
    /// It was changed, and is as it should be.
    Changed,
    /// It was taken back.
    Undone,
    /// It failed.
    Failed {
        /// Why.
        problem: String,
        /// Whether the declaration said that this does not matter.
        ignored: bool,
    },
    /// Something that it needs failed.
    Blocked {
        /// What.
        by: ResourceId,
    },
    /// It is to act, but not yet: its group is not in order.
    Pending {
        /// What is not.
        waits_for: ResourceId,
    },
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// In the order in which it happened.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// Returns how many outcomes are like this.
    pub fn count(&self, like: impl Fn(&Outcomes) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| like(&outcome.result)).count()
    }

    /// Returns how many resources were changed or taken back.
    pub fn changed(&self) -> usize {
        self.count(|result| matches!(result, Outcomes::Changed | Outcomes::Undone))
    }

    /// Returns whether everything is as it should be.
    pub fn is_good(&self) -> bool {
        !self.outcomes.iter().any(|outcome| {
            matches!(
                outcome.result,
                Outcomes::Failed { ignored: false, .. }
                    | Outcomes::Blocked { .. }
                    | Outcomes::Pending { .. }
            )
        })
    }
}
