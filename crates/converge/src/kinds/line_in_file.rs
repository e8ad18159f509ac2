//! `line_in_file`: one line of a file that somebody else manages.
//!
//! `ensure`: the line is there. If it is not, the last line that `match` fits is replaced, and if none
//! fits the line is added at the end. `absent`: no line is it, and none fits `match`. All other bytes
//! of the file, its owner and its permissions stay.

use std::path::{Path, PathBuf};

use regex::Regex;
use resource::{Action, Declaration, Properties, Property, Relations, Schema, Shape, Thing};
use serde::{Deserialize, Serialize};

use crate::attributes::{Have, Want};
use crate::change::{Change, Difference, Mark};
use crate::kind::{Context, Kind, Record, Resource, Undoing, read_record, write_record};
use crate::kinds::equal_strength;
use crate::kinds::file::{PATH, TIMEOUT};
use crate::problem::Problem;
use crate::replace::Staged;
use crate::shadow::{Foreseen, Foresight, Known, View, what_is};

/// Largest file that is edited: configuration is far smaller, a log is a mistake.
const MAX_FILE_BYTES: u64 = 16 << 20;

static SCHEMA: Schema = Schema {
    kind: "line_in_file",
    summary: "One line of a file.",
    idempotence: "The file is read, and what it would be is compared with what it is.",
    undo: "A line that was added is removed, one that was replaced or removed comes back; the rest of \
           the file stays as it is by then.",
    named: "line",
    actions: &[
        Action { name: "ensure", text: "The line is in the file." },
        Action { name: "absent", text: "The line is not, and none that `match` fits." },
    ],
    properties: &[
        Property {
            name: "line",
            shape: Shape::Text,
            required: true,
            secret: false,
            text: "The line, without its end.",
        },
        Property { required: true, text: "The file; it must exist.", ..PATH },
        Property {
            name: "match",
            shape: Shape::Text,
            required: false,
            secret: false,
            text: "A regular expression for the line that is replaced, or for what is removed.",
        },
    ],
    relations: |declaration| {
        let path = Properties(declaration).text("path").unwrap_or_default();
        // It provides nothing: several lines of one file are several resources.
        Relations { provides: Vec::new(), needs: vec![Thing::Path(PathBuf::from(path))] }
    },
};

/// The kind.
pub(super) static KIND: Kind = Kind {
    schema: &SCHEMA,
    check,
    bind: |declaration, action| Box::new(Line::of(declaration, action)),
    undoing,
    undo,
    strength: equal_strength,
    records: "line_in_file",
    timeout: TIMEOUT,
};

fn check(declaration: &Declaration) -> Result<(), String> {
    let properties = Properties(declaration);
    let line = properties.named(&SCHEMA);
    if line.contains('\n') {
        return Err("`line` is more than one line".to_owned());
    }
    let Some(pattern) = properties.text("match") else { return Ok(()) };
    let regex = Regex::new(pattern).map_err(|error| format!("`match`: {error}"))?;
    // Else the next run would replace another line.
    match declaration.action == "ensure" && !regex.is_match(line) {
        true => Err(format!("`match` does not fit `{line}` itself")),
        false => Ok(()),
    }
}

struct Line<'a> {
    path: PathBuf,
    line: &'a str,
    pattern: Option<Regex>,
    absent: bool,
    sensitive: bool,
}

#[derive(Debug, Serialize)]
enum State {
    Text { text: String, have: Have },
    Perhaps,
}

impl<'a> Line<'a> {
    fn of(declaration: &'a Declaration, action: &str) -> Self {
        let properties = Properties(declaration);
        Self {
            path: PathBuf::from(properties.text("path").unwrap_or_default()),
            line: properties.named(&SCHEMA),
            pattern: properties.text("match").and_then(|pattern| Regex::new(pattern).ok()),
            absent: action == "absent",
            sensitive: declaration.is_sensitive(),
        }
    }

    fn fits(&self, line: &str) -> bool {
        self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(line))
    }

    /// Returns what the file should hold, and the lines that go.
    fn edited(&self, text: &str) -> (String, Vec<String>) {
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        let bare = |line: &str| line.trim_end_matches(['\n', '\r']).to_owned();
        if self.absent {
            let goes = |line: &&str| bare(line) == self.line || self.fits(&bare(line));
            let gone = lines.iter().filter(|line| goes(line)).map(|line| bare(line)).collect();
            lines.retain(|line| !goes(line));
            return (lines.concat(), gone);
        }
        if lines.iter().any(|line| bare(line) == self.line) {
            return (text.to_owned(), Vec::new());
        }
        if let Some(at) = lines.iter().rposition(|line| self.fits(&bare(line))) {
            let gone = bare(lines[at]);
            let end = &lines[at][gone.len()..];
            let new = format!("{}{end}", self.line);
            lines[at] = &new;
            return (lines.concat(), vec![gone]);
        }
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        (format!("{text}{end}{}\n", self.line), Vec::new())
    }
}

/// Reads the file of a path.
fn read(view: View<'_>, path: &Path) -> Result<State, Problem> {
    match view.path(path)? {
        Known::Here(found) if found.is_file() => {
            let bytes = view.host().read(path, MAX_FILE_BYTES)?;
            let Ok(text) = String::from_utf8(bytes) else {
                return Err(Problem::Refused(format!("`{}` is no text", path.display())));
            };
            Ok(State::Text { text, have: Have::of(&found) })
        }
        Known::Here(found) => Err(Problem::Occupied {
            path: path.to_owned(),
            found: what_is(&found),
            wanted: "a regular file",
            hint: "",
        }),
        Known::No => {
            Err(Problem::Refused(format!("there is no file `{}` to edit", path.display())))
        }
        Known::Planned | Known::Perhaps => Ok(State::Perhaps),
    }
}

fn write(context: &Context<'_>, path: &Path, text: &str, have: Have) -> Result<(), Problem> {
    let held = context.hold(path)?;
    let staged = Staged::write(&held, text.as_bytes())?;
    staged.set(&Want::back(have))?;
    staged.place()
}

impl Resource for Line<'_> {
    type State = State;

    fn read(&self, view: View<'_>) -> Result<State, Problem> {
        read(view, &self.path)
    }

    fn diff(&self, have: &State) -> Difference {
        match have {
            State::Perhaps => {
                let text = format!("in {}, which comes before", self.path.display());
                Difference::of(Mark::Perhaps, vec![Change::said(text)])
            }
            State::Text { text, .. } => {
                let (edited, gone) = self.edited(text);
                if edited == *text {
                    return Difference::none();
                }
                // Not the lines around it: they are somebody else's, and may be secret.
                let come = if self.absent { "" } else { self.line };
                let (old, new) = (gone.join("\n"), come);
                let content = Change::content(old.as_bytes(), new.as_bytes(), self.sensitive);
                Difference::of(Mark::Update, vec![content])
            }
        }
    }

    fn foresee(&self, _: &State) -> Foresight {
        // Another line of the same file is then not comparable: its text will be another one.
        Foresight::path(&self.path, Foreseen::Perhaps)
    }

    fn prepare(
        &self,
        have: &State,
        previous: Option<&Record>,
        _: &mut Context<'_>,
    ) -> Result<Record, Problem> {
        if let Some(previous) = previous {
            return Ok(previous.clone());
        }
        let gone = match have {
            State::Text { text, .. } => self.edited(text).1,
            State::Perhaps => Vec::new(),
        };
        let added = (!self.absent).then(|| self.line.to_owned());
        write_record(&Made { path: self.path.clone(), added, gone })
    }

    fn apply(&self, have: &State, context: &mut Context<'_>) -> Result<(), Problem> {
        match have {
            State::Text { text, have } => write(context, &self.path, &self.edited(text).0, *have),
            State::Perhaps => Ok(()),
        }
    }
}

/// What was edited.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    path: PathBuf,
    added: Option<String>,
    gone: Vec<String>,
}

impl Made {
    /// Returns the text without the edit.
    fn back(&self, text: &str) -> String {
        let gone = || self.gone.iter().map(|line| format!("{line}\n")).collect::<String>();
        let Some(added) = &self.added else {
            let there = |line: &&String| !text.lines().any(|found| found == *line);
            let missing = self.gone.iter().filter(there).map(|line| format!("{line}\n"));
            return format!("{text}{}", missing.collect::<String>());
        };
        let mut done = false;
        let lines = text.split_inclusive('\n').map(|line| {
            if done || line.trim_end_matches(['\n', '\r']) != added {
                return line.to_owned();
            }
            done = true;
            gone()
        });
        lines.collect()
    }
}

fn undoing(record: &Record, view: View<'_>) -> Result<Undoing, Problem> {
    let made: Made = read_record(record)?;
    if !matches!(view.path(&made.path)?, Known::Here(_)) {
        return Ok(Undoing::default());
    }
    let State::Text { text, .. } = read(view, &made.path)? else { return Ok(Undoing::default()) };
    let back = made.back(&text);
    let changes = match back == text {
        true => Vec::new(),
        false => {
            vec![Change::said(format!("{} as it was found, as to this line", made.path.display()))]
        }
    };
    Ok(Undoing { changes, gone: Vec::new() })
}

fn undo(record: &Record, context: &mut Context<'_>) -> Result<(), Problem> {
    let made: Made = read_record(record)?;
    if context.host.look(&made.path)?.is_none() {
        return Ok(());
    }
    match read(View::live(context.host), &made.path)? {
        State::Text { text, have } if made.back(&text) != text => {
            write(context, &made.path, &made.back(&text), have)
        }
        _ => Ok(()),
    }
}
