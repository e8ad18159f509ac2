//! Making a plan: every resource is compared with the machine as it will be when its turn comes.
//!
//! Nothing is changed. Programs are started for command guards only.

use resource::{
    Entry, Notification, PropertyProblem, RecipeName, ResourceId, ResourceList, Thing, Timing,
};

use crate::change::{Change, Difference, Mark};
use crate::digest::{DigestKey, digest_of_state, digest_of_want};
use crate::guard::{self, Verdict};
use crate::host::Host;
use crate::kind::{Kind, WithState};
use crate::kinds;
use crate::ledger::{Ledger, LedgerError, Owed};
use crate::notices::{Groups, Notice, collapse};
use crate::plan::{Digests, Plan, Role, Step};
use crate::problem::Problem;
use crate::shadow::{Foreseen, Foresight, Shadow, View};

/// What a plan is made for.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlanOptions<'a> {
    /// What becomes of resources that are not in the list.
    pub leaving: Leaving,
    /// Recipes that run because another one has left. What they alone declare at the beginning of the list comes
    /// before anything is taken back: so they can stop what runs out of that.
    pub departing: &'a [RecipeName],
    /// With a key, the plan can be saved.
    pub key: Option<&'a DigestKey>,
}

/// What becomes of resources that were made here and are not in the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Leaving {
    /// They are taken back: the list is everything that is wanted.
    #[default]
    Undo,
    /// They stay: the list is a part of what is wanted.
    Keep,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A kind of resource that nobody knows.
    #[error("{0}: there is no such kind of resource")]
    Kind(ResourceId),
    /// A declaration that does not fit its kind.
    #[error("{id}")]
    Property {
        /// Which.
        id: ResourceId,
        /// Why.
        #[source]
        source: PropertyProblem,
    },
    /// A declaration that its kind refuses.
    #[error("{id}: {text}")]
    Refused {
        /// Which.
        id: ResourceId,
        /// Why.
        text: String,
    },
    /// Resources that would notify each other for ever.
    #[error("{0} and {1} notify each other")]
    Circle(ResourceId, ResourceId),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Returns the kind of a resource.
pub(crate) fn kind_of(id: &ResourceId) -> Result<&'static Kind, Problem> {
    let unknown = || Problem::Refused(format!("there is no kind `{}`", id.kind));
    kinds::find(&id.kind).ok_or_else(unknown)
}

/// Refuses what cannot be planned: for whoever checks recipes without a machine.
pub fn check(list: &ResourceList) -> Result<(), PlanError> {
    for Entry { declaration, .. } in list.entries() {
        let id = &declaration.id;
        let kind = kinds::find(&id.kind).ok_or_else(|| PlanError::Kind(id.clone()))?;
        kind.schema
            .check(declaration)
            .map_err(|source| PlanError::Property { id: id.clone(), source })?;
        (kind.check)(declaration).map_err(|text| PlanError::Refused { id: id.clone(), text })?;
    }
    match Groups::circle(list) {
        Some((one, other)) => Err(PlanError::Circle(one, other)),
        None => Ok(()),
    }
}

/// Compares a list with a machine.
pub fn plan(
    list: ResourceList,
    host: &Host,
    ledger: &Ledger,
    options: &PlanOptions<'_>,
) -> Result<Plan, PlanError> {
    check(&list)?;
    let groups = Groups::of(&list);
    let mut planner = Planner {
        host,
        list: &list,
        groups: &groups,
        key: options.key,
        shadow: Shadow::default(),
        marks: Vec::with_capacity(list.entries().len()),
        steps: Vec::new(),
        delayed: Vec::new(),
        digests: Vec::new(),
    };
    let departing = |entry: &Entry| entry.owners.iter().all(|own| options.departing.contains(own));
    let departing = list.entries().iter().take_while(|entry| departing(entry)).count();
    for at in 0..departing {
        planner.declared(at);
    }
    let mut leaving = Vec::new();
    let mut heirs = Vec::new();
    if options.leaving == Leaving::Undo {
        let left = ledger.leaving(&list);
        let known = if left.is_empty() { None } else { Some(Ledger::heirs(&list)) };
        for made in left {
            let records = kinds::find(&made.id.kind).map_or("", |kind| kind.records);
            let heir_of = |thing: &Thing| known.as_ref()?.get(&(records, thing.clone()));
            let heir = made.provides.iter().find_map(heir_of);
            if let Some(heir) = heir {
                heirs.push((made.id.clone(), heir.clone()));
                continue;
            }
            planner.leave(made);
            leaving.push(made.id.clone());
        }
    }
    let undo_steps = planner.steps.len();
    for at in departing..list.entries().len() {
        planner.declared(at);
    }
    let owed_first = planner.finish(ledger.owed());
    let Planner { mut steps, digests, .. } = planner;
    steps.splice(undo_steps..undo_steps, owed_first);
    let is_partial = options.leaving == Leaving::Keep;
    let sequence = ledger.sequence;
    Ok(Plan { steps, list, departing, leaving, heirs, is_partial, sequence, digests })
}

struct Planner<'a> {
    host: &'a Host,
    list: &'a ResourceList,
    groups: &'a Groups,
    key: Option<&'a DigestKey>,
    shadow: Shadow,
    /// Of the declared resources so far.
    marks: Vec<Mark>,
    steps: Vec<Step>,
    delayed: Vec<(Owed, Mark)>,
    digests: Vec<Digests>,
}

impl Planner<'_> {
    fn leave(&mut self, made: &crate::ledger::Made) {
        let undoing = kind_of(&made.id)
            .and_then(|kind| (kind.undoing)(&made.record, View::planned(self.host, &self.shadow)));
        let (mark, changes, reason) = match undoing {
            Err(problem) => (Mark::Blocked, Vec::new(), Some(problem.to_string())),
            // Forgotten without a word: there is nothing to take back.
            Ok(undoing) if undoing.changes.is_empty() => return,
            Ok(undoing) => {
                let absent = |thing| (thing, Foreseen::Absent);
                let things = undoing.gone.into_iter().map(absent).collect();
                self.shadow.take(Foresight { things, anything: false });
                (Mark::Delete, undoing.changes, Some("nobody declares it any more".to_owned()))
            }
        };
        self.steps.push(Step {
            id: made.id.clone(),
            mark,
            role: Role::Leaving,
            action: "undo".to_owned(),
            changes,
            reason,
            recipes: made.owners.clone(),
            place: None,
        });
    }

    fn declared(&mut self, at: usize) {
        let list = self.list;
        let entry = &list.entries()[at];
        let (mark, changes, reason) = self.look(at, entry, &entry.declaration.action);
        self.marks.push(mark);
        self.steps.push(step(
            entry,
            Role::Declared,
            &entry.declaration.action,
            mark,
            changes,
            reason,
        ));
        if !mark.is_change() {
            return;
        }
        self.notify(entry, mark);
    }

    /// Adds what a change of a resource causes: immediate ones now, with what they cause in turn.
    fn notify(&mut self, entry: &Entry, mark: Mark) {
        let list = self.list;
        for notification in &entry.declaration.notifies {
            let owed = owed(entry, notification, 0);
            if notification.timing == Timing::Delayed {
                self.delayed.push((owed, mark));
                continue;
            }
            let notice = collapse([&owed]).remove(0);
            let Some(step) = self.notified(&notice, Role::Notified, mark) else { continue };
            let mark = step.mark;
            self.steps.push(step);
            // Whatever the target does, it does it now.
            self.shadow.take(Foresight { things: Vec::new(), anything: true });
            if let Some(target) = self.groups.position(&notice.target).filter(|_| mark.is_change())
            {
                self.notify(&list.entries()[target], mark);
            }
        }
    }

    /// Compares one resource and tells the shadow.
    fn look(
        &mut self,
        at: usize,
        entry: &Entry,
        action: &str,
    ) -> (Mark, Vec<Change>, Option<String>) {
        let declaration = &entry.declaration;
        let needed = |mark: Mark| entry.needs.iter().find(|need| self.marks[**need] == mark);
        if let Some(need) = needed(Mark::Blocked) {
            let reason = format!("needs {}", self.list.entries()[*need].declaration.id);
            return (Mark::Blocked, Vec::new(), Some(reason));
        }
        let pending = entry.needs.iter().any(|need| self.marks[*need].is_change());
        let view = View::planned(self.host, &self.shadow);
        let with_state = if self.key.is_some() { WithState::Yes } else { WithState::No };
        let looked = kind_of(&declaration.id).and_then(|kind| {
            let verdict = guard::ask(declaration, view, pending)?;
            if let Verdict::Skip(_) = verdict {
                return Ok((verdict, None));
            }
            let compared = (kind.bind)(declaration, action).compare(view, with_state)?;
            Ok((verdict, Some(compared)))
        });
        let blocked = |problem: &Problem| (Mark::Blocked, Vec::new(), Some(problem.to_string()));
        let (verdict, compared) = match looked {
            Ok(looked) => looked,
            Err(problem) => {
                self.digest(at, problem.to_string().as_bytes());
                return blocked(&problem);
            }
        };
        let Some(compared) = compared else {
            self.digest(at, b"skipped");
            let Verdict::Skip(text) = verdict else { return (Mark::Skipped, Vec::new(), None) };
            return (Mark::Skipped, Vec::new(), Some(text));
        };
        self.digest(at, &compared.state);
        let Difference { mut mark, changes } = compared.difference;
        let mut foresight = compared.foresight;
        let mut reason = None;
        if let Verdict::Perhaps(text) = verdict
            && mark != Mark::Unchanged
        {
            mark = Mark::Perhaps;
            reason = Some(text);
        }
        if mark == Mark::Perhaps {
            foresight = foresight.perhaps();
        }
        self.shadow.take(foresight);
        (mark, changes, reason)
    }

    fn digest(&mut self, at: usize, state: &[u8]) {
        let declaration = &self.list.entries()[at].declaration;
        if let Some(key) = self.key {
            self.digests.push(Digests {
                id: declaration.id.clone(),
                want: digest_of_want(key, declaration),
                have: digest_of_state(key, state),
            });
        }
    }

    /// Returns the step of a notified resource, if it is declared.
    fn notified(&self, notice: &Notice, role: Role, cause: Mark) -> Option<Step> {
        let at = self.groups.position(&notice.target)?;
        let entry = &self.list.entries()[at];
        let causes: Vec<String> = notice.causes.iter().map(ToString::to_string).collect();
        let mut reason = match role {
            Role::Owed => format!("a run that did not end owes it, for {}", causes.join(", ")),
            _ => format!("notified by {}", causes.join(", ")),
        };
        if notice.tries > 0 {
            reason.push_str("; it was begun then and may have happened");
        }
        let blocked = self.groups.members(self.list, at);
        let blocked = blocked.iter().find(|at| self.marks.get(**at) == Some(&Mark::Blocked));
        let mark = match blocked {
            Some(blocked) => {
                let blocked = &self.list.entries()[*blocked].declaration.id;
                reason = format!("{reason}; it waits for {blocked}");
                Mark::Blocked
            }
            None if cause == Mark::Perhaps => Mark::Perhaps,
            None => Mark::Notified,
        };
        Some(step(entry, role, &notice.action, mark, Vec::new(), Some(reason)))
    }

    /// Adds the delayed notifications; returns those that come first.
    fn finish(&mut self, left: &[Owed]) -> Vec<Step> {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for owed in left {
            let target = self.groups.position(&owed.target);
            let calm = target.is_some_and(|target| {
                let members = self.groups.members(self.list, target);
                members.iter().all(|at| !self.marks[*at].is_change())
            });
            if calm { first.push(owed.clone()) } else { last.push((owed.clone(), Mark::Notified)) }
        }
        let first = collapse(&first);
        let first = first.iter().filter_map(|n| self.notified(n, Role::Owed, Mark::Notified));
        let first: Vec<Step> = first.collect();
        last.append(&mut self.delayed);
        let mut done: Vec<ResourceId> = Vec::new();
        // Causes before their effects: what acts may notify others.
        while let Some((rank, notice)) = self.next_notice(&last, &done) {
            let of = |owed: &Owed| owed.target == notice.target;
            let certain = last.iter().any(|(owed, mark)| of(owed) && *mark != Mark::Perhaps);
            let cause = if certain { Mark::Notified } else { Mark::Perhaps };
            done.push(notice.target.clone());
            let Some(step) = self.notified(&notice, Role::Notified, cause) else { continue };
            if step.mark.is_change() {
                let entry = &self.list.entries()[rank.1];
                let more = entry.declaration.notifies.iter();
                last.extend(more.map(|more| (owed(entry, more, 0), step.mark)));
            }
            self.steps.push(step);
        }
        first
    }

    /// Returns the notice whose target has the lowest rank, with the rank and the position.
    fn next_notice(
        &self,
        owed: &[(Owed, Mark)],
        done: &[ResourceId],
    ) -> Option<((usize, usize), Notice)> {
        let notices = collapse(owed.iter().map(|(owed, _)| owed)).into_iter();
        let open = notices.filter(|notice| !done.contains(&notice.target));
        let ranked = open.filter_map(|notice| {
            let at = self.groups.position(&notice.target)?;
            Some(((self.groups.rank(at), at), notice))
        });
        // The first of equal ones: in the order in which they were caused.
        ranked.min_by_key(|((rank, _), _)| *rank)
    }
}

/// Returns what a change of a resource owes.
pub(crate) fn owed(entry: &Entry, notification: &Notification, since_ms: u64) -> Owed {
    Owed {
        cause: entry.declaration.id.clone(),
        target: notification.target.clone(),
        action: notification.action.clone(),
        timing: notification.timing,
        since_ms,
        sequence: 0,
        tries: 0,
    }
}

fn step(
    entry: &Entry,
    role: Role,
    action: &str,
    mark: Mark,
    changes: Vec<Change>,
    reason: Option<String>,
) -> Step {
    Step {
        id: entry.declaration.id.clone(),
        mark,
        role,
        action: action.to_owned(),
        changes,
        reason,
        recipes: entry.owners.clone(),
        place: entry.declaration.place().cloned(),
    }
}
