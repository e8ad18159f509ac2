//! The plan: everything a run would do, as a value that can be printed, compared and saved.

use resource::{Place, RecipeName, ResourceId, ResourceList};
use serde::{Deserialize, Serialize};

use crate::change::{Change, Mark};

/// One line of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Which resource.
    pub id: ResourceId,
    /// What happens to it.
    pub mark: Mark,
    /// Why it is in the plan.
    pub role: Role,
    /// The action: the declared one, or the one that is notified.
    pub action: String,
    /// In which respects it differs.
    pub changes: Vec<Change>,
    /// Why: a guard, a problem, who notifies.
    pub reason: Option<String>,
    /// The recipes that declare it, or did.
    pub recipes: Vec<RecipeName>,
    /// Where it is declared.
    pub place: Option<Place>,
}

/// Why a step is in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Nobody declares it any more.
    Leaving,
    /// A run that did not end owes it.
    Owed,
    /// It is declared.
    Declared,
    /// It will be notified.
    Notified,
}

/// How many steps of each sort.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// To be made.
    pub create: usize,
    /// To be changed.
    pub update: usize,
    /// To be taken away.
    pub delete: usize,
    /// Commands to run.
    pub run: usize,
    /// To be notified.
    pub notified: usize,
    /// Which may change.
    pub perhaps: usize,
    /// Whose guard says no.
    pub skipped: usize,
    /// Which cannot be done.
    pub blocked: usize,
    /// Which are as they should be.
    pub unchanged: usize,
}

impl Counts {
    fn of(steps: &[Step]) -> Self {
        let mut counts = Self::default();
        for step in steps {
            *match step.mark {
                Mark::Create => &mut counts.create,
                Mark::Update => &mut counts.update,
                Mark::Delete => &mut counts.delete,
                Mark::Run => &mut counts.run,
                Mark::Notified => &mut counts.notified,
                Mark::Perhaps => &mut counts.perhaps,
                Mark::Skipped => &mut counts.skipped,
                Mark::Blocked => &mut counts.blocked,
                Mark::Unchanged => &mut counts.unchanged,
            } += 1;
        }
        counts
    }
}

/// Everything a run would do.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) list: ResourceList,
    /// How many of the list come before anything is taken back.
    pub(crate) departing: usize,
    /// What is taken back, in this order.
    pub(crate) leaving: Vec<ResourceId>,
    /// What is given from one resource to another.
    pub(crate) heirs: Vec<(ResourceId, ResourceId)>,
    /// Whether what is not in the list stays.
    pub(crate) is_partial: bool,
    /// Which state of the ledger it was made from.
    pub(crate) sequence: u64,
    /// What each declared resource wants and has, keyed; empty unless a key was given.
    pub(crate) digests: Vec<Digests>,
}

/// Keyed digests of one resource: what is wanted and what was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Digests {
    pub(crate) id: ResourceId,
    pub(crate) want: String,
    pub(crate) have: String,
}

impl Plan {
    /// Returns the steps in the order in which they happen.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns how many there are of each sort.
    pub fn counts(&self) -> Counts {
        Counts::of(&self.steps)
    }

    /// Returns whether a run would change nothing, as far as anybody can know.
    pub fn is_empty(&self) -> bool {
        !self.steps.iter().any(|step| step.mark.is_change())
    }

    /// Returns whether something in it cannot be done.
    pub fn is_blocked(&self) -> bool {
        self.steps.iter().any(|step| step.mark == Mark::Blocked)
    }

    /// Returns the plan as `--json` prints it.
    pub fn shown(&self) -> ShownPlan {
        ShownPlan { counts: self.counts(), steps: self.steps.clone() }
    }
}

/// A plan as `--json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownPlan {
    /// How many steps of each sort.
    pub counts: Counts,
    /// The steps, in the order in which they happen.
    pub steps: Vec<Step>,
}
