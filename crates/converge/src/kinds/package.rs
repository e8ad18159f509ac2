//! `package`: Debian packages that are installed, or are not.
//!
//! What is installed is read from dpkg's status file, so nothing is started while there is nothing to
//! do. Neighbouring resources that install with the same options go into one `apt-get` run. Without
//! `version` any installed version will do; with it exactly that one.
//!
//! Before an installation `apt-get` is asked what else it will bring along: those packages are
//! taken back with the resource, as far as nothing else needs them by then. A package that a removal
//! took away is not installed again by an undo.

use std::collections::BTreeSet;
use std::time::Duration;

use resource::{Action, Properties, Property, Relations, Schema, Shape, Thing};
use serde::{Deserialize, Serialize};

use crate::change::{Change, Difference, Mark};
use crate::command::Program;
use crate::host::lock_holder;
use crate::kind::{Batch, Context, Kind, Record, Resource, Undoing, read_record, write_record};
use crate::kinds::{equal_strength, unchecked};
use crate::problem::Problem;
use crate::shadow::{Foreseen, Foresight, Known, View};

/// How long a run may take: a large installation over a slow line, after waiting for the lock.
const TIMEOUT: Duration = Duration::from_secs(3600);
/// How long `apt-get` waits for another one: the upgrades of a first boot take minutes.
const LOCK_TIMEOUT_SECONDS: u32 = 600;
/// The lock that whoever changes packages holds.
const LOCK: &str = "/var/lib/dpkg/lock-frontend";

static SCHEMA: Schema = Schema {
    kind: "package",
    summary: "Debian packages.",
    idempotence: "dpkg's status file says which are installed; with `version`, exactly that one.",
    undo: "Packages that were not installed before are removed, or purged if `undo` says so, with \
           what they brought along and nothing else needs. Removed ones stay removed.",
    named: "names",
    actions: &[
        Action { name: "install", text: "Installs what is missing." },
        Action { name: "remove", text: "Removes them; their configuration stays." },
        Action { name: "purge", text: "Removes them with their configuration." },
    ],
    properties: &[
        Property {
            name: "names",
            shape: Shape::ListOf(&Shape::Text),
            required: true,
            secret: false,
            text: "Their names.",
        },
        Property {
            name: "version",
            shape: Shape::Text,
            required: false,
            secret: false,
            text: "The exact version, epoch included; for one package.",
        },
        Property {
            name: "options",
            shape: Shape::ListOf(&Shape::Text),
            required: false,
            secret: false,
            text: "More options of `apt-get`, such as `--no-install-recommends`.",
        },
        Property {
            name: "allow_downgrade",
            shape: Shape::Bool,
            required: false,
            secret: false,
            text: "Whether `version` may be older than what is installed.",
        },
        Property {
            name: "undo",
            shape: Shape::Choice(&["remove", "purge", "keep"]),
            required: false,
            secret: false,
            text: "What becomes of them when nobody declares them any more. `remove` if nothing is \
                   said: a purge may also delete data.",
        },
    ],
    relations: |declaration| {
        let names = Properties(declaration).texts("names");
        let names = names.unwrap_or_else(|| vec![&declaration.id.name]);
        let packages = names.into_iter().map(|name| Thing::Package(name.to_owned()));
        match declaration.action.as_str() {
            "install" => {
                Relations { provides: packages.collect(), needs: vec![Thing::PackageLists] }
            }
            _ => Relations::default(),
        }
    },
};

/// The kind.
pub(super) static KIND: Kind = Kind {
    schema: &SCHEMA,
    check: |declaration| {
        let properties = Properties(declaration);
        let several = properties.texts("names").is_some_and(|names| names.len() > 1);
        let names = properties.texts("names").unwrap_or_else(|| vec![&declaration.id.name]);
        if let Some(name) = names.iter().find(|name| !is_name(name)) {
            return Err(format!("`{name}` is no name of a package"));
        }
        match several && properties.text("version").is_some() {
            true => Err("`version` is that of one package; declare them apart".to_owned()),
            false => unchecked(declaration),
        }
    },
    bind: |declaration, action| {
        let properties = Properties(declaration);
        let names = properties.texts("names").unwrap_or_else(|| vec![&declaration.id.name]);
        Box::new(Package {
            names,
            version: properties.text("version"),
            options: properties.texts("options").unwrap_or_default(),
            downgrade: properties.bool("allow_downgrade", false),
            undo: properties.text("undo").unwrap_or("remove"),
            action: match action {
                "remove" => Wish::Remove,
                "purge" => Wish::Purge,
                _ => Wish::Install,
            },
        })
    },
    undoing,
    undo,
    strength: equal_strength,
    records: "package",
    timeout: TIMEOUT,
};

/// A name as Debian's policy has it (5.6.1), with an architecture; so it is never an option.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "+-.:".contains(c))
        // `apt-get install name-` removes, `name+` installs.
        && !name.ends_with('-')
}

struct Package<'a> {
    names: Vec<&'a str>,
    version: Option<&'a str>,
    options: Vec<&'a str>,
    downgrade: bool,
    undo: &'a str,
    action: Wish,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Install,
    Remove,
    Purge,
}

/// The wanted packages and their versions.
#[derive(Debug, Serialize)]
struct State(Vec<(String, Found)>);

#[derive(Debug, PartialEq, Eq, Serialize)]
enum Found {
    Absent,
    /// Removed, with its configuration left.
    Configured,
    Version(String),
    Planned,
}

impl Package<'_> {
    /// Returns the packages that are not as they should be.
    fn due<'s>(&self, have: &'s State) -> impl Iterator<Item = (&'s str, &'s Found)> {
        let (action, version) = (self.action, self.version);
        have.0.iter().map(|(name, found)| (name.as_str(), found)).filter(move |(_, found)| {
            match (action, found) {
                (_, Found::Planned) => false,
                (Wish::Install, Found::Version(have)) => version.is_some_and(|want| want != have),
                (Wish::Install, _) => true,
                (Wish::Remove, found) => matches!(found, Found::Version(_)),
                (Wish::Purge, found) => **found != Found::Absent,
            }
        })
    }

    fn items(&self, have: &State) -> Vec<String> {
        self.due(have)
            .map(|(name, _)| match self.version {
                Some(version) if self.action == Wish::Install => format!("{name}={version}"),
                _ => name.to_owned(),
            })
            .collect()
    }

    /// Returns the command and the options, a line each: what resources of one run share.
    fn key(&self) -> String {
        let command = match self.action {
            Wish::Install => "install",
            Wish::Remove => "remove",
            Wish::Purge => "purge",
        };
        let mut key = vec![command];
        if self.downgrade {
            key.push("--allow-downgrades");
        }
        key.extend(&self.options);
        key.join("\n")
    }
}

impl Resource for Package<'_> {
    type State = State;

    fn read(&self, view: View<'_>) -> Result<State, Problem> {
        let found = |name: &str| -> Result<Found, Problem> {
            Ok(match view.own_package(name)? {
                Known::Here(version) => Found::Version(version),
                Known::Planned => Found::Planned,
                Known::No | Known::Perhaps => {
                    match self.action == Wish::Purge && view.host().packages()?.has_anything(name) {
                        true => Found::Configured,
                        false => Found::Absent,
                    }
                }
            })
        };
        let all = self.names.iter().map(|name| Ok(((*name).to_owned(), found(name)?)));
        Ok(State(all.collect::<Result<_, Problem>>()?))
    }

    fn diff(&self, have: &State) -> Difference {
        let mut mark = Mark::Create;
        let changes = self
            .due(have)
            .map(|(name, found)| match (self.action, found) {
                (Wish::Install, Found::Version(old)) => {
                    mark = Mark::Update;
                    let new = self.version.unwrap_or_default();
                    Change::attribute(name, Some(old.as_str()), new)
                }
                (Wish::Install, _) => {
                    let new = self.version.unwrap_or("installed");
                    Change::attribute(name, None::<String>, new)
                }
                (Wish::Remove, _) => Change::said(format!("{name}: removed")),
                (Wish::Purge, _) => Change::said(format!("{name}: purged")),
            })
            .collect();
        match self.action {
            Wish::Install => Difference::of(mark, changes),
            Wish::Remove | Wish::Purge => Difference::of(Mark::Delete, changes),
        }
    }

    fn foresee(&self, have: &State) -> Foresight {
        let foreseen = match self.action {
            Wish::Install => Foreseen::Present,
            Wish::Remove | Wish::Purge => Foreseen::Absent,
        };
        let thing = |(name, _): (&str, _)| (Thing::Package(name.to_owned()), foreseen);
        // Its directories, its user, what it depends on.
        Foresight { things: self.due(have).map(thing).collect(), anything: true }
    }

    fn prepare(
        &self,
        have: &State,
        previous: Option<&Record>,
        context: &mut Context<'_>,
    ) -> Result<Record, Problem> {
        let mut made: Made = match previous {
            Some(previous) => read_record(previous)?,
            None => Made::default(),
        };
        made.undo = self.undo.to_owned();
        if self.action == Wish::Install {
            let new = self.due(have).filter(|(_, found)| !matches!(found, Found::Version(_)));
            let new: Vec<String> = new.map(|(name, _)| name.to_owned()).collect();
            let brought = simulated(&self.key(), &self.items(have), context)?;
            made.brought.extend(brought.into_iter().filter(|name| !new.contains(name)));
            made.installed.extend(new);
        }
        write_record(&made)
    }

    fn apply(&self, have: &State, context: &mut Context<'_>) -> Result<(), Problem> {
        apt_get(&self.key(), &self.items(have), context)
    }

    fn batch(&self, have: &State) -> Option<Batch> {
        // Only what is missing: `apt-get install` would upgrade what is there.
        let batch = || Batch { key: self.key(), items: self.items(have), apply: apt_get };
        (self.action == Wish::Install).then(batch)
    }
}

fn program(key: &str, simulate: bool, items: &[String]) -> Program {
    let mut arguments: Vec<String> = vec!["apt-get".into(), "-q".into(), "-y".into()];
    if simulate {
        arguments.push("--simulate".into());
    }
    for option in ["Dpkg::Options::=--force-confdef", "Dpkg::Options::=--force-confold"] {
        arguments.extend(["-o".to_owned(), option.to_owned()]);
    }
    arguments.extend(["-o".to_owned(), format!("DPkg::Lock::Timeout={LOCK_TIMEOUT_SECONDS}")]);
    arguments.extend(key.lines().map(str::to_owned));
    arguments.extend(items.iter().cloned());
    let mut program = Program::new(arguments);
    for (name, value) in
        [("DEBIAN_FRONTEND", "noninteractive"), ("APT_LISTCHANGES_FRONTEND", "none")]
    {
        program.variables.insert(name.to_owned(), value.to_owned());
    }
    program
}

/// Runs `apt-get` for real.
fn apt_get(key: &str, items: &[String], context: &mut Context<'_>) -> Result<(), Problem> {
    let held = |context: &Context<'_>| lock_holder(&context.real(std::path::Path::new(LOCK)));
    if let Some(holder) = held(context) {
        context.say(&format!("waiting for {holder}, which holds the lock of the packages"));
    }
    let program = program(key, false, items);
    let ended = context.run(&program)?;
    match (ended.success(&program), held(context)) {
        (Err(Problem::Command { command, ending, output }), Some(holder)) => {
            let ending = format!("{ending}; {holder} holds the lock of the packages");
            Err(Problem::Command { command, ending, output })
        }
        (result, _) => result,
    }
}

/// Returns the packages that a run would install anew.
fn simulated(
    key: &str,
    items: &[String],
    context: &mut Context<'_>,
) -> Result<BTreeSet<String>, Problem> {
    let program = program(key, true, items);
    let ended = context.run_unheard(&program)?;
    ended.success(&program)?;
    Ok(new_packages(&ended.output))
}

/// Reads `Inst name (version …)`; one with `[old version]` before that is an upgrade.
fn new_packages(output: &str) -> BTreeSet<String> {
    let lines = output.lines().filter_map(|line| line.strip_prefix("Inst "));
    lines
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, rest)| !rest.starts_with('['))
        .map(|(name, _)| bare(name).to_owned())
        .collect()
}

fn bare(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// What was installed.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Made {
    /// Wanted, and not there before.
    installed: BTreeSet<String>,
    /// What came with them.
    brought: BTreeSet<String>,
    /// What an undo does with them.
    undo: String,
}

impl Made {
    fn still_installed(&self, view: View<'_>) -> Result<Vec<String>, Problem> {
        let packages = view.host().packages()?;
        let there = |name: &&String| packages.version(name).is_some();
        Ok(self.installed.iter().filter(there).cloned().collect())
    }
}

fn undoing(record: &Record, view: View<'_>) -> Result<Undoing, Problem> {
    let made: Made = read_record(record)?;
    if made.undo == "keep" {
        return Ok(Undoing::default());
    }
    let names = made.still_installed(view)?;
    let word = if made.undo == "purge" { "purged" } else { "removed" };
    let mut changes: Vec<Change> =
        names.iter().map(|name| Change::said(format!("{name}: {word}"))).collect();
    let packages = view.host().packages()?;
    let brought = made.brought.iter().filter(|name| packages.version(name).is_some()).count();
    if brought > 0 {
        // Which of them are needed by others is known when these are gone.
        let text = format!("{brought} that came along: {word} as far as nothing else needs them");
        changes.push(Change::said(text));
    }
    Ok(Undoing { changes, gone: names.into_iter().map(Thing::Package).collect() })
}

fn undo(record: &Record, context: &mut Context<'_>) -> Result<(), Problem> {
    let made: Made = read_record(record)?;
    if made.undo == "keep" {
        return Ok(());
    }
    let key = if made.undo == "purge" { "purge" } else { "remove" };
    let names = made.still_installed(View::live(context.host))?;
    if !names.is_empty() {
        apt_get(key, &names, context)?;
    }
    if made.brought.is_empty() {
        return Ok(());
    }
    // What is needed by nothing any more, as far as it came with these.
    let simulation = program("autoremove", true, &[]);
    let ended = context.run_unheard(&simulation)?;
    ended.success(&simulation)?;
    let idle = ended.output.lines().filter_map(|line| {
        let rest = line.strip_prefix("Remv ").or_else(|| line.strip_prefix("Purg "))?;
        Some(bare(rest.split(' ').next()?).to_owned())
    });
    let idle: Vec<String> = idle.filter(|name| made.brought.contains(name)).collect();
    if idle.is_empty() { Ok(()) } else { apt_get(key, &idle, context) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulation_says_what_is_new() {
        let output = "NOTE: simulated\nInst libpcre3 (2:8.39 Debian:12 [amd64])\n\
            Inst openssl [3.0.1] (3.0.2 Debian:12 [amd64])\nInst nginx:amd64 (1.22 Debian:12)\n\
            Conf nginx (1.22)";
        let expected = ["libpcre3", "nginx"].map(str::to_owned);
        assert_eq!(new_packages(output), BTreeSet::from(expected));
    }

    #[test]
    fn names_are_no_options() {
        for good in ["nginx", "g++", "libstdc++6:amd64", "0ad"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["-y", "nginx-", "", "a b", "./x.deb", "nginx=1", "x/y", "é"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
