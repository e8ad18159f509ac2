//! Who is notified, of what, and when that is safe.
//!
//! Notifications of one target collapse into one: the strongest action. A target acts only if its
//! own *group* is in order: itself, what it needs, and every resource that notifies it. Half of a
//! configuration is never loaded.

use std::collections::HashMap;

use resource::{ResourceId, ResourceList};

use crate::kinds;
use crate::ledger::Owed;

/// All notifications of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) target: ResourceId,
    pub(crate) action: String,
    /// Who changed, the first one first.
    pub(crate) causes: Vec<ResourceId>,
    /// Whether an earlier run left it, and how often it was tried.
    pub(crate) tries: u32,
}

/// Collapses notifications; the order is that of the first of each target.
pub(crate) fn collapse<'a>(owed: impl IntoIterator<Item = &'a Owed>) -> Vec<Notice> {
    let mut notices: Vec<Notice> = Vec::new();
    let mut known: HashMap<&ResourceId, usize> = HashMap::new();
    for owed in owed {
        let at = *known.entry(&owed.target).or_insert_with(|| {
            notices.push(Notice {
                target: owed.target.clone(),
                action: owed.action.clone(),
                causes: Vec::new(),
                tries: 0,
            });
            notices.len() - 1
        });
        let notice = &mut notices[at];
        let strength = kinds::find(&owed.target.kind).map(|kind| kind.strength);
        if strength.is_some_and(|of| of(&owed.action) > of(&notice.action)) {
            notice.action = owed.action.clone();
        }
        if !notice.causes.contains(&owed.cause) {
            notice.causes.push(owed.cause.clone());
        }
        notice.tries = notice.tries.max(owed.tries);
    }
    notices
}

/// The groups of all targets of a list.
#[derive(Debug)]
pub(crate) struct Groups {
    positions: HashMap<ResourceId, usize>,
    members: HashMap<usize, Vec<usize>>,
    /// How many notifications at most lead to a resource, one after the other.
    ranks: Vec<usize>,
}

impl Groups {
    pub(crate) fn of(list: &ResourceList) -> Self {
        let positions: HashMap<ResourceId, usize> = list
            .entries()
            .iter()
            .enumerate()
            .map(|(at, entry)| (entry.declaration.id.clone(), at))
            .collect();
        let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
        for (at, entry) in list.entries().iter().enumerate() {
            for notification in &entry.declaration.notifies {
                if let Some(target) = positions.get(&notification.target) {
                    members.entry(*target).or_default().push(at);
                }
            }
        }
        let mut groups = Self { positions, members, ranks: Vec::new() };
        groups.ranks = groups.find_ranks(list.entries().len()).0;
        groups
    }

    /// Returns two resources that notify each other, through others or not.
    pub(crate) fn circle(list: &ResourceList) -> Option<(ResourceId, ResourceId)> {
        let groups = Self::of(list);
        let (_, circle) = groups.find_ranks(list.entries().len());
        let (from, to) = circle?;
        let id = |at: usize| list.entries()[at].declaration.id.clone();
        Some((id(from), id(to)))
    }

    /// Counts along the notifications: every resource that nobody notifies has 0. What is left when
    /// nothing can be counted any more is a circle.
    fn find_ranks(&self, count: usize) -> (Vec<usize>, Option<(usize, usize)>) {
        let mut targets: Vec<Vec<usize>> = vec![Vec::new(); count];
        let mut missing = vec![0; count];
        for (target, causes) in &self.members {
            for cause in causes {
                targets[*cause].push(*target);
                missing[*target] += 1;
            }
        }
        let mut ranks = vec![0; count];
        let mut free: Vec<usize> = (0..count).filter(|at| missing[*at] == 0).collect();
        while let Some(cause) = free.pop() {
            for target in &targets[cause] {
                ranks[*target] = ranks[*target].max(ranks[cause] + 1);
                missing[*target] -= 1;
                if missing[*target] == 0 {
                    free.push(*target);
                }
            }
        }
        let stuck = (0..count).find(|at| missing[*at] > 0);
        let circle = stuck.and_then(|at| {
            // What is stuck is notified by something that is stuck.
            let cause = self.members.get(&at)?.iter().find(|cause| missing[**cause] > 0)?;
            Some((*cause, at))
        });
        (ranks, circle)
    }

    /// Returns how many notifications at most lead to a resource, one after the other.
    pub(crate) fn rank(&self, at: usize) -> usize {
        self.ranks.get(at).copied().unwrap_or_default()
    }

    /// Returns where a resource is in the list.
    pub(crate) fn position(&self, id: &ResourceId) -> Option<usize> {
        self.positions.get(id).copied()
    }

    /// Returns the group of a target: who notifies it, what it needs, itself.
    pub(crate) fn members(&self, list: &ResourceList, target: usize) -> Vec<usize> {
        let mut members = self.members.get(&target).cloned().unwrap_or_default();
        members.extend(&list.entries()[target].needs);
        members.push(target);
        members.sort_unstable();
        members.dedup();
        members
    }
}
