//! `execute`: a command, with a reason to run.
//!
//! Without a guard a command would run every time and call that a change, so one is required:
//! `creates`, `removes`, `only_if`, `not_if`, or `action = "nothing"`, which runs only when notified.
//! After it ran, `creates` must be there and `removes` gone: a command that ends well without its
//! effect did not converge. Nothing takes a command back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use resource::{Action, Declaration, Properties, Property, Relations, Schema, Shape, Thing, Value};
use serde::Serialize;

use crate::change::{Change, Difference, Mark};
use crate::command::Program;
use crate::kind::{Context, Kind, Record, Resource, Undoing};
use crate::kinds::equal_strength;
use crate::problem::Problem;
use crate::shadow::{Foreseen, Foresight, Known, View};

/// How long a command may take if nothing is said: a compilation fits, a forgotten prompt is found.
const TIMEOUT: Duration = Duration::from_secs(3600);
/// What new files of it are allowed, if nothing else is said.
const UMASK: u32 = 0o022;

static SCHEMA: Schema = Schema {
    kind: "execute",
    summary: "A command, with a condition that says when it has to run.",
    idempotence: "Does not run if `creates` exists, `removes` does not, or a guard says no; with \
                  `nothing`, runs only when notified.",
    undo: "Nothing: what a command did is not known.",
    named: "command",
    actions: &[
        Action { name: "run", text: "Runs it; needs a guard." },
        Action { name: "nothing", text: "Does not run it until a notification says `run`." },
    ],
    properties: &[
        Property {
            name: "command",
            shape: Shape::ListOf(&Shape::Text),
            required: true,
            secret: false,
            text: "A list is a program with its arguments; one text is a line for the shell.",
        },
        Property {
            name: "cwd",
            shape: Shape::Path,
            required: false,
            secret: false,
            text: "Where it runs; `/` if nothing is said.",
        },
        Property {
            name: "environment",
            shape: Shape::MapOf(&Shape::Text),
            required: false,
            secret: true,
            text: "Variables beside the constructed ones (`PATH`, `HOME`, `USER` …).",
        },
        Property {
            name: "input",
            shape: Shape::Content,
            required: false,
            secret: true,
            text: "What it reads from its standard input; nothing if not given.",
        },
        Property {
            name: "umask",
            shape: Shape::Mode,
            required: false,
            secret: false,
            text: "What its new files are not allowed; `0022` if nothing is said.",
        },
        Property {
            name: "creates",
            shape: Shape::Path,
            required: false,
            secret: false,
            text: "A path that it makes: if that exists, there is nothing to do.",
        },
        Property {
            name: "removes",
            shape: Shape::Path,
            required: false,
            secret: false,
            text: "A path that it takes away: if that does not exist, there is nothing to do.",
        },
        Property {
            name: "returns",
            shape: Shape::ListOf(&Shape::Count),
            required: false,
            secret: false,
            text: "Exit codes that are success; 0 if nothing is said.",
        },
    ],
    relations: |declaration| {
        let properties = Properties(declaration);
        let path = |name| properties.text(name).map(|path| Thing::Path(PathBuf::from(path)));
        let user = declaration.user.clone().map(Thing::User);
        Relations {
            provides: path("creates").into_iter().collect(),
            needs: path("cwd").into_iter().chain(user).collect(),
        }
    },
};

/// The kind.
pub(super) static KIND: Kind = Kind {
    schema: &SCHEMA,
    check,
    bind: |declaration, action| Box::new(Execute::of(declaration, action)),
    undoing: |_, _| Ok(Undoing::default()),
    undo: |_, _| Ok(()),
    strength: equal_strength,
    records: "execute",
    timeout: TIMEOUT,
};

fn check(declaration: &Declaration) -> Result<(), String> {
    let properties = Properties(declaration);
    let guarded = !declaration.guards.is_empty()
        || properties.get("creates").is_some()
        || properties.get("removes").is_some();
    match declaration.action == "run" && !guarded {
        true => Err("execute needs `creates`, `removes`, `only_if` or `not_if`, or the action \
                     `nothing` and somebody who notifies it: without one it would run every time"
            .to_owned()),
        false => Ok(()),
    }
}

struct Execute<'a> {
    declaration: &'a Declaration,
    properties: Properties<'a>,
    program: Program,
    creates: Option<&'a Path>,
    removes: Option<&'a Path>,
    idle: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum State {
    /// It has to run.
    Due,
    /// It has nothing to do.
    Done,
    Perhaps,
}

impl<'a> Execute<'a> {
    fn of(declaration: &'a Declaration, action: &str) -> Self {
        let properties = Properties(declaration);
        let named = [declaration.id.name.as_str()];
        let command = properties.texts("command").unwrap_or_else(|| named.to_vec());
        let mut program = Program::declared(&command);
        program.directory = properties.text("cwd").map(PathBuf::from);
        program.user = declaration.user.clone();
        program.umask = properties.mode("umask").unwrap_or(UMASK);
        program.input = properties.content("input").unwrap_or_default().to_vec();
        for (name, value) in properties.map("environment").into_iter().flatten() {
            let value = match value {
                Value::Text(text) => text.to_string(),
                Value::Secret(secret) => secret.reveal().to_owned(),
                _ => continue,
            };
            program.variables.insert(name.clone(), value);
        }
        let path = |name| properties.text(name).map(Path::new);
        Self {
            declaration,
            properties,
            program,
            creates: path("creates"),
            removes: path("removes"),
            idle: action == "nothing",
        }
    }
}

impl Resource for Execute<'_> {
    type State = State;

    fn read(&self, view: View<'_>) -> Result<State, Problem> {
        if self.idle {
            return Ok(State::Done);
        }
        let mut due = State::Due;
        if let Some(creates) = self.creates {
            match view.own_path(creates)? {
                Known::Here(_) | Known::Planned => return Ok(State::Done),
                Known::No => {}
                Known::Perhaps => due = State::Perhaps,
            }
        }
        if let Some(removes) = self.removes {
            match view.path(removes)? {
                Known::Here(_) | Known::Planned => {}
                Known::No => return Ok(State::Done),
                Known::Perhaps => due = State::Perhaps,
            }
        }
        Ok(due)
    }

    fn diff(&self, have: &State) -> Difference {
        let command = if self.declaration.is_sensitive() {
            "(sensitive)".to_owned()
        } else {
            self.program.text()
        };
        match have {
            State::Done => Difference::none(),
            State::Due => Difference::of(Mark::Run, vec![Change::said(command)]),
            State::Perhaps => Difference::of(Mark::Perhaps, vec![Change::said(command)]),
        }
    }

    fn left(&self, have: &State) -> Difference {
        // A guard that still says yes may be right: it asks for something else. A path that the
        // command promised is its effect.
        match self.creates.is_some() || self.removes.is_some() {
            true => self.diff(have),
            false => Difference::none(),
        }
    }

    fn foresee(&self, _: &State) -> Foresight {
        let mut things = Vec::new();
        if let Some(creates) = self.creates {
            things.push((Thing::Path(creates.to_owned()), Foreseen::Present));
        }
        if let Some(removes) = self.removes {
            things.push((Thing::Path(removes.to_owned()), Foreseen::Absent));
        }
        Foresight { things, anything: true }
    }

    fn prepare(
        &self,
        _: &State,
        _: Option<&Record>,
        _: &mut Context<'_>,
    ) -> Result<Record, Problem> {
        Ok(Record::Null)
    }

    fn apply(&self, _: &State, context: &mut Context<'_>) -> Result<(), Problem> {
        let ended = context.run(&self.program)?;
        let returns = self.properties.list("returns");
        let good = |code: i32| match returns {
            None => code == 0,
            Some(codes) => codes.iter().any(|good| *good == Value::Integer(code.into())),
        };
        match ended.code().is_some_and(good) {
            true => Ok(()),
            false => Err(ended.problem(&self.program)),
        }
    }
}
