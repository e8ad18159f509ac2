//! `directory`: a directory with these attributes; what is in it is nobody's concern here.
//!
//! `recursive` makes the directories above that are missing, with 0755 and the owner of this
//! process: the given attributes are those of the last one. A directory with something in it is
//! deleted with `recursive` only.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use disk::{DiskError, PathContext};
use resource::{Action, Declaration, Properties, Property, Schema, Shape, Thing};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::attributes::{Have, Names, Want};
use crate::change::{Change, Difference, Mark};
use crate::held::Held;
use crate::kind::{Context, Kind, Record, Resource, Undoing, read_record, write_record};
use crate::kinds::file::{GROUP, OWNER, PATH};
use crate::kinds::{equal_strength, relations_of_path, unchecked};
use crate::problem::Problem;
use crate::replace::beside;
use crate::shadow::{Foreseen, Foresight, Known, Owner, View, missing, what_is};

/// What everybody may do in a new directory whose mode is not given.
const DEFAULT_MODE: u32 = 0o755;
/// How long it may take: deleting a large tree is the slowest.
const TIMEOUT: Duration = Duration::from_secs(600);

static SCHEMA: Schema = Schema {
    kind: "directory",
    summary: "A directory with these permissions.",
    idempotence: "That a directory is there; mode, owner and group only if they are given. Never \
                  what is in it.",
    undo: "The directories that were made are removed if they are empty; changed permissions are \
           brought back. What was deleted with its content is gone.",
    named: "path",
    actions: &[
        Action { name: "create", text: "Makes it, or makes it so." },
        Action { name: "delete", text: "Takes it away; with content only if `recursive`." },
    ],
    properties: &[
        PATH,
        Property {
            name: "mode",
            shape: Shape::Mode,
            required: false,
            secret: false,
            text: "Its permissions. Not given: they stay; a new one has 0755.",
        },
        OWNER,
        GROUP,
        Property {
            name: "recursive",
            shape: Shape::Bool,
            required: false,
            secret: false,
            text: "Whether those above are made too, or what is in it deleted too.",
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
    check: unchecked,
    bind: |declaration, action| Box::new(Directory::of(declaration, action)),
    undoing,
    undo,
    strength: equal_strength,
    records: "directory",
    timeout: TIMEOUT,
};

struct Directory<'a> {
    path: PathBuf,
    properties: Properties<'a>,
    deleting: bool,
    recursive: bool,
}

#[derive(Debug, Serialize)]
struct State {
    found: Found,
    #[serde(skip)]
    want: Want,
    #[serde(skip)]
    names: Names,
}

#[derive(Debug, Serialize)]
enum Found {
    Nothing,
    Directory(Have),
    Perhaps,
}

impl<'a> Directory<'a> {
    fn of(declaration: &'a Declaration, action: &str) -> Self {
        let properties = Properties(declaration);
        Self {
            path: PathBuf::from(properties.named(&SCHEMA)),
            properties,
            deleting: action == "delete",
            recursive: properties.bool("recursive", false),
        }
    }

    /// Returns the directories that are missing, the uppermost first.
    fn missing(&self, view: View<'_>) -> Result<Vec<PathBuf>, Problem> {
        match self.recursive {
            true => missing(view, &self.path),
            false => Ok(vec![self.path.clone()]),
        }
    }
}

impl Resource for Directory<'_> {
    type State = State;

    fn read(&self, view: View<'_>) -> Result<State, Problem> {
        let found = match view.own_path(&self.path)? {
            Known::No => Found::Nothing,
            Known::Planned | Known::Perhaps => Found::Perhaps,
            Known::Here(found) if found.is_dir() => Found::Directory(Have::of(&found)),
            Known::Here(found) => {
                return Err(Problem::Occupied {
                    path: self.path.clone(),
                    found: what_is(&found),
                    wanted: "a directory",
                    hint: "",
                });
            }
        };
        if self.deleting {
            let want = Want { mode: None, owner: Owner::Any, group: Owner::Any };
            return Ok(State { found, want, names: Names::default() });
        }
        if matches!(found, Found::Nothing) && !self.recursive {
            view.needs_directory_of(&self.path)?;
        }
        let want = Want::of(self.properties, view)?;
        let have = match &found {
            Found::Directory(have) => Some(*have),
            _ => None,
        };
        let names = Names::of(view.host(), have, self.properties)?;
        Ok(State { found, want, names })
    }

    fn diff(&self, state: &State) -> Difference {
        match (&state.found, self.deleting) {
            (Found::Nothing, true) => Difference::none(),
            (Found::Directory(_), true) => {
                let text =
                    if self.recursive { "removed with all that is in it" } else { "removed" };
                Difference::of(Mark::Delete, vec![Change::said(text)])
            }
            (Found::Perhaps, _) => {
                Difference::of(Mark::Perhaps, vec![Change::said("made by what comes before")])
            }
            (Found::Nothing, false) => {
                let mut changes = state.want.of_new(&state.names);
                if changes.is_empty() {
                    changes.push(Change::said("made"));
                }
                Difference::of(Mark::Create, changes)
            }
            (Found::Directory(have), false) => {
                Difference::of(Mark::Update, state.want.diff(*have, &state.names))
            }
        }
    }

    fn foresee(&self, _: &State) -> Foresight {
        if self.deleting {
            return Foresight::path(&self.path, Foreseen::Absent);
        }
        let mut foresight = Foresight::path(&self.path, Foreseen::Present);
        if self.recursive {
            let above = self.path.ancestors().skip(1);
            let present = |path: &Path| (Thing::Path(path.to_owned()), Foreseen::Present);
            foresight.things.extend(above.map(present));
        }
        foresight
    }

    fn prepare(
        &self,
        state: &State,
        previous: Option<&Record>,
        context: &mut Context<'_>,
    ) -> Result<Record, Problem> {
        let mut made = match previous {
            Some(previous) => read_record(previous)?,
            None => Made { path: self.path.clone(), made: Vec::new(), before: None },
        };
        match state.found {
            Found::Nothing if !self.deleting => {
                let new = self.missing(View::live(context.host))?;
                let known = std::mem::take(&mut made.made);
                made.made = new.into_iter().filter(|path| !known.contains(path)).collect();
                made.made.splice(0..0, known);
                // They were in the order from above, and are: paths sort before what is below them.
                made.made.sort();
            }
            Found::Directory(have) if previous.is_none() => made.before = Some(have),
            _ => {}
        }
        write_record(&made)
    }

    fn apply(&self, state: &State, context: &mut Context<'_>) -> Result<(), Problem> {
        if self.deleting {
            let held = context.hold(&self.path)?;
            let removed = match self.recursive {
                true => disk::remove_tree(held.path()).map_err(|error| held.named(error)),
                false => Ok(fs::remove_dir(held.path()).context("remove", held.shown())?),
            };
            removed?;
            return held.sync();
        }
        if let Found::Directory(have) = state.found {
            return state.want.set(&context.hold(&self.path)?, have);
        }
        for path in self.missing(View::live(context.host))? {
            let want = match path == self.path {
                true => Want {
                    mode: Some(state.want.mode.unwrap_or(DEFAULT_MODE)),
                    ..state.want.clone()
                },
                false => Want { mode: Some(DEFAULT_MODE), owner: Owner::Any, group: Owner::Any },
            };
            make(&context.hold(&path)?, &want)?;
        }
        Ok(())
    }
}

/// Makes one directory. It is made beside its place and renamed when its attributes are right:
/// nobody enters before, and a crash leaves none with others.
fn make(held: &Held, want: &Want) -> Result<(), Problem> {
    let (path, shown) = (held.path(), held.shown());
    let beside = beside(path);
    // What a killed run left is empty.
    let _ = fs::remove_dir(&beside);
    fs::DirBuilder::new().mode(0o700).create(&beside).context("create directory", shown)?;
    let place = || -> Result<(), Problem> {
        // What is there now may be somebody else's, in a directory of theirs: never through a link.
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut options = fs::OpenOptions::new();
        options.read(true).custom_flags(flags.bits() as i32);
        let opened = options.open(&beside).context("open", shown)?;
        let found = opened.metadata().context("look at", shown)?;
        want.set_on(&opened, shown, Have::of(&found))?;
        Ok(fs::rename(&beside, path).context("create directory", shown)?)
    };
    if let Err(problem) = place() {
        let _ = fs::remove_dir(&beside);
        return Err(problem);
    }
    held.sync()
}

/// What was made or changed.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    path: PathBuf,
    /// Directories that were not there, the uppermost first.
    made: Vec<PathBuf>,
    /// The attributes of one that was.
    before: Option<Have>,
}

fn undoing(record: &Record, view: View<'_>) -> Result<Undoing, Problem> {
    let made: Made = read_record(record)?;
    let mut undoing = Undoing::default();
    if !made.made.is_empty() && matches!(view.own_path(&made.path)?, Known::Here(_)) {
        undoing.changes.push(Change::said("removed if it is empty"));
    }
    if let (Some(before), Known::Here(found)) = (made.before, view.own_path(&made.path)?) {
        let (now, then) = (Have::of(&found), before);
        if now != then {
            let (old, new) = (format!("{:04o}", now.mode), format!("{:04o}", then.mode));
            undoing.changes.push(Change::attribute("mode", Some(old), new));
        }
    }
    Ok(undoing)
}

fn undo(record: &Record, context: &mut Context<'_>) -> Result<(), Problem> {
    let made: Made = read_record(record)?;
    if let Some(before) = made.before
        && let Some(found) = context.host.look(&made.path)?.filter(fs::Metadata::is_dir)
    {
        Want::back(before).set(&context.hold(&made.path)?, Have::of(&found))?;
    }
    for path in made.made.iter().rev() {
        if context.host.look(path)?.is_none() {
            continue;
        }
        let held = context.hold(path)?;
        match fs::remove_dir(held.path()) {
            Ok(()) => held.sync()?,
            // Somebody else's things are in it: it is theirs now. Gone, or no directory any more:
            // nothing of ours.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty
                        | io::ErrorKind::NotFound
                        | io::ErrorKind::NotADirectory
                        | io::ErrorKind::ResourceBusy
                ) => {}
            Err(error) => return Err(DiskError::new("remove", held.shown(), error).into()),
        }
    }
    Ok(())
}
