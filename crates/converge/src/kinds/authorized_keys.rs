//! `authorized_keys`: who may log in as a user.
//!
//! Keys are compared by type and blob; comments and options are not keys, but a line whose options
//! differ is replaced. The file lies in a directory that the user may change at will, so it is only
//! ever written by a program with that user's rights: a link that leads elsewhere gains nothing.
//! What is in the file is never shown but for the keys that come and go.

use std::path::{Path, PathBuf};

use resource::{Action, Declaration, Properties, Property, Relations, Schema, Shape, Thing};
use serde::{Deserialize, Serialize};

use crate::change::{Change, Difference, Mark};
use crate::command::Program;
use crate::kind::{Context, Kind, Record, Resource, Undoing, read_record, write_record};
use crate::kinds::file::TIMEOUT;
use crate::kinds::{account_name, equal_strength};
use crate::problem::Problem;
use crate::shadow::{Foresight, Known, View, what_is};

/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

static SCHEMA: Schema = Schema {
    kind: "authorized_keys",
    summary: "Keys with which one may log in as a user.",
    idempotence: "Type and blob of each key are compared, and the options before them.",
    undo: "Keys that were added are removed, removed ones are added again.",
    named: "username",
    actions: &[
        Action { name: "create", text: "The keys are there." },
        Action { name: "remove", text: "The keys are not." },
    ],
    properties: &[
        Property {
            name: "username",
            shape: Shape::Text,
            required: true,
            secret: false,
            text: "Whose login.",
        },
        Property {
            name: "keys",
            shape: Shape::ListOf(&Shape::Text),
            required: true,
            secret: false,
            text: "The keys, each as a line of the file.",
        },
        Property {
            name: "exclusive",
            shape: Shape::Bool,
            required: false,
            secret: false,
            text: "Whether all other keys are removed.",
        },
    ],
    relations: |declaration| {
        let user = Properties(declaration).named(&SCHEMA).to_owned();
        Relations { provides: Vec::new(), needs: vec![Thing::User(user)] }
    },
};

/// The kind.
pub(super) static KIND: Kind = Kind {
    schema: &SCHEMA,
    check,
    bind: |declaration, action| {
        let properties = Properties(declaration);
        Box::new(Keys {
            user: properties.named(&SCHEMA),
            keys: properties.texts("keys").unwrap_or_default(),
            exclusive: properties.bool("exclusive", false),
            removing: action == "remove",
        })
    },
    undoing,
    undo,
    strength: equal_strength,
    records: "authorized_keys",
    timeout: TIMEOUT,
};

fn check(declaration: &Declaration) -> Result<(), String> {
    let properties = Properties(declaration);
    account_name(properties.named(&SCHEMA))?;
    let keys = properties.texts("keys").unwrap_or_default();
    match keys.iter().find(|key| key.contains('\n') || identity(key).is_none()) {
        Some(key) => Err(format!("`{key}` is no line of authorized_keys")),
        None => Ok(()),
    }
}

/// Returns type and blob of a line, which are what makes a key.
fn identity(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    // Options may hold spaces in quotes, but no word of theirs is a type.
    let is_type = |word: &str| {
        ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"].iter().any(|begin| word.starts_with(begin))
    };
    let mut words = line.split_ascii_whitespace();
    let kind = words.find(|word| is_type(word))?;
    Some((kind, words.next()?))
}

/// Returns type, the end of the blob and the comment: enough for people to tell keys apart.
fn shown(line: &str) -> String {
    let Some((kind, blob)) = identity(line) else { return "a line that is no key".to_owned() };
    let end: String = blob.chars().rev().take(8).collect::<Vec<_>>().into_iter().rev().collect();
    let comment = line.split(blob).nth(1).unwrap_or_default().trim();
    format!("{kind} …{end} {comment}").trim_end().to_owned()
}

struct Keys<'a> {
    user: &'a str,
    keys: Vec<&'a str>,
    exclusive: bool,
    removing: bool,
}

#[derive(Debug, Serialize)]
enum State {
    Lines {
        home: PathBuf,
        lines: Vec<String>,
    },
    /// The user does not exist yet.
    Planned,
}

fn read(view: View<'_>, user: &str) -> Result<State, Problem> {
    let home = match view.user(user)? {
        Known::Here(found) => PathBuf::from(found.home),
        Known::Planned | Known::Perhaps => return Ok(State::Planned),
        Known::No => return Err(Problem::Nobody { what: "user", name: user.to_owned() }),
    };
    let path = home.join(".ssh/authorized_keys");
    let lines = match view.host().look(&path)? {
        None => Vec::new(),
        Some(found) if !found.is_file() => {
            let (found, wanted) = (what_is(&found), "a regular file");
            return Err(Problem::Occupied { path, found, wanted, hint: "" });
        }
        Some(_) => {
            let bytes = view.host().read(&path, MAX_FILE_BYTES)?;
            String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
        }
    };
    Ok(State::Lines { home, lines })
}

/// Writes the lines with the user's rights, whole or not at all.
fn write(
    context: &mut Context<'_>,
    user: &str,
    home: &Path,
    lines: &[String],
) -> Result<(), Problem> {
    const SCRIPT: &str = "set -eu; umask 077; cd -- \"$1\"; mkdir -p .ssh; \
        new=$(mktemp .ssh/.authorized_keys.XXXXXX); trap 'rm -f -- \"$new\"' EXIT; \
        cat > \"$new\"; mv -T -- \"$new\" .ssh/authorized_keys; trap - EXIT";
    let home = home.to_string_lossy().into_owned();
    let arguments = ["/bin/sh", "-c", SCRIPT, "sh", &home].map(str::to_owned);
    let mut program = Program::new(arguments);
    program.user = Some(user.to_owned());
    program.input = lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes();
    context.run(&program)?.success(&program)
}

impl Keys<'_> {
    /// Returns the lines that should be there, those that come and those that go.
    fn edited(&self, lines: &[String]) -> (Vec<String>, Vec<String>, Vec<String>) {
        let wanted = |line: &str| {
            let found = self.keys.iter().find(|key| identity(key) == identity(line));
            found.filter(|_| identity(line).is_some())
        };
        // The same key with the same options: its comment is nobody's concern.
        let options = |line: &str| {
            let kind = identity(line).map_or("", |(kind, _)| kind);
            line.split(kind).next().unwrap_or_default().trim().to_owned()
        };
        let stays = |line: &&String| match (wanted(line), self.removing) {
            (Some(_), true) => false,
            (Some(key), false) => options(key) == options(line),
            (None, _) => !(self.exclusive && !self.removing && identity(line).is_some()),
        };
        let mut new: Vec<String> = lines.iter().filter(stays).cloned().collect();
        let gone = lines.iter().filter(|line| !stays(line)).cloned().collect();
        let mut come = Vec::new();
        for key in self.keys.iter().filter(|_| !self.removing) {
            if !new.iter().any(|line| identity(line) == identity(key)) {
                come.push((*key).to_owned());
                new.push((*key).to_owned());
            }
        }
        (new, come, gone)
    }
}

impl Resource for Keys<'_> {
    type State = State;

    fn read(&self, view: View<'_>) -> Result<State, Problem> {
        read(view, self.user)
    }

    fn diff(&self, have: &State) -> Difference {
        let (lines, mark) = match have {
            State::Lines { lines, .. } => (lines.as_slice(), Mark::Update),
            State::Planned if self.removing => return Difference::none(),
            State::Planned => (&[][..], Mark::Create),
        };
        let (_, come, gone) = self.edited(lines);
        let come = come.iter().map(|line| Change::said(format!("adds {}", shown(line))));
        let gone = gone.iter().map(|line| Change::said(format!("removes {}", shown(line))));
        Difference::of(mark, come.chain(gone).collect())
    }

    fn foresee(&self, _: &State) -> Foresight {
        Foresight::default()
    }

    fn prepare(
        &self,
        have: &State,
        previous: Option<&Record>,
        _: &mut Context<'_>,
    ) -> Result<Record, Problem> {
        let State::Lines { lines, .. } = have else { return Ok(Record::Null) };
        let (_, come, gone) = self.edited(lines);
        let mut made = match previous {
            Some(previous) => read_record(previous)?,
            None => Made { user: self.user.to_owned(), ..Made::default() },
        };
        // What was added by us and goes again is nothing that was found; the other way round too.
        let ours = |lines: &[String], line: &String| {
            lines.iter().any(|other| identity(other) == identity(line))
        };
        let found: Vec<String> =
            gone.iter().filter(|line| !ours(&made.come, line)).cloned().collect();
        made.come.retain(|line| !ours(&gone, line));
        made.come.extend(come.iter().filter(|line| !ours(&made.gone, line)).cloned());
        made.gone.retain(|line| !ours(&come, line));
        made.gone.extend(found);
        write_record(&made)
    }

    fn apply(&self, have: &State, context: &mut Context<'_>) -> Result<(), Problem> {
        match have {
            State::Lines { home, lines } => write(context, self.user, home, &self.edited(lines).0),
            State::Planned => Ok(()),
        }
    }
}

/// Lines that came and went.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Made {
    user: String,
    come: Vec<String>,
    gone: Vec<String>,
}

impl Made {
    fn back(&self, lines: &[String]) -> Vec<String> {
        let is_in =
            |all: &[String], line: &str| all.iter().any(|other| identity(other) == identity(line));
        let came = |line: &String| identity(line).is_some() && is_in(&self.come, line);
        let mut back: Vec<String> = lines.iter().filter(|line| !came(line)).cloned().collect();
        for line in &self.gone {
            if !is_in(&back, line) {
                back.push(line.clone());
            }
        }
        back
    }
}

fn undoing(record: &Record, view: View<'_>) -> Result<Undoing, Problem> {
    let made: Made = read_record(record)?;
    // A user that is gone has taken its keys along.
    if !matches!(view.user(&made.user)?, Known::Here(_)) {
        return Ok(Undoing::default());
    }
    let State::Lines { lines, .. } = read(view, &made.user)? else {
        return Ok(Undoing::default());
    };
    let changes = match made.back(&lines) == lines {
        true => Vec::new(),
        false => vec![Change::said("the keys that were found")],
    };
    Ok(Undoing { changes, gone: Vec::new() })
}

fn undo(record: &Record, context: &mut Context<'_>) -> Result<(), Problem> {
    let made: Made = read_record(record)?;
    if context.host.accounts()?.user(&made.user).is_none() {
        return Ok(());
    }
    match read(View::live(context.host), &made.user)? {
        State::Lines { home, lines } if made.back(&lines) != lines => {
            write(context, &made.user, &home, &made.back(&lines))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[&'static str], exclusive: bool) -> Keys<'static> {
        Keys { user: "deploy", keys: keys.to_vec(), exclusive, removing: false }
    }

    #[test]
    fn keys_are_compared_by_type_and_blob() {
        let lines = ["# mine", "ssh-ed25519 AAAA other comment", "ssh-rsa BBBB x"];
        let lines = lines.map(str::to_owned);
        let (new, come, gone) = keys(&["ssh-ed25519 AAAA me"], false).edited(&lines);
        assert_eq!((new.as_slice(), come.len(), gone.len()), (&lines[..], 0, 0));
        let (new, _, gone) = keys(&["ssh-ed25519 AAAA me"], true).edited(&lines);
        assert_eq!((new.as_slice(), gone.as_slice()), (&lines[..2], &lines[2..]));
        let restricted = "command=\"a b\" ssh-rsa BBBB x";
        let (new, come, _) = keys(&[restricted], false).edited(&lines);
        assert_eq!(new[2], restricted);
        assert_eq!(come, [restricted]);
    }

    #[test]
    fn a_key_is_told_by_its_end() {
        assert_eq!(shown("ssh-ed25519 AAAAC3NzaC1lZDI1 me@here"), "ssh-ed25519 …aC1lZDI1 me@here");
        assert_eq!(identity("# ssh-rsa A"), None);
        assert_eq!(identity("from=\"10.0.0.0/8\" ssh-rsa A"), Some(("ssh-rsa", "A")));
    }
}
