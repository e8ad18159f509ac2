//! `file`: a regular file with this content and these attributes.
//!
//! Compared by size, then by bytes; mode, owner and group only as far as they are given. A change of
//! content is a new file renamed into place ([`crate::replace`]), checked by `verify` before; a
//! change of attributes alone is made on the file itself.
//!
//! What was there before our first change is kept, whole, until the undo.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::Duration;

use resource::{Action, Declaration, Properties, Property, Schema, Shape};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::attributes::{Have, Names, Want};
use crate::before;
use crate::change::{Change, Difference, Mark};
use crate::command::Program;
use crate::kind::{Context, Kind, Record, Resource};
use crate::kinds::{equal_strength, relations_of_path, unchecked};
use crate::problem::Problem;
use crate::replace::Staged;
use crate::shadow::{Foreseen, Foresight, Known, Owner, View, what_is};

/// Largest file that is read although its size already says that it differs: for the diff, and for
/// the digest of a saved plan.
const MAX_SHOWN_BYTES: u64 = 1 << 20;
/// What everybody may do with a new file whose mode is not given.
const DEFAULT_MODE: u32 = 0o644;
/// The same of a file whose content is sensitive.
const SENSITIVE_MODE: u32 = 0o600;
/// How long writing a file and checking it may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

pub(super) const PATH: Property = Property {
    name: "path",
    shape: Shape::Path,
    required: true,
    secret: false,
    text: "Where it is.",
};
pub(super) const CONTENT: Property = Property {
    name: "content",
    shape: Shape::Content,
    required: false,
    secret: true,
    text: "What is in it. Not given: what is there stays, and a new file is empty.",
};
pub(super) const MODE: Property = Property {
    name: "mode",
    shape: Shape::Mode,
    required: false,
    secret: false,
    text: "Its permissions. Not given: they stay; a new file has 0644, one with a secret 0600.",
};
pub(super) const OWNER: Property = Property {
    name: "owner",
    shape: Shape::Text,
    required: false,
    secret: false,
    text: "Its user, by name or number. Not given: stays.",
};
pub(super) const GROUP: Property = Property {
    name: "group",
    shape: Shape::Text,
    required: false,
    secret: false,
    text: "Its group, by name or number. Not given: stays.",
};
pub(super) const VERIFY: Property = Property {
    name: "verify",
    shape: Shape::ListOf(&Shape::Text),
    required: false,
    secret: false,
    text: "A command that checks a new content before it is in place; `{path}` in it is where the \
           content is. A list is a program with its arguments, one text a line for the shell.",
};
pub(super) const FORCE: Property = Property {
    name: "force",
    shape: Shape::Bool,
    required: false,
    secret: false,
    text: "Whether a link, a socket or a pipe at the path is replaced. A directory never is.",
};
pub(super) const BACKUP: Property = Property {
    name: "backup",
    shape: Shape::Bool,
    required: false,
    secret: false,
    text: "Whether what was there before is kept for the undo; it is if nothing is said.",
};
pub(super) const ACTIONS: &[Action] = &[
    Action { name: "create", text: "Makes it, or makes it so." },
    Action { name: "create_if_missing", text: "Makes it if nothing is there." },
    Action { name: "delete", text: "Takes it away." },
];
pub(super) const IDEMPOTENCE: &str =
    "The size and then the bytes are compared; mode, owner and group only if they are given.";
pub(super) const UNDO: &str =
    "A file that was made is removed; one that was overwritten or deleted is brought back.";

static SCHEMA: Schema = Schema {
    kind: "file",
    summary: "A regular file with this content and these permissions.",
    idempotence: IDEMPOTENCE,
    undo: UNDO,
    named: "path",
    actions: ACTIONS,
    properties: &[PATH, CONTENT, MODE, OWNER, GROUP, VERIFY, FORCE, BACKUP],
    relations: |declaration| {
        let path = Properties(declaration).named(&SCHEMA);
        relations_of_path(Path::new(path), declaration)
    },
};

/// The kind.
pub(super) static KIND: Kind = Kind {
    schema: &SCHEMA,
    check: unchecked,
    bind: |declaration, action| Box::new(File::of(declaration, action, &SCHEMA)),
    undoing: before::undoing,
    undo: before::undo,
    strength: equal_strength,
    records: "file",
    timeout: TIMEOUT,
};

/// A declared file.
#[derive(Debug)]
pub(super) struct File<'a> {
    path: PathBuf,
    properties: Properties<'a>,
    action: &'a str,
    /// Whether the content must not be shown.
    sensitive: bool,
}

impl<'a> File<'a> {
    pub(super) fn of(declaration: &'a Declaration, action: &'a str, schema: &Schema) -> Self {
        let properties = Properties(declaration);
        Self {
            path: PathBuf::from(properties.named(schema)),
            properties,
            action,
            sensitive: declaration.is_sensitive(),
        }
    }

    fn content(&self) -> Option<&'a [u8]> {
        self.properties.content("content")
    }

    fn refuse(&self, found: &Metadata) -> Result<(), Problem> {
        let force = self.properties.bool("force", false);
        if found.is_file() || (force && !found.is_dir()) {
            return Ok(());
        }
        let hint = if found.is_dir() { "" } else { "; `force = True` replaces it" };
        Err(Problem::Occupied {
            path: self.path.clone(),
            found: what_is(found),
            wanted: "a regular file",
            hint,
        })
    }

    fn read_content(&self, view: View<'_>, found: &Metadata) -> Result<Content, Problem> {
        let Some(wanted) = self.content() else { return Ok(Content::Unasked) };
        let size = found.len();
        if size != wanted.len() as u64 && size > MAX_SHOWN_BYTES {
            return Ok(Content::Large { size });
        }
        // It may grow while it is read.
        let limit = MAX_SHOWN_BYTES.max(wanted.len() as u64) + 1;
        Ok(Content::Bytes(view.host().read(&self.path, limit)?))
    }
}

/// What is at the path.
#[derive(Debug, Serialize)]
pub(super) struct State {
    found: Found,
    #[serde(skip)]
    want: Want,
    #[serde(skip)]
    names: Names,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Found {
    Nothing,
    File {
        have: Have,
        content: Content,
    },
    /// Something else, which is to be replaced or deleted.
    Other {
        what: &'static str,
    },
    Perhaps,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Content {
    /// Nobody wants to know.
    Unasked,
    #[serde(serialize_with = "digest")]
    Bytes(Vec<u8>),
    Large {
        size: u64,
    },
}

/// Feeds a digest instead of the bytes: the state of a large file stays small.
fn digest<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(&Sha256::digest(bytes))
}

impl Resource for File<'_> {
    type State = State;

    fn read(&self, view: View<'_>) -> Result<State, Problem> {
        let deleting = self.action == "delete";
        let found = match view.own_path(&self.path)? {
            Known::No => Found::Nothing,
            Known::Planned | Known::Perhaps => Found::Perhaps,
            Known::Here(found) if deleting && found.is_dir() => {
                return Err(self.refuse(&found).err().unwrap_or_else(|| {
                    Problem::Refused(format!("`{}` is a directory", self.path.display()))
                }));
            }
            Known::Here(found) if deleting || self.action == "create_if_missing" => {
                Found::File { have: Have::of(&found), content: Content::Unasked }
            }
            Known::Here(found) => {
                self.refuse(&found)?;
                match found.is_file() {
                    true => Found::File {
                        have: Have::of(&found),
                        content: self.read_content(view, &found)?,
                    },
                    false => Found::Other { what: what_is(&found) },
                }
            }
        };
        if deleting {
            let want = Want { mode: None, owner: Owner::Any, group: Owner::Any };
            return Ok(State { found, want, names: Names::default() });
        }
        if matches!(found, Found::Nothing) {
            view.needs_directory_of(&self.path)?;
        }
        let want = Want::of(self.properties, view)?;
        let have = match &found {
            Found::File { have, .. } => Some(*have),
            _ => None,
        };
        let names = Names::of(view.host(), have, self.properties)?;
        Ok(State { found, want, names })
    }

    fn diff(&self, state: &State) -> Difference {
        let new = || {
            let mut changes = state.want.of_new(&state.names);
            let content = self.content().unwrap_or_default();
            changes.push(Change::content(b"", content, self.sensitive));
            changes
        };
        match (&state.found, self.action) {
            (Found::Nothing, "delete") | (Found::File { .. }, "create_if_missing") => {
                Difference::none()
            }
            (Found::File { .. } | Found::Other { .. }, "delete") => {
                Difference::of(Mark::Delete, vec![Change::said("removed")])
            }
            (Found::Perhaps, _) => {
                Difference::of(Mark::Perhaps, vec![Change::said("made by what comes before")])
            }
            (Found::Nothing, _) => Difference::of(Mark::Create, new()),
            (Found::Other { what }, _) => {
                let mut changes = vec![Change::said(format!("replaces {what}"))];
                changes.extend(new());
                Difference::of(Mark::Update, changes)
            }
            (Found::File { have, content }, _) => {
                let mut changes = state.want.diff(*have, &state.names);
                let wanted = self.content().unwrap_or_default();
                match content {
                    Content::Unasked => {}
                    Content::Bytes(bytes) if bytes == wanted => {}
                    Content::Bytes(bytes) => {
                        changes.push(Change::content(bytes, wanted, self.sensitive));
                    }
                    Content::Large { .. } if self.sensitive => changes.push(Change::Sensitive),
                    Content::Large { size } => {
                        let (old, new) =
                            (format!("{size} bytes"), format!("{} bytes", wanted.len()));
                        changes.push(Change::attribute("content", Some(old), new));
                    }
                }
                Difference::of(Mark::Update, changes)
            }
        }
    }

    fn foresee(&self, _: &State) -> Foresight {
        let foreseen = match self.action {
            "delete" => Foreseen::Absent,
            _ => Foreseen::Present,
        };
        Foresight::path(&self.path, foreseen)
    }

    fn prepare(
        &self,
        _: &State,
        previous: Option<&Record>,
        context: &mut Context<'_>,
    ) -> Result<Record, Problem> {
        let keep = self.properties.bool("backup", true);
        before::prepare(&self.path, keep, previous, context)
    }

    fn apply(&self, state: &State, context: &mut Context<'_>) -> Result<(), Problem> {
        let held = context.hold(&self.path)?;
        if self.action == "delete" {
            return before::remove(&held);
        }
        let have = match &state.found {
            Found::File { have, content } => {
                let same = match content {
                    Content::Unasked => true,
                    Content::Bytes(bytes) => Some(&bytes[..]) == self.content(),
                    Content::Large { .. } => false,
                };
                if same {
                    return state.want.set(&held, *have);
                }
                Some(*have)
            }
            _ => None,
        };
        let staged = Staged::write(&held, self.content().unwrap_or_default())?;
        staged.set(&self.attributes(&state.want, have))?;
        self.verify(&staged, context)?;
        staged.place()
    }
}

impl File<'_> {
    /// Returns the attributes of the file that takes the place of one that has these.
    fn attributes(&self, want: &Want, have: Option<Have>) -> Want {
        let new = if self.sensitive { SENSITIVE_MODE } else { DEFAULT_MODE };
        let mode = want.mode.unwrap_or(have.map_or(new, |have| have.mode));
        let or_had = |owner: &Owner, had: Option<u32>| match (owner, had) {
            (Owner::Any, Some(id)) => Owner::Id(id),
            (owner, _) => owner.clone(),
        };
        Want {
            mode: Some(mode),
            owner: or_had(&want.owner, have.map(|have| have.uid)),
            group: or_had(&want.group, have.map(|have| have.gid)),
        }
    }

    fn verify(&self, staged: &Staged<'_>, context: &mut Context<'_>) -> Result<(), Problem> {
        let Some(command) = self.properties.texts("verify") else { return Ok(()) };
        let path = staged.shown();
        let path = path.to_string_lossy();
        let arguments: Vec<String> =
            command.iter().map(|argument| argument.replace("{path}", &path)).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut program = Program::declared(&arguments);
        program.user = context.user.map(str::to_owned);
        context.run(&program)?.success(&program)
    }
}
