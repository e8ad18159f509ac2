//! What every kind of resource is: one file with its schema and these functions.
//!
//! A kind binds a checked declaration to a value of its own that implements [`Resource`]; the
//! engine sees only [`Bound`], which every `Resource` is. In the order of their use:
//!
//! 1. `read` returns the state, through a [`View`]; it changes nothing and starts nothing.
//! 2. `diff` compares it with what is wanted. No difference: nothing further is called.
//! 3. `foresee`, in a plan: tells the shadow what later resources will find.
//! 4. `prepare`, in an apply: what is about to be *made*, as opposed to *found*. The record is in the
//!    journal, durable, before anything changes. What was found and will be lost is kept here.
//! 5. `apply` does it. It may be called again after it was cut off anywhere.
//! 6. `read` and `diff` once more: what is left is an error.
//!
//! `undo`, much later and without a declaration, takes back what a record says was made. It may have
//! been cut off before, and what it takes back may be gone already: both are fine.

use std::path::Path;
use std::time::Duration;

use resource::{Declaration, ResourceId, Schema, Thing};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::change::{Change, Difference};
use crate::command::{Ended, Program};
use crate::held::Held;
use crate::host::Host;
use crate::keep::Keep;
use crate::outcome::Event;
use crate::problem::Problem;
use crate::shadow::{Foresight, View};

/// What was made, as the ledger keeps it; its shape is its kind's own.
pub type Record = serde_json::Value;

/// A kind of resource.
#[derive(Debug)]
pub struct Kind {
    /// What it takes, for everybody else.
    pub schema: &'static Schema,
    /// Refuses what the schema cannot.
    pub(crate) check: fn(&Declaration) -> Result<(), String>,
    /// Binds a checked declaration and one of the kind's actions.
    pub(crate) bind: for<'a> fn(&'a Declaration, &'a str) -> Box<dyn Bound + 'a>,
    /// Says what an undo would do.
    pub(crate) undoing: fn(&Record, View<'_>) -> Result<Undoing, Problem>,
    /// Takes back what was made.
    pub(crate) undo: fn(&Record, &mut Context<'_>) -> Result<(), Problem>,
    /// How strong an action is when several are asked of one target: the strongest is done.
    pub(crate) strength: fn(&str) -> u8,
    /// The name of its records' format: kinds with the same one can take each other's over.
    pub(crate) records: &'static str,
    /// How long an apply may take if the declaration does not say.
    pub(crate) timeout: Duration,
}

/// What an undo would do.
#[derive(Debug, Default)]
pub(crate) struct Undoing {
    /// In words; none: there is nothing to take back.
    pub(crate) changes: Vec<Change>,
    /// What will be gone.
    pub(crate) gone: Vec<Thing>,
}

/// A declaration bound to its kind.
pub(crate) trait Resource {
    /// What matters of what is there. It is fed to a keyed digest, never kept or shown.
    type State: Serialize;

    fn read(&self, view: View<'_>) -> Result<Self::State, Problem>;
    fn diff(&self, have: &Self::State) -> Difference;
    fn foresee(&self, have: &Self::State) -> Foresight;
    fn prepare(
        &self,
        have: &Self::State,
        previous: Option<&Record>,
        context: &mut Context<'_>,
    ) -> Result<Record, Problem>;
    fn apply(&self, have: &Self::State, context: &mut Context<'_>) -> Result<(), Problem>;

    /// Returns what is left to do right after it was applied.
    fn left(&self, have: &Self::State) -> Difference {
        self.diff(have)
    }

    /// Returns what may be done together with neighbours whose key is the same.
    fn batch(&self, _: &Self::State) -> Option<Batch> {
        None
    }
}

/// A part of one command that does the work of several neighbouring resources.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// Resources with the same key go together.
    pub(crate) key: String,
    /// What this one adds.
    pub(crate) items: Vec<String>,
    /// Does it for all.
    pub(crate) apply: fn(&str, &[String], &mut Context<'_>) -> Result<(), Problem>,
}

/// What a comparison found.
#[derive(Debug)]
pub(crate) struct Compared {
    pub(crate) difference: Difference,
    /// What later resources will find, if there is a difference.
    pub(crate) foresight: Foresight,
    /// The state for a digest; empty unless it was asked for.
    pub(crate) state: Vec<u8>,
    /// What may be done together with neighbours.
    pub(crate) batch: Option<Batch>,
}

/// Whether a comparison also returns the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WithState {
    Yes,
    No,
}

/// A [`Resource`] of any kind.
pub(crate) trait Bound {
    fn compare(&self, view: View<'_>, with_state: WithState) -> Result<Compared, Problem>;
    fn prepare(
        &self,
        previous: Option<&Record>,
        context: &mut Context<'_>,
    ) -> Result<Record, Problem>;
    fn apply(&self, context: &mut Context<'_>) -> Result<(), Problem>;
    fn left(&self, view: View<'_>) -> Result<Difference, Problem>;
}

impl<R: Resource> Bound for R {
    fn compare(&self, view: View<'_>, with_state: WithState) -> Result<Compared, Problem> {
        let have = self.read(view)?;
        let difference = self.diff(&have);
        let foresight = match difference.is_none() {
            true => Foresight::default(),
            false => self.foresee(&have),
        };
        let state = match with_state {
            WithState::Yes => serde_json::to_vec(&have).map_err(Problem::Record)?,
            WithState::No => Vec::new(),
        };
        let batch = self.batch(&have);
        Ok(Compared { difference, foresight, state, batch })
    }

    fn prepare(
        &self,
        previous: Option<&Record>,
        context: &mut Context<'_>,
    ) -> Result<Record, Problem> {
        let have = self.read(View::live(context.host))?;
        Resource::prepare(self, &have, previous, context)
    }

    fn apply(&self, context: &mut Context<'_>) -> Result<(), Problem> {
        // Read again: what was compared may be a moment old, and a second try finds what the first
        // one left.
        let have = self.read(View::live(context.host))?;
        match self.diff(&have).is_none() {
            true => Ok(()),
            false => Resource::apply(self, &have, context),
        }
    }

    fn left(&self, view: View<'_>) -> Result<Difference, Problem> {
        Ok(Resource::left(self, &self.read(view)?))
    }
}

/// What a kind works with while it changes the machine.
pub(crate) struct Context<'a> {
    /// The machine.
    pub(crate) host: &'a Host,
    /// Where what was found is kept.
    pub(crate) keep: &'a Keep,
    /// Which resource it is, for what is told meanwhile.
    pub(crate) id: &'a ResourceId,
    /// As whom commands run; nobody named: as this process.
    pub(crate) user: Option<&'a str>,
    /// How long it may take.
    pub(crate) timeout: Duration,
    /// Whether output must not be shown.
    pub(crate) sensitive: bool,
    /// Who is told.
    pub(crate) progress: &'a mut dyn FnMut(Event<'_>),
}

impl Context<'_> {
    /// Runs a program to its end, passing its output on.
    pub(crate) fn run(&mut self, program: &Program) -> Result<Ended, Problem> {
        let (id, sensitive) = (self.id, self.sensitive);
        let progress = &mut *self.progress;
        let ended = program.run(self.host, self.timeout, &mut |line| {
            if !sensitive {
                progress(Event::Output { id, line });
            }
        });
        // Whatever it did, the databases may have changed.
        self.host.forget();
        let mut ended = ended?;
        if sensitive {
            ended.output = String::new();
        }
        Ok(ended)
    }

    /// Runs a program whose output is for us alone.
    pub(crate) fn run_unheard(&mut self, program: &Program) -> Result<Ended, Problem> {
        program.run(self.host, self.timeout, &mut |_| {})
    }

    /// Tells something about the resource, as if a program had said it.
    pub(crate) fn say(&mut self, line: &str) {
        (self.progress)(Event::Output { id: self.id, line });
    }

    /// Runs a program of ours, as this process; any status but 0 is a problem.
    pub(crate) fn tool(&mut self, arguments: &[&str]) -> Result<(), Problem> {
        let program = Program::new(arguments.iter().map(|argument| (*argument).to_owned()));
        let ended = self.run(&program)?;
        ended.success(&program)
    }

    /// Returns a path that is about to be changed, with its directory held.
    pub(crate) fn hold(&self, path: &Path) -> Result<Held, Problem> {
        Held::of(&self.host.real(path))
    }

    /// Returns where a path is found.
    pub(crate) fn real(&self, path: &Path) -> std::path::PathBuf {
        self.host.real(path)
    }
}

/// Reads a record as its kind wrote it.
pub(crate) fn read_record<T: DeserializeOwned>(record: &Record) -> Result<T, Problem> {
    T::deserialize(record).map_err(Problem::Record)
}

/// Writes a record.
pub(crate) fn write_record(made: &impl Serialize) -> Result<Record, Problem> {
    serde_json::to_value(made).map_err(Problem::Record)
}
