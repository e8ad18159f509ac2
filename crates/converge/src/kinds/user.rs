//! `user`: an account of this machine.
//!
//! Only what is given is compared. Changes are made by `useradd`, `usermod`, `chpasswd` and `userdel`;
//! a password's hash goes through standard input, never through an argument. A user is never renamed,
//! and its number never changes while a process of it runs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use resource::{Action, Declaration, Properties, Property, Relations, Schema, Shape, Thing};
use serde::{Deserialize, Serialize};

use crate::change::{Change, Difference, Mark};
use crate::command::Program;
use crate::host::User as Account;
use crate::kind::{Context, Kind, Record, Resource, Undoing, read_record, write_record};
use crate::kinds::file::TIMEOUT;
use crate::kinds::{account_name, equal_strength};
use crate::problem::Problem;
use crate::shadow::{Foreseen, Foresight, Known, Owner, View};

const fn text(name: &'static str, shape: Shape, text: &'static str) -> Property {
    Property { name, shape, required: false, secret: false, text }
}

static SCHEMA: Schema = Schema {
    kind: "user",
    summary: "A user of this machine.",
    idempotence: "`/etc/passwd`, `/etc/group` and, for a password, `/etc/shadow` are read; only what \
                  is given is compared.",
    undo: "A user that was made is removed, with a home that holds nothing of its own; a changed one \
           gets back what it had.",
    named: "username",
    actions: &[
        Action { name: "create", text: "Makes it, or makes it so." },
        Action { name: "remove", text: "Takes it away; its home stays." },
    ],
    properties: &[
        text("username", Shape::Text, "Its name."),
        text("uid", Shape::Count, "Its number. Not given: the system chooses one."),
        text("group", Shape::Text, "Its primary group. Not given: one of its own name."),
        text("groups", Shape::ListOf(&Shape::Text), "Its further groups: just these."),
        text("home", Shape::Path, "Its home directory."),
        text("shell", Shape::Path, "Its shell."),
        text("comment", Shape::Text, "Its full name, or what it is for."),
        text("system", Shape::Bool, "Whether a new one gets a number from the system's range."),
        text("manage_home", Shape::Bool, "Whether a new one's home is made."),
        text("locked", Shape::Bool, "Whether its password is locked."),
        Property {
            name: "password_hash",
            shape: Shape::Text,
            required: false,
            secret: true,
            text: "Its password, as `crypt` hashes it.",
        },
    ],
    relations: |declaration| {
        let properties = Properties(declaration);
        let name = properties.named(&SCHEMA).to_owned();
        if declaration.action == "remove" {
            return Relations::default();
        }
        let primary = properties.text("group").map_or_else(|| name.clone(), str::to_owned);
        let mut provides = vec![Thing::User(name)];
        if properties.text("group").is_none() {
            provides.push(Thing::Group(primary.clone()));
        }
        let groups = properties.texts("groups").filter(|_| properties.get("groups").is_some());
        let groups = groups.unwrap_or_default().into_iter().map(str::to_owned).chain([primary]);
        Relations { provides, needs: groups.map(Thing::Group).collect() }
    },
};

/// The kind.
pub(super) static KIND: Kind = Kind {
    schema: &SCHEMA,
    check: |declaration| account_name(Properties(declaration).named(&SCHEMA)),
    bind: |declaration, action| Box::new(User::of(declaration, action)),
    undoing,
    undo,
    strength: equal_strength,
    records: "user",
    timeout: TIMEOUT,
};

struct User<'a> {
    name: &'a str,
    properties: Properties<'a>,
    groups: Option<Vec<&'a str>>,
    removing: bool,
}

#[derive(Debug, Serialize)]
enum State {
    Absent,
    Here(Box<Here>),
    Perhaps,
}

/// An account and everything about it that may be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Here {
    uid: u32,
    gid: u32,
    comment: String,
    home: String,
    shell: String,
    /// In the order of names.
    groups: Vec<String>,
    /// The field of `/etc/shadow`, if somebody asks for it.
    password: Option<String>,
    #[serde(skip)]
    wanted_gid: Option<u32>,
}

impl<'a> User<'a> {
    fn of(declaration: &'a Declaration, action: &str) -> Self {
        let properties = Properties(declaration);
        Self {
            name: properties.named(&SCHEMA),
            properties,
            groups: properties.get("groups").and_then(|_| properties.texts("groups")),
            removing: action == "remove",
        }
    }

    fn uid(&self) -> Option<u32> {
        self.properties.count("uid").and_then(|uid| u32::try_from(uid).ok())
    }

    /// Returns the further groups that it should have, if they are others.
    fn groups_due(&self, have: &[String]) -> Option<String> {
        let mut wanted: Vec<&str> = self.groups.clone()?;
        wanted.sort_unstable();
        wanted.dedup();
        (wanted != have).then(|| wanted.join(","))
    }

    /// Returns the options of `usermod` that make it so, and what they change.
    fn due(&self, have: &Here) -> Vec<(&'static str, Change, String)> {
        let mut due = Vec::new();
        let mut differs = |option, name: &str, old: String, new: Option<String>| {
            if let Some(new) = new.filter(|new| *new != old) {
                due.push((option, Change::attribute(name, Some(old), new.clone()), new));
            }
        };
        let given = |name| self.properties.text(name).map(str::to_owned);
        differs("-u", "uid", have.uid.to_string(), self.uid().map(|uid| uid.to_string()));
        let gid = given("group").and(have.wanted_gid).map(|gid| gid.to_string());
        differs("-g", "gid", have.gid.to_string(), gid);
        differs("-c", "comment", have.comment.clone(), given("comment"));
        differs("-d", "home", have.home.clone(), given("home"));
        differs("-s", "shell", have.shell.clone(), given("shell"));
        if let Some(groups) = self.groups_due(&have.groups) {
            differs("-G", "groups", have.groups.join(","), Some(groups));
        }
        due
    }

    fn password_change(&self, have: Option<&Here>) -> Option<Change> {
        let want = self.properties.text("password_hash")?;
        let have =
            have.and_then(|have| have.password.as_deref()).map(|p| p.trim_start_matches('!'));
        (have != Some(want)).then_some(Change::Said { text: "password changed (sensitive)".into() })
    }

    fn lock_change(&self, have: Option<&Here>) -> Option<bool> {
        let Some(resource::Value::Bool(want)) = self.properties.get("locked") else { return None };
        let locked = have.and_then(|have| have.password.as_deref());
        (locked.is_some_and(|password| password.starts_with('!')) != *want).then_some(*want)
    }
}

impl Resource for User<'_> {
    type State = State;

    fn read(&self, view: View<'_>) -> Result<State, Problem> {
        let found = match view.own_user(self.name)? {
            Known::Here(found) => found,
            Known::No => return Ok(State::Absent),
            Known::Planned | Known::Perhaps => return Ok(State::Perhaps),
        };
        let group = if self.removing { None } else { self.properties.text("group") };
        let wanted_gid = Owner::group(view, group)?.id();
        let asks = |name| self.properties.get(name).is_some();
        let password = match asks("password_hash") || asks("locked") {
            true => password_field(view, self.name)?,
            false => None,
        };
        Ok(State::Here(Box::new(Here { password, wanted_gid, ..here(view, &found)? })))
    }

    fn diff(&self, have: &State) -> Difference {
        match have {
            State::Absent if self.removing => Difference::none(),
            State::Here(_) if self.removing => {
                Difference::of(Mark::Delete, vec![Change::said("removed")])
            }
            State::Perhaps => {
                Difference::of(Mark::Perhaps, vec![Change::said("made by what comes before")])
            }
            State::Absent => {
                let mut changes = vec![Change::said("made")];
                for name in ["uid", "group", "home", "shell", "comment"] {
                    let value = self.properties.text(name).map(str::to_owned);
                    let value = value
                        .or_else(|| self.uid().filter(|_| name == "uid").map(|u| u.to_string()));
                    changes.extend(value.map(|v| Change::attribute(name, None::<String>, v)));
                }
                if let Some(groups) = self.groups_due(&[]) {
                    changes.push(Change::attribute("groups", None::<String>, groups));
                }
                Difference::of(Mark::Create, changes)
            }
            State::Here(have) => {
                let mut changes: Vec<Change> =
                    self.due(have).into_iter().map(|(_, change, _)| change).collect();
                changes.extend(self.password_change(Some(have)));
                if let Some(lock) = self.lock_change(Some(have)) {
                    changes.push(Change::said(if lock { "locked" } else { "unlocked" }));
                }
                Difference::of(Mark::Update, changes)
            }
        }
    }

    fn foresee(&self, have: &State) -> Foresight {
        if let State::Here(have) = have
            && !self.removing
            && self.uid().is_none_or(|uid| uid == have.uid)
        {
            // Who owns what stays the same.
            return Foresight::default();
        }
        let foreseen = if self.removing { Foreseen::Absent } else { Foreseen::Present };
        let mut things = vec![(Thing::User(self.name.to_owned()), foreseen)];
        if !self.removing {
            if self.properties.text("group").is_none() {
                things.push((Thing::Group(self.name.to_owned()), foreseen));
            }
            if self.properties.bool("manage_home", false) {
                let home = self.properties.text("home").map(str::to_owned);
                let home = home.unwrap_or_else(|| format!("/home/{}", self.name));
                things.push((Thing::Path(home.into()), foreseen));
            }
        }
        Foresight { things, anything: false }
    }

    fn prepare(
        &self,
        have: &State,
        previous: Option<&Record>,
        context: &mut Context<'_>,
    ) -> Result<Record, Problem> {
        if let Some(previous) = previous {
            return Ok(previous.clone());
        }
        let before = match have {
            State::Here(have) => {
                // The hash itself is not kept: the ledger holds no secrets.
                Some(Here { password: None, ..(**have).clone() })
            }
            _ => None,
        };
        let home = self.properties.text("home").map(str::to_owned);
        let home = home.unwrap_or_else(|| format!("/home/{}", self.name));
        let new_home = before.is_none()
            && self.properties.bool("manage_home", false)
            && context.host.look(Path::new(&home))?.is_none();
        let home_made = new_home.then_some(home);
        write_record(&Made { name: self.name.to_owned(), before, home_made })
    }

    fn apply(&self, have: &State, context: &mut Context<'_>) -> Result<(), Problem> {
        if self.removing {
            return context.tool(&["userdel", self.name]);
        }
        match have {
            State::Here(have) => {
                let due = self.due(have);
                if let Some((_, _, uid)) = due.iter().find(|(option, ..)| *option == "-u")
                    && let Some(pid) = process_of(have.uid)
                {
                    let text = format!(
                        "`{}` cannot become uid {uid} while process {pid} runs as uid {}",
                        self.name, have.uid
                    );
                    return Err(Problem::Refused(text));
                }
                if !due.is_empty() {
                    let options = due.iter().flat_map(|(option, _, value)| [*option, value]);
                    let command: Vec<&str> =
                        ["usermod"].into_iter().chain(options).chain([self.name]).collect();
                    context.tool(&command)?;
                }
            }
            _ => self.add(context)?,
        }
        let have = match have {
            State::Here(have) => Some(&**have),
            _ => None,
        };
        if self.password_change(have).is_some() {
            let hash = self.properties.text("password_hash").unwrap_or_default();
            let mut program = Program::new(["chpasswd", "-e"].map(str::to_owned));
            program.input = format!("{}:{hash}\n", self.name).into_bytes();
            context.run(&program)?.success(&program)?;
        }
        let now = password_field(View::live(context.host), self.name)?;
        let locked = now.is_some_and(|password| password.starts_with('!'));
        match self.properties.get("locked") {
            Some(resource::Value::Bool(want)) if *want != locked => {
                context.tool(&["usermod", if *want { "-L" } else { "-U" }, self.name])
            }
            _ => Ok(()),
        }
    }
}

impl User<'_> {
    fn add(&self, context: &mut Context<'_>) -> Result<(), Problem> {
        let uid = self.uid().map(|uid| uid.to_string());
        let groups = self.groups_due(&[]);
        let given = |name| self.properties.text(name);
        // A group of its name that is there already is its group.
        let own = context.host.accounts()?.group(self.name).map(|_| self.name);
        let mut command = vec!["useradd"];
        for (option, value) in [
            ("-u", uid.as_deref()),
            ("-g", given("group").or(own)),
            ("-G", groups.as_deref()),
            ("-d", given("home")),
            ("-s", given("shell")),
            ("-c", given("comment")),
        ] {
            if let Some(value) = value {
                command.extend([option, value]);
            }
        }
        if self.properties.bool("system", false) {
            command.push("-r");
        }
        let home = self.properties.bool("manage_home", false);
        command.push(if home { "-m" } else { "-M" });
        command.push(self.name);
        context.tool(&command)
    }
}

fn here(view: View<'_>, found: &Account) -> Result<Here, Problem> {
    let accounts = view.host().accounts()?;
    let groups = accounts.groups_of(&found.name).into_iter().map(|group| group.name.clone());
    Ok(Here {
        uid: found.uid,
        gid: found.gid,
        comment: found.comment.clone(),
        home: found.home.clone(),
        shell: found.shell.clone(),
        groups: groups.collect(),
        password: None,
        wanted_gid: None,
    })
}

/// Returns the password field of `/etc/shadow`.
fn password_field(view: View<'_>, name: &str) -> Result<Option<String>, Problem> {
    /// Largest shadow file that is read.
    const MAX_BYTES: u64 = 64 << 20;
    let path = Path::new("/etc/shadow");
    if view.host().look(path)?.is_none() {
        return Ok(None);
    }
    let bytes = view.host().read(path, MAX_BYTES)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(found, _)| *found == name);
    Ok(found.and_then(|(_, rest)| rest.split(':').next()).map(str::to_owned))
}

/// Returns a process that runs as a user.
fn process_of(uid: u32) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    processes
        .filter(|entry| entry.metadata().is_ok_and(|found| found.uid() == uid))
        .find_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What the user was before.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    name: String,
    /// Absent: it was not there.
    before: Option<Here>,
    /// A home that was made with it.
    home_made: Option<String>,
}

fn undoing(record: &Record, view: View<'_>) -> Result<Undoing, Problem> {
    let made: Made = read_record(record)?;
    let (found, gone) = (view.own_user(&made.name)?, vec![Thing::User(made.name.clone())]);
    Ok(match (&made.before, found) {
        (None, Known::Here(_)) => Undoing { changes: vec![Change::said("removed")], gone },
        (Some(before), Known::Here(found)) if here(view, &found)? != *before => {
            Undoing { changes: vec![Change::said("as it was before")], gone: Vec::new() }
        }
        (Some(_), Known::No) => {
            Undoing { changes: vec![Change::said("made again")], gone: Vec::new() }
        }
        _ => Undoing::default(),
    })
}

fn undo(record: &Record, context: &mut Context<'_>) -> Result<(), Problem> {
    let made: Made = read_record(record)?;
    let found = context.host.accounts()?.user(&made.name).cloned();
    let Some(before) = &made.before else {
        if found.is_some() {
            context.tool(&["userdel", &made.name])?;
        }
        if let Some(home) = &made.home_made {
            remove_unused(&context.real(Path::new(home)), &context.real(Path::new("/etc/skel")));
        }
        return Ok(());
    };
    let (uid, gid, groups) =
        (before.uid.to_string(), before.gid.to_string(), before.groups.join(","));
    let command = if found.is_some() { "usermod" } else { "useradd" };
    context.tool(&[
        command,
        "-u",
        &uid,
        "-g",
        &gid,
        "-G",
        &groups,
        "-c",
        &before.comment,
        "-d",
        &before.home,
        "-s",
        &before.shell,
        &made.name,
    ])
}

/// Removes a home in which nothing is but what `useradd` put there. Anything else is its user's:
/// the home stays, and so does what could not be removed.
fn remove_unused(home: &Path, skeleton: &Path) {
    let Ok(entries) = fs::read_dir(home) else { return };
    let same = |path: &Path, name: &std::ffi::OsStr| {
        let regular = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
        regular
            && matches!((fs::read(path), fs::read(skeleton.join(name))), (Ok(a), Ok(b)) if a == b)
    };
    let entries: Vec<_> = entries.filter_map(Result::ok).collect();
    if entries.iter().all(|entry| same(&entry.path(), &entry.file_name())) {
        for entry in entries {
            let _ = fs::remove_file(entry.path());
        }
        let _ = fs::remove_dir(home);
    }
}
