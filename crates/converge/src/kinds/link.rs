//! `link`: a symbolic link to a target, replaced in one step.
//!
//! The target need not exist. A directory at the path is never replaced; a regular file or anything
//! else only with `force`, and is kept for the undo.

use std::path::{Path, PathBuf};

use resource::{Action, Declaration, Properties, Property, Schema, Shape};
use serde::Serialize;

use crate::before;
use crate::change::{Change, Difference, Mark};
use crate::kind::{Context, Kind, Record, Resource};
use crate::kinds::file::{PATH, TIMEOUT};
use crate::kinds::{equal_strength, relations_of_path};
use crate::problem::Problem;
use crate::replace::place_link;
use crate::shadow::{Foreseen, Foresight, Known, View, what_is};

static SCHEMA: Schema = Schema {
    kind: "link",
    summary: "A symbolic link.",
    idempotence: "Where it leads is compared, as text.",
    undo: "A link that was made is removed; one that led elsewhere leads there again; what it \
           replaced is brought back.",
    named: "path",
    actions: &[
        Action { name: "create", text: "Makes it, or makes it lead there." },
        Action { name: "delete", text: "Takes it away." },
    ],
    properties: &[
        PATH,
        Property {
            name: "to",
            shape: Shape::Text,
            required: false,
            secret: false,
            text: "Where it leads: an absolute path, or one relative to the link's directory. \
                   Needed to create it.",
        },
        Property {
            name: "force",
            shape: Shape::Bool,
            required: false,
            secret: false,
            text: "Whether a file at the path is replaced. A directory never is.",
        },
    ],
    relations: |declaration| {
        let path = Properties(declaration).named(&SCHEMA);
        relations_of_path(Path::new(path), declaration)
    },
};

/// The kind.
pub(super) static KIND: Kind = Kind {
    schema: &SCHEMA,
    check,
    bind: |declaration, action| Box::new(Link::of(declaration, action)),
    undoing: before::undoing,
    undo: before::undo,
    strength: equal_strength,
    records: "file",
    timeout: TIMEOUT,
};

fn check(declaration: &Declaration) -> Result<(), String> {
    match declaration.action == "create" && Properties(declaration).text("to").is_none() {
        true => Err("link needs `to`".to_owned()),
        false => Ok(()),
    }
}

struct Link<'a> {
    path: PathBuf,
    to: &'a Path,
    force: bool,
    deleting: bool,
}

#[derive(Debug, Serialize)]
enum State {
    Nothing,
    Link(PathBuf),
    Other(&'static str),
    Perhaps,
}

impl<'a> Link<'a> {
    fn of(declaration: &'a Declaration, action: &str) -> Self {
        let properties = Properties(declaration);
        Self {
            path: PathBuf::from(properties.named(&SCHEMA)),
            to: Path::new(properties.text("to").unwrap_or_default()),
            force: properties.bool("force", false),
            deleting: action == "delete",
        }
    }
}

impl Resource for Link<'_> {
    type State = State;

    fn read(&self, view: View<'_>) -> Result<State, Problem> {
        match view.own_path(&self.path)? {
            Known::No => {
                if !self.deleting {
                    view.needs_directory_of(&self.path)?;
                }
                Ok(State::Nothing)
            }
            Known::Planned | Known::Perhaps => Ok(State::Perhaps),
            Known::Here(found) if found.is_symlink() => {
                Ok(State::Link(view.host().link_target(&self.path)?))
            }
            Known::Here(found) if self.force && !found.is_dir() => {
                Ok(State::Other(what_is(&found)))
            }
            Known::Here(found) => Err(Problem::Occupied {
                path: self.path.clone(),
                found: what_is(&found),
                wanted: "a link",
                hint: if found.is_dir() { "" } else { "; `force = True` replaces it" },
            }),
        }
    }

    fn diff(&self, have: &State) -> Difference {
        let to = self.to.display().to_string();
        match have {
            State::Nothing if self.deleting => Difference::none(),
            State::Link(_) | State::Other(_) if self.deleting => {
                Difference::of(Mark::Delete, vec![Change::said("removed")])
            }
            State::Link(have) if have == self.to => Difference::none(),
            State::Nothing => {
                Difference::of(Mark::Create, vec![Change::attribute("to", None::<String>, to)])
            }
            State::Link(have) => {
                let old = have.display().to_string();
                Difference::of(Mark::Update, vec![Change::attribute("to", Some(old), to)])
            }
            State::Other(what) => {
                let replaced = Change::said(format!("replaces {what}"));
                let to = Change::attribute("to", None::<String>, to);
                Difference::of(Mark::Update, vec![replaced, to])
            }
            State::Perhaps => {
                Difference::of(Mark::Perhaps, vec![Change::said("made by what comes before")])
            }
        }
    }

    fn foresee(&self, _: &State) -> Foresight {
        let foreseen = if self.deleting { Foreseen::Absent } else { Foreseen::Present };
        Foresight::path(&self.path, foreseen)
    }

    fn prepare(
        &self,
        _: &State,
        previous: Option<&Record>,
        context: &mut Context<'_>,
    ) -> Result<Record, Problem> {
        before::prepare(&self.path, true, previous, context)
    }

    fn apply(&self, _: &State, context: &mut Context<'_>) -> Result<(), Problem> {
        let held = context.hold(&self.path)?;
        if self.deleting {
            return before::remove(&held);
        }
        place_link(&held, self.to)
    }
}
