//! `group`: a group with its number and its members.
//!
//! `members` is the exact set, unless `append` says that they are only to be among them. Changes are
//! made by `groupadd`, `groupmod`, `gpasswd` and `groupdel`.

use resource::{Action, Properties, Property, Relations, Schema, Shape, Thing};
use serde::{Deserialize, Serialize};

use crate::change::{Change, Difference, Mark};
use crate::host::Group as Account;
use crate::kind::{Context, Kind, Record, Resource, Undoing, read_record, write_record};
use crate::kinds::file::TIMEOUT;
use crate::kinds::{account_name, equal_strength};
use crate::problem::Problem;
use crate::shadow::{Foreseen, Foresight, Known, View};

static SCHEMA: Schema = Schema {
    kind: "group",
    summary: "A group of users.",
    idempotence: "`/etc/group` is read; number and members are compared only if they are given.",
    undo: "A group that was made is removed; a changed one gets its number and members back.",
    named: "group_name",
    actions: &[
        Action { name: "create", text: "Makes it, or makes it so." },
        Action { name: "remove", text: "Takes it away." },
    ],
    properties: &[
        Property {
            name: "group_name",
            shape: Shape::Text,
            required: true,
            secret: false,
            text: "Its name.",
        },
        Property {
            name: "gid",
            shape: Shape::Count,
            required: false,
            secret: false,
            text: "Its number. Not given: the system chooses one.",
        },
        Property {
            name: "members",
            shape: Shape::ListOf(&Shape::Text),
            required: false,
            secret: false,
            text: "The users that are in it: just these, or with `append` also these.",
        },
        Property {
            name: "excluded",
            shape: Shape::ListOf(&Shape::Text),
            required: false,
            secret: false,
            text: "Users that are not in it; with `append`.",
        },
        Property {
            name: "append",
            shape: Shape::Bool,
            required: false,
            secret: false,
            text: "Whether other members stay.",
        },
        Property {
            name: "system",
            shape: Shape::Bool,
            required: false,
            secret: false,
            text: "Whether a new one gets a number from the system's range.",
        },
    ],
    relations: |declaration| {
        let properties = Properties(declaration);
        if declaration.action == "remove" {
            return Relations::default();
        }
        let members = properties.texts("members").unwrap_or_default();
        Relations {
            provides: vec![Thing::Group(properties.named(&SCHEMA).to_owned())],
            needs: members.into_iter().map(|name| Thing::User(name.to_owned())).collect(),
        }
    },
};

/// The kind.
pub(super) static KIND: Kind = Kind {
    schema: &SCHEMA,
    check: |declaration| account_name(Properties(declaration).named(&SCHEMA)),
    bind: |declaration, action| {
        let properties = Properties(declaration);
        let members = |name| properties.get(name).and_then(|_| properties.texts(name));
        Box::new(Group {
            name: properties.named(&SCHEMA),
            gid: properties.count("gid").and_then(|gid| u32::try_from(gid).ok()),
            members: members("members"),
            excluded: members("excluded").unwrap_or_default(),
            append: properties.bool("append", false),
            system: properties.bool("system", false),
            removing: action == "remove",
        })
    },
    undoing,
    undo,
    strength: equal_strength,
    records: "group",
    timeout: TIMEOUT,
};

struct Group<'a> {
    name: &'a str,
    gid: Option<u32>,
    members: Option<Vec<&'a str>>,
    excluded: Vec<&'a str>,
    append: bool,
    system: bool,
    removing: bool,
}

#[derive(Debug, Serialize)]
enum State {
    Absent,
    Here { gid: u32, members: Vec<String> },
    Perhaps,
}

impl Group<'_> {
    /// Returns the members that it should have, if that is another set.
    fn members_due(&self, have: &[String]) -> Option<Vec<String>> {
        let mut wanted: Vec<String> = match (&self.members, self.append) {
            (None, false) => return None,
            (Some(members), false) => members.iter().map(|name| (*name).to_owned()).collect(),
            (members, true) => {
                let more = members.iter().flatten().map(|name| (*name).to_owned());
                let stays = |name: &String| !self.excluded.contains(&name.as_str());
                have.iter().filter(|name| stays(name)).cloned().chain(more).collect()
            }
        };
        wanted.sort();
        wanted.dedup();
        let mut have = have.to_vec();
        have.sort();
        (wanted != have).then_some(wanted)
    }
}

impl Resource for Group<'_> {
    type State = State;

    fn read(&self, view: View<'_>) -> Result<State, Problem> {
        Ok(match view.own_group(self.name)? {
            Known::Here(Account { gid, members, .. }) => State::Here { gid, members },
            Known::No => State::Absent,
            Known::Planned | Known::Perhaps => State::Perhaps,
        })
    }

    fn diff(&self, have: &State) -> Difference {
        let new = |name: &str, value: String| Change::attribute(name, None::<String>, value);
        match have {
            State::Absent if self.removing => Difference::none(),
            State::Here { .. } if self.removing => {
                Difference::of(Mark::Delete, vec![Change::said("removed")])
            }
            State::Perhaps => {
                Difference::of(Mark::Perhaps, vec![Change::said("made by what comes before")])
            }
            State::Absent => {
                let mut changes = vec![Change::said("made")];
                changes.extend(self.gid.map(|gid| new("gid", gid.to_string())));
                changes.extend(self.members_due(&[]).map(|due| new("members", due.join(","))));
                Difference::of(Mark::Create, changes)
            }
            State::Here { gid, members } => {
                let mut changes = Vec::new();
                if let Some(want) = self.gid.filter(|want| want != gid) {
                    let old = Some(gid.to_string());
                    changes.push(Change::attribute("gid", old, want.to_string()));
                }
                if let Some(due) = self.members_due(members) {
                    let old = Some(members.join(","));
                    changes.push(Change::attribute("members", old, due.join(",")));
                }
                Difference::of(Mark::Update, changes)
            }
        }
    }

    fn foresee(&self, have: &State) -> Foresight {
        if let State::Here { gid, .. } = have
            && !self.removing
            && self.gid.is_none_or(|wanted| wanted == *gid)
        {
            return Foresight::default();
        }
        let foreseen = if self.removing { Foreseen::Absent } else { Foreseen::Present };
        let things = vec![(Thing::Group(self.name.to_owned()), foreseen)];
        Foresight { things, anything: false }
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
        let before = match have {
            State::Here { gid, members } => Some((*gid, members.clone())),
            _ => None,
        };
        write_record(&Made { name: self.name.to_owned(), before })
    }

    fn apply(&self, have: &State, context: &mut Context<'_>) -> Result<(), Problem> {
        if self.removing {
            return context.tool(&["groupdel", self.name]);
        }
        let gid = self.gid.map(|gid| gid.to_string());
        let mut members: &[String] = &[];
        if let State::Here { gid: old, members: there } = have {
            members = there;
            if let Some(gid) = gid.filter(|_| self.gid != Some(*old)) {
                context.tool(&["groupmod", "-g", &gid, self.name])?;
            }
        } else {
            let mut command = vec!["groupadd"];
            command.extend(gid.iter().flat_map(|gid| ["-g", gid]));
            command.extend(self.system.then_some("-r"));
            command.push(self.name);
            context.tool(&command)?;
        }
        match self.members_due(members) {
            Some(due) => context.tool(&["gpasswd", "-M", &due.join(","), self.name]),
            None => Ok(()),
        }
    }
}

/// What the group was before.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    name: String,
    /// Its number and members; absent: it was not there.
    before: Option<(u32, Vec<String>)>,
}

fn undoing(record: &Record, view: View<'_>) -> Result<Undoing, Problem> {
    let made: Made = read_record(record)?;
    let (found, gone) = (view.own_group(&made.name)?, vec![Thing::Group(made.name.clone())]);
    Ok(match (&made.before, found) {
        (None, Known::Here(_)) => Undoing { changes: vec![Change::said("removed")], gone },
        (Some((gid, members)), Known::Here(now)) if (*gid, members) != (now.gid, &now.members) => {
            let text = format!("gid {gid}, members {} again", members.join(","));
            Undoing { changes: vec![Change::said(text)], gone: Vec::new() }
        }
        (Some(_), Known::No) => {
            Undoing { changes: vec![Change::said("made again")], gone: Vec::new() }
        }
        _ => Undoing::default(),
    })
}

fn undo(record: &Record, context: &mut Context<'_>) -> Result<(), Problem> {
    let made: Made = read_record(record)?;
    let now = context.host.accounts()?.group(&made.name).cloned();
    let Some((gid, members)) = &made.before else {
        return match now {
            Some(_) => context.tool(&["groupdel", &made.name]),
            None => Ok(()),
        };
    };
    let number = gid.to_string();
    match &now {
        None => context.tool(&["groupadd", "-g", &number, &made.name])?,
        Some(now) if now.gid != *gid => context.tool(&["groupmod", "-g", &number, &made.name])?,
        Some(_) => {}
    }
    match now.is_some_and(|now| now.members == *members) {
        true => Ok(()),
        false => context.tool(&["gpasswd", "-M", &members.join(","), &made.name]),
    }
}
