//! Taking back what nobody declares any more.

use resource::ResourceId;

use crate::apply::{ApplyError, Run};
use crate::journal::{Durable, Entry as JournalEntry};
use crate::kind::Context;
use crate::outcome::{Outcome, Outcomes, Point};
use crate::planning::kind_of;
use crate::shadow::View;

impl Run<'_> {
    /// Takes back what a resource made. What cannot be taken back stays in the ledger: the next run
    /// tries again.
    pub(super) fn undo(&mut self, id: &ResourceId) -> Result<(), ApplyError> {
        let Some(made) = self.state.ledger.made.get(id).cloned() else { return Ok(()) };
        let undoing = kind_of(id)
            .and_then(|kind| Ok((kind, (kind.undoing)(&made.record, View::live(self.host))?)));
        let changes = match &undoing {
            Ok((_, undoing)) => undoing.changes.clone(),
            Err(_) => Vec::new(),
        };
        self.record(JournalEntry::Undoing { id: id.clone() }, Durable::Yes)?;
        self.tell(Point::Undoing);
        let undone = undoing.and_then(|(kind, _)| {
            let mut context = Context {
                host: self.host,
                keep: &self.state.keep,
                id,
                user: None,
                timeout: kind.timeout,
                sensitive: false,
                progress: &mut *self.progress,
            };
            (kind.undo)(&made.record, &mut context)
        });
        self.tell(Point::TakenBack);
        let result = match undone {
            Ok(()) => {
                self.record(JournalEntry::Undone { id: id.clone() }, Durable::No)?;
                self.tell(Point::Undone);
                if changes.is_empty() { Outcomes::Unchanged } else { Outcomes::Undone }
            }
            Err(problem) => {
                let problem = report::chain(&problem).join(": ");
                Outcomes::Failed { problem, ignored: false }
            }
        };
        self.end(Outcome { id: id.clone(), result, changes, causes: Vec::new() });
        Ok(())
    }
}
