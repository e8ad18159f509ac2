//! Notifications: what is owed is delivered when the target's group is in order.

use std::collections::HashSet;

use resource::ResourceId;

use crate::apply::change::Looked;
use crate::apply::{ApplyError, Fate, Run};
use crate::journal::{Durable, Entry as JournalEntry};
use crate::notices::{Notice, collapse};
use crate::outcome::{Outcome, Outcomes, Point};

impl Run<'_> {
    /// Delivers what earlier runs owe to groups that are in order.
    pub(super) fn deliver_owed(&mut self) -> Result<(), ApplyError> {
        let owed = self.state.ledger.owed.clone();
        for notice in collapse(&owed) {
            let Some(target) = self.groups.position(&notice.target) else {
                if !self.plan.is_partial {
                    // Nobody declares the target any more: there is nothing that could act.
                    let target = notice.target.clone();
                    self.record(JournalEntry::Delivered { target, cause: None }, Durable::No)?;
                }
                continue;
            };
            let members = self.groups.members(&self.plan.list, target);
            if members.iter().all(|at| self.in_order.contains(at)) {
                self.deliver(&notice, None)?;
            }
        }
        Ok(())
    }

    /// Delivers everything that is owed, causes before their effects: a target that notifies others
    /// acts before them.
    pub(super) fn deliver_delayed(&mut self) -> Result<(), ApplyError> {
        let mut done: HashSet<ResourceId> = HashSet::new();
        loop {
            let owed = self.state.ledger.owed.clone();
            let mut next: Vec<(usize, usize, Notice)> = collapse(&owed)
                .into_iter()
                // What failed in this run is not tried twice in it.
                .filter(|n| !done.contains(&n.target) && !self.failing.contains(&n.target))
                .filter_map(|notice| {
                    let target = self.groups.position(&notice.target)?;
                    Some((self.groups.rank(target), target, notice))
                })
                .collect();
            next.sort_by_key(|(rank, ..)| *rank);
            let Some((_, target, notice)) = next.into_iter().next() else { return Ok(()) };
            done.insert(notice.target.clone());
            let members = self.groups.members(&self.plan.list, target);
            match members.iter().find(|at| self.fates[**at] == Fate::Bad) {
                None => self.deliver(&notice, None)?,
                Some(bad) => {
                    let bad = &self.plan.list.entries()[*bad].declaration.id;
                    let result = Outcomes::Pending { waits_for: bad.clone() };
                    let Notice { target: id, causes, .. } = notice;
                    self.end(Outcome { id, result, changes: Vec::new(), causes });
                }
            }
        }
    }

    /// Returns whether a target that is notified immediately has all that it needs; if not, it acts
    /// with the delayed ones.
    pub(super) fn may_act_now(&self, target: &ResourceId) -> bool {
        let Some(at) = self.groups.position(target) else { return false };
        self.plan.list.entries()[at].needs.iter().all(|need| match self.fates[*need] {
            Fate::Good => true,
            Fate::Waiting => self.in_order.contains(need),
            Fate::Bad => false,
        })
    }

    /// Lets a target act. With a cause, only that one is served; others may follow.
    pub(super) fn deliver(
        &mut self,
        notice: &Notice,
        cause: Option<&ResourceId>,
    ) -> Result<(), ApplyError> {
        let Some(at) = self.groups.position(&notice.target) else { return Ok(()) };
        let (target, action) = (notice.target.clone(), notice.action.clone());
        self.record(JournalEntry::Delivering { target, action }, Durable::No)?;
        self.tell(Point::Delivering);
        if !self.act(at, notice)? {
            self.failing.insert(notice.target.clone());
            return Ok(());
        }
        self.tell(Point::Acted);
        let (target, cause) = (notice.target.clone(), cause.cloned());
        self.record(JournalEntry::Delivered { target, cause }, Durable::No)?;
        self.tell(Point::Delivered);
        Ok(())
    }

    /// Does what a notification asks for; returns whether all is well.
    fn act(&mut self, at: usize, notice: &Notice) -> Result<bool, ApplyError> {
        let plan = self.plan;
        let entry = &plan.list.entries()[at];
        let outcome = |result| Outcome {
            id: notice.target.clone(),
            result,
            changes: Vec::new(),
            causes: notice.causes.clone(),
        };
        let (difference, batch) = match self.look(entry, &notice.action) {
            Err(problem) => {
                self.failed(at, entry, &problem, Vec::new(), &notice.causes);
                return Ok(false);
            }
            Ok(Looked::Skip(guard)) => {
                self.end(outcome(Outcomes::Skipped { guard }));
                return Ok(true);
            }
            Ok(Looked::Compared(difference, _)) if difference.is_none() => {
                self.end(outcome(Outcomes::Unchanged));
                return Ok(true);
            }
            Ok(Looked::Compared(difference, batch)) => (difference, batch),
        };
        let causes = notice.causes.clone();
        match self.announce(at, entry, &notice.action, causes, difference, batch)? {
            None => Ok(false),
            Some(one) => {
                let result = self.change_alone(&one);
                self.conclude(one, result)
            }
        }
    }
}
