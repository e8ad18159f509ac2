//! What the machine will be like: planned changes in front of the machine itself.
//!
//! A plan reads through a [`View`] with a [`Shadow`], so that a resource is compared with what will
//! be there when its turn comes; an apply reads through a view without one. What cannot be known
//! before it is done (what a command makes, what a package brings) is [`Known::Perhaps`], never
//! "no".

use std::collections::HashMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use resource::Thing;

use crate::host::{Group, Host, User};
use crate::problem::Problem;

/// Planned changes so far.
#[derive(Debug, Default)]
pub(crate) struct Shadow {
    things: HashMap<Thing, Foreseen>,
    /// Something was planned that may make anything: a command, a package.
    vague: bool,
}

/// What will be true of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreseen {
    /// It will be there.
    Present,
    /// It will be gone.
    Absent,
    /// It may be there, or be different.
    Perhaps,
}

/// What one planned change means for those after it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Foresight {
    /// What will be true of things.
    pub(crate) things: Vec<(Thing, Foreseen)>,
    /// Whether it may make anything else.
    pub(crate) anything: bool,
}

impl Foresight {
    /// Returns that a path will be there.
    pub(crate) fn path(path: &Path, foreseen: Foreseen) -> Self {
        Self { things: vec![(Thing::Path(path.to_owned()), foreseen)], anything: false }
    }

    /// Returns what it means if the change itself is not certain.
    pub(crate) fn perhaps(mut self) -> Self {
        self.things.iter_mut().for_each(|(_, foreseen)| *foreseen = Foreseen::Perhaps);
        self
    }
}

impl Shadow {
    /// Takes a planned change in.
    pub(crate) fn take(&mut self, foresight: Foresight) {
        self.things.extend(foresight.things);
        self.vague |= foresight.anything;
    }

    fn of(&self, thing: &Thing) -> Option<Foreseen> {
        self.things.get(thing).copied()
    }

    /// Returns what will be true of a path: said of itself, or of a directory above it.
    fn of_path(&self, path: &Path) -> Option<Foreseen> {
        if self.things.is_empty() {
            return None;
        }
        if let Some(own) = self.of(&Thing::Path(path.to_owned())) {
            return Some(own);
        }
        let mut above = path.ancestors().skip(1);
        let said = above.find_map(|path| self.of(&Thing::Path(path.to_owned())))?;
        // A new directory says nothing of what a command may put there.
        (said == Foreseen::Absent).then_some(Foreseen::Absent)
    }
}

/// What a view knows of a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known<T> {
    /// It is there, and this is it.
    Here(T),
    /// It will be there.
    Planned,
    /// It is not there, and will not be.
    No,
    /// Nobody can know yet.
    Perhaps,
}

impl<T> Known<T> {
    /// Returns "no" where nothing but a general "anything may come" stands against it.
    fn unless_vague(self, view: View<'_>, thing: &Thing) -> Self {
        let said = view.shadow.and_then(|shadow| shadow.of(thing)).is_some();
        if matches!(self, Self::Perhaps) && !said { Self::No } else { self }
    }
}

/// The machine as a resource sees it when its turn comes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    host: &'a Host,
    shadow: Option<&'a Shadow>,
}

impl<'a> View<'a> {
    /// Returns the machine as it is.
    pub(crate) fn live(host: &'a Host) -> Self {
        Self { host, shadow: None }
    }

    /// Returns the machine as it will be.
    pub(crate) fn planned(host: &'a Host, shadow: &'a Shadow) -> Self {
        Self { host, shadow: Some(shadow) }
    }

    /// Returns the machine.
    pub(crate) fn host(self) -> &'a Host {
        self.host
    }

    /// Returns whether anything may have been made by then that nobody declared.
    pub(crate) fn is_vague(self) -> bool {
        self.shadow.is_some_and(|shadow| shadow.vague)
    }

    fn decide<T>(
        self,
        foreseen: Option<Foreseen>,
        found: impl FnOnce() -> Result<Option<T>, Problem>,
    ) -> Result<Known<T>, Problem> {
        Ok(match foreseen {
            Some(Foreseen::Present) => Known::Planned,
            Some(Foreseen::Absent) => Known::No,
            Some(Foreseen::Perhaps) => Known::Perhaps,
            None => match found()? {
                Some(found) => Known::Here(found),
                None if self.is_vague() => Known::Perhaps,
                None => Known::No,
            },
        })
    }

    /// Returns what is at a path, without following a link there.
    pub(crate) fn path(self, path: &Path) -> Result<Known<Metadata>, Problem> {
        let foreseen = self.shadow.and_then(|shadow| shadow.of_path(path));
        self.decide(foreseen, || self.host.look(path))
    }

    /// Returns what is at a path that a resource makes itself: what a command or a package may
    /// bring meanwhile does not count, because the resource has the last word.
    pub(crate) fn own_path(self, path: &Path) -> Result<Known<Metadata>, Problem> {
        let foreseen = self.shadow.and_then(|shadow| shadow.of_path(path));
        match foreseen {
            None => Ok(self.host.look(path)?.map_or(Known::No, Known::Here)),
            Some(_) => self.path(path),
        }
    }

    /// Fails if there will be no directory to make `path` in.
    pub(crate) fn needs_directory_of(self, path: &Path) -> Result<(), Problem> {
        let above = path.parent().unwrap_or(path);
        match self.path(above)? {
            Known::No => Err(Problem::NoDirectory(above.to_owned())),
            // A link to a directory will do: `/etc/alternatives`, `/lib`.
            Known::Here(_) if !self.host.real(above).is_dir() => Err(Problem::Occupied {
                path: above.to_owned(),
                found: "no directory",
                wanted: "a directory",
                hint: "",
            }),
            _ => Ok(()),
        }
    }

    /// Returns a user.
    pub(crate) fn user(self, name: &str) -> Result<Known<User>, Problem> {
        let foreseen = self.shadow.and_then(|shadow| shadow.of(&Thing::User(name.to_owned())));
        self.decide(foreseen, || Ok(self.host.accounts()?.user(name).cloned()))
    }

    /// Returns a group.
    pub(crate) fn group(self, name: &str) -> Result<Known<Group>, Problem> {
        let foreseen = self.shadow.and_then(|shadow| shadow.of(&Thing::Group(name.to_owned())));
        self.decide(foreseen, || Ok(self.host.accounts()?.group(name).cloned()))
    }

    /// Returns a user that a resource makes itself; see [`View::own_path`].
    pub(crate) fn own_user(self, name: &str) -> Result<Known<User>, Problem> {
        Ok(self.user(name)?.unless_vague(self, &Thing::User(name.to_owned())))
    }

    /// Returns a group that a resource makes itself; see [`View::own_path`].
    pub(crate) fn own_group(self, name: &str) -> Result<Known<Group>, Problem> {
        Ok(self.group(name)?.unless_vague(self, &Thing::Group(name.to_owned())))
    }

    /// Returns a package that a resource installs itself; see [`View::own_path`].
    pub(crate) fn own_package(self, name: &str) -> Result<Known<String>, Problem> {
        Ok(self.package(name)?.unless_vague(self, &Thing::Package(name.to_owned())))
    }

    /// Returns an installed package's version.
    pub(crate) fn package(self, name: &str) -> Result<Known<String>, Problem> {
        let thing = Thing::Package(name.to_owned());
        let foreseen = self.shadow.and_then(|shadow| shadow.of(&thing));
        self.decide(foreseen, || Ok(self.host.packages()?.version(name).map(str::to_owned)))
    }
}

/// Who is to own a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Nothing is said.
    Any,
    /// A number that is known.
    Id(u32),
    /// A name whose number will be known.
    Later(String),
}

impl Owner {
    /// Returns the number if it is known.
    pub(crate) fn id(&self) -> Option<u32> {
        match self {
            Self::Id(id) => Some(*id),
            _ => None,
        }
    }

    /// Returns the user that a property names, by name or number.
    pub(crate) fn user(view: View<'_>, name: Option<&str>) -> Result<Self, Problem> {
        let Some(name) = name else { return Ok(Self::Any) };
        let known = view.user(name)?;
        Self::known("user", name, known, |user| user.uid)
    }

    /// Returns the group that a property names, by name or number.
    pub(crate) fn group(view: View<'_>, name: Option<&str>) -> Result<Self, Problem> {
        let Some(name) = name else { return Ok(Self::Any) };
        let known = view.group(name)?;
        Self::known("group", name, known, |group| group.gid)
    }

    fn known<T>(
        what: &'static str,
        name: &str,
        known: Known<T>,
        id: impl Fn(&T) -> u32,
    ) -> Result<Self, Problem> {
        match known {
            Known::Here(found) => Ok(Self::Id(id(&found))),
            // A name that is a number means the number.
            Known::Perhaps | Known::No if name.parse::<u32>().is_ok() => {
                Ok(Self::Id(name.parse().unwrap_or_default()))
            }
            Known::Planned | Known::Perhaps => Ok(Self::Later(name.to_owned())),
            Known::No => Err(Problem::Nobody { what, name: name.to_owned() }),
        }
    }
}

/// Returns what a path is, for an error.
pub(crate) fn what_is(found: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = found.file_type();
    match () {
        () if kind.is_dir() => "a directory",
        () if kind.is_file() => "a file",
        () if kind.is_symlink() => "a link",
        () if kind.is_socket() => "a socket",
        () if kind.is_fifo() => "a pipe",
        () => "a device",
    }
}

/// Returns the paths of `path` that are missing, the uppermost first.
pub(crate) fn missing(view: View<'_>, path: &Path) -> Result<Vec<PathBuf>, Problem> {
    let mut missing = Vec::new();
    for above in path.ancestors() {
        match view.path(above)? {
            Known::Here(_) | Known::Planned => break,
            Known::No | Known::Perhaps => missing.push(above.to_owned()),
        }
    }
    missing.reverse();
    Ok(missing)
}
