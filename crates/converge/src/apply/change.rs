//! One resource, and neighbours that one command changes together.

use std::time::Duration;

use resource::{Entry, ResourceId, Timing};

use crate::apply::{ApplyError, Fate, Run, redact};
use crate::change::Difference;
use crate::guard::{self, Verdict};
use crate::journal::{Durable, Entry as JournalEntry};
use crate::kind::{Batch, Context, Kind, WithState};
use crate::ledger::{Made, Owed};
use crate::notices::collapse;
use crate::outcome::{Event, Outcome, Outcomes, Point};
use crate::planning::{kind_of, owed};
use crate::problem::Problem;
use crate::shadow::View;

/// A resource whose change is announced in the journal.
pub(super) struct Announced<'e> {
    at: usize,
    entry: &'e Entry,
    action: &'e str,
    causes: Vec<ResourceId>,
    difference: Difference,
    intent: u64,
    previous: Option<Made>,
    batch: Option<Batch>,
}

/// What a look at a resource found.
pub(super) enum Looked {
    /// A guard that says no.
    Skip(String),
    /// A comparison.
    Compared(Difference, Option<Batch>),
}

impl Run<'_> {
    /// Applies the resource at a position, and neighbours that go together with it. Returns the
    /// position behind them.
    pub(super) fn declared(&mut self, first: usize) -> Result<usize, ApplyError> {
        let plan = self.plan;
        let mut announced: Vec<Announced<'_>> = Vec::new();
        let mut at = first;
        while let Some(entry) = plan.list.entries().get(at) {
            if announced.last().is_some_and(|before| !may_go_with(before, entry, first)) {
                break;
            }
            at += 1;
            match self.turn(at - 1, entry)? {
                None if announced.is_empty() => return Ok(at),
                None => {}
                Some(one) => {
                    let key = |one: &Announced<'_>| one.batch.as_ref().map(|b| b.key.clone());
                    if announced.last().is_some_and(|before| key(before) != key(&one)) {
                        // Announced already, and of another command: it does not go with them.
                        self.change(std::mem::take(&mut announced))?;
                    }
                    let alone = one.batch.is_none() || notifies_at_once(entry);
                    announced.push(one);
                    if alone {
                        break;
                    }
                }
            }
        }
        self.change(announced)?;
        Ok(at)
    }

    /// Looks at a resource whose turn it is; announces its change if there is one.
    fn turn<'e>(
        &mut self,
        at: usize,
        entry: &'e Entry,
    ) -> Result<Option<Announced<'e>>, ApplyError> {
        let declaration = &entry.declaration;
        let entries = self.plan.list.entries();
        let (result, fate) = match entry.needs.iter().find(|need| self.fates[**need] == Fate::Bad) {
            Some(need) => {
                let by = entries[*need].declaration.id.clone();
                (Outcomes::Blocked { by }, Fate::Bad)
            }
            None => match self.look(entry, &declaration.action) {
                Ok(Looked::Skip(guard)) => (Outcomes::Skipped { guard }, Fate::Good),
                Ok(Looked::Compared(difference, _)) if difference.is_none() => {
                    (Outcomes::Unchanged, Fate::Good)
                }
                Ok(Looked::Compared(difference, batch)) => {
                    let action = &declaration.action;
                    return self.announce(at, entry, action, Vec::new(), difference, batch);
                }
                Err(problem) => {
                    self.failed(at, entry, &problem, Vec::new(), &[]);
                    return Ok(None);
                }
            },
        };
        self.fates[at] = fate;
        let id = declaration.id.clone();
        self.end(Outcome { id, result, changes: Vec::new(), causes: Vec::new() });
        Ok(None)
    }

    pub(super) fn look(&self, entry: &Entry, action: &str) -> Result<Looked, Problem> {
        let declaration = &entry.declaration;
        let view = View::live(self.host);
        let kind = kind_of(&declaration.id)?;
        if let Verdict::Skip(guard) = guard::ask(declaration, view, false)? {
            return Ok(Looked::Skip(guard));
        }
        let compared = (kind.bind)(declaration, action).compare(view, WithState::No)?;
        Ok(Looked::Compared(compared.difference, compared.batch))
    }

    /// Writes down what is about to be made and who will have to be notified, durably.
    pub(super) fn announce<'e>(
        &mut self,
        at: usize,
        entry: &'e Entry,
        action: &'e str,
        causes: Vec<ResourceId>,
        difference: Difference,
        batch: Option<Batch>,
    ) -> Result<Option<Announced<'e>>, ApplyError> {
        let declaration = &entry.declaration;
        (self.progress)(Event::Begins { id: &declaration.id, difference: &difference });
        let previous = self.state.ledger.made.get(&declaration.id).cloned();
        let made = match self.prepare(entry, action, previous.as_ref()) {
            Ok(made) => Box::new(made),
            Err(problem) => {
                self.failed(at, entry, &problem, difference.changes, &causes);
                return Ok(None);
            }
        };
        let now = self.now_ms;
        let owed = declaration.notifies.iter().map(|notice| owed(entry, notice, now)).collect();
        let intent = self.record(JournalEntry::Intent { made, owed }, Durable::Yes)?;
        self.tell(Point::Intended);
        Ok(Some(Announced { at, entry, action, causes, difference, intent, previous, batch }))
    }

    fn prepare(
        &mut self,
        entry: &Entry,
        action: &str,
        previous: Option<&Made>,
    ) -> Result<Made, Problem> {
        let declaration = &entry.declaration;
        let kind = kind_of(&declaration.id)?;
        let entries = self.plan.list.entries();
        let needs = entry.needs.iter().map(|at| entries[*at].declaration.id.clone()).collect();
        let bound = (kind.bind)(declaration, action);
        let mut context = self.context(entry, kind);
        let record = bound.prepare(previous.map(|made| &made.record), &mut context)?;
        let mut owners = entry.owners.clone();
        if self.plan.is_partial {
            let others = previous.iter().flat_map(|made| &made.owners);
            let others = others.filter(|owner| !entry.owners.contains(owner));
            owners.extend(others.cloned());
        }
        Ok(Made {
            id: declaration.id.clone(),
            owners,
            record,
            needs,
            provides: (kind.schema.relations)(declaration).provides,
            changed_at_ms: self.now_ms,
        })
    }

    fn context<'c>(&'c mut self, entry: &'c Entry, kind: &Kind) -> Context<'c> {
        let declaration = &entry.declaration;
        Context {
            host: self.host,
            keep: &self.state.keep,
            id: &declaration.id,
            user: declaration.user.as_deref(),
            timeout: declaration.timeout_ms.map_or(kind.timeout, Duration::from_millis),
            sensitive: declaration.is_sensitive(),
            progress: &mut *self.progress,
        }
    }

    /// Makes announced changes, looks again, and lets notified resources act.
    fn change(&mut self, announced: Vec<Announced<'_>>) -> Result<(), ApplyError> {
        let together = match announced.len() {
            0 | 1 => None,
            _ => Some(self.change_together(&announced)),
        };
        for one in announced {
            let result = match &together {
                Some(Err(problem)) => Err(Problem::Refused(problem.clone())),
                Some(Ok(())) => Ok(()),
                None => self.change_alone(&one),
            };
            self.conclude(one, result)?;
        }
        Ok(())
    }

    /// Makes the changes of a batch by one command. Its problem is that of all, as text.
    fn change_together(&mut self, announced: &[Announced<'_>]) -> Result<(), String> {
        let batches = || announced.iter().filter_map(|one| one.batch.as_ref());
        let (Some(first), Some(batch)) = (announced.first(), batches().next()) else {
            return Ok(());
        };
        let entry = first.entry;
        let items: Vec<String> = batches().flat_map(|batch| batch.items.clone()).collect();
        // The most patient of them decides.
        let retries = announced.iter().map(|one| one.entry.declaration.retries).max();
        let changed = kind_of(&entry.declaration.id).and_then(|kind| {
            self.tries(entry, retries.unwrap_or_default(), |run| {
                (batch.apply)(&batch.key, &items, &mut run.context(entry, kind))
            })
        });
        changed.map_err(|problem| problem.to_string())
    }

    pub(super) fn change_alone(&mut self, one: &Announced<'_>) -> Result<(), Problem> {
        let entry = one.entry;
        let kind = kind_of(&entry.declaration.id)?;
        let bound = (kind.bind)(&entry.declaration, one.action);
        self.tries(entry, entry.declaration.retries, |run| {
            bound.apply(&mut run.context(entry, kind))
        })
    }

    fn tries(
        &mut self,
        entry: &Entry,
        retries: u32,
        mut apply: impl FnMut(&mut Self) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let declaration = &entry.declaration;
        let mut left = retries;
        loop {
            let Err(problem) = apply(self) else { return Ok(()) };
            if left == 0 {
                return Err(problem);
            }
            let problem = redact::text(&problem, declaration);
            (self.progress)(Event::Again { id: &declaration.id, problem: &problem, left });
            left -= 1;
            // Asked for by the declaration: between two tries, never instead of looking.
            std::thread::sleep(Duration::from_millis(declaration.retry_delay_ms));
        }
    }

    /// Looks again at what was changed, records what came of it, and lets those act that are notified
    /// immediately. Returns whether all is well.
    pub(super) fn conclude(
        &mut self,
        one: Announced<'_>,
        result: Result<(), Problem>,
    ) -> Result<bool, ApplyError> {
        self.tell(Point::Changed);
        let Announced { at, entry, action, causes, difference, intent, previous, .. } = one;
        let declaration = &entry.declaration;
        let view = View::live(self.host);
        let bound = kind_of(&declaration.id).map(|kind| (kind.bind)(declaration, action));
        let result = match (result, bound) {
            (Err(problem), Ok(bound)) => {
                let again = bound.compare(view, WithState::No).map(|again| again.difference);
                if again.is_ok_and(|again| again == difference) {
                    // Nothing happened: nothing was made, and nobody has to be notified.
                    let (id, previous) = (declaration.id.clone(), previous.map(Box::new));
                    let withdrawn = JournalEntry::Withdrawn { id, previous, intent };
                    self.record(withdrawn, Durable::No)?;
                }
                Err(problem)
            }
            (Ok(()), Ok(bound)) => bound.left(view).and_then(|left| match left.is_none() {
                true => Ok(()),
                false => Err(Problem::DidNotConverge(left.line())),
            }),
            (Err(problem), Err(_)) | (Ok(()), Err(problem)) => Err(problem),
        };
        if let Err(problem) = result {
            self.failed(at, entry, &problem, difference.changes, &causes);
            return Ok(false);
        }
        self.record(JournalEntry::Done { id: declaration.id.clone() }, Durable::No)?;
        self.tell(Point::Recorded);
        self.fates[at] = Fate::Good;
        let (id, changes) = (declaration.id.clone(), difference.changes);
        self.end(Outcome { id, result: Outcomes::Changed, changes, causes });
        let owed = &self.state.ledger.owed;
        let at_once = |owed: &&Owed| owed.sequence == intent && owed.timing == Timing::Immediate;
        let at_once: Vec<Owed> = owed.iter().filter(at_once).cloned().collect();
        for notice in collapse(&at_once) {
            if self.may_act_now(&notice.target) {
                self.deliver(&notice, Some(&declaration.id))?;
            }
        }
        Ok(true)
    }
}

/// Returns whether a resource may be looked at before an announced change is made, because both may
/// be made by one command.
fn may_go_with(before: &Announced<'_>, entry: &Entry, first: usize) -> bool {
    // A guard could see what is not yet done, and what it needs may be among it.
    before.batch.is_some()
        && before.entry.declaration.id.kind == entry.declaration.id.kind
        && entry.declaration.guards.is_empty()
        && entry.needs.iter().all(|need| *need < first)
}

fn notifies_at_once(entry: &Entry) -> bool {
    entry.declaration.notifies.iter().any(|notice| notice.timing == Timing::Immediate)
}
