//! Mode, owner and group of a path: what is wanted, what is there, and the way between.

use std::fs::{File, Metadata, OpenOptions};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use disk::PathContext;
use resource::Properties;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::held::Held;
use crate::host::Host;
use crate::problem::Problem;
use crate::shadow::{Owner, View};

/// The attributes of something that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Have {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Have {
    pub(crate) fn of(found: &Metadata) -> Self {
        Self { mode: found.mode() & 0o7777, uid: found.uid(), gid: found.gid() }
    }
}

/// The attributes that are wanted; what is not said stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) mode: Option<u32>,
    pub(crate) owner: Owner,
    pub(crate) group: Owner,
}

impl Want {
    /// Reads the properties `mode`, `owner` and `group`.
    pub(crate) fn of(properties: Properties<'_>, view: View<'_>) -> Result<Self, Problem> {
        Ok(Self {
            mode: properties.mode("mode"),
            owner: Owner::user(view, properties.text("owner"))?,
            group: Owner::group(view, properties.text("group"))?,
        })
    }

    /// Returns what an undo brings back.
    pub(crate) fn back(have: Have) -> Self {
        let (owner, group) = (Owner::Id(have.uid), Owner::Id(have.gid));
        Self { mode: Some(have.mode), owner, group }
    }

    /// Returns the attributes that differ.
    pub(crate) fn diff(&self, have: Have, names: &Names) -> Vec<Change> {
        let mut changes = Vec::new();
        if let Some(mode) = self.mode.filter(|mode| *mode != have.mode) {
            let (old, new) = (format!("{:04o}", have.mode), format!("{mode:04o}"));
            changes.push(Change::attribute("mode", Some(old), new));
        }
        changes.extend(owner_change("owner", &self.owner, have.uid, &names.user));
        changes.extend(owner_change("group", &self.group, have.gid, &names.group));
        changes
    }

    /// Returns the attributes of something new.
    pub(crate) fn of_new(&self, names: &Names) -> Vec<Change> {
        let mut changes = Vec::new();
        if let Some(mode) = self.mode {
            changes.push(Change::attribute("mode", None::<String>, format!("{mode:04o}")));
        }
        for (name, owner, known) in [
            ("owner", &self.owner, &names.wanted_user),
            ("group", &self.group, &names.wanted_group),
        ] {
            if let Some(known) = known.as_ref().filter(|_| *owner != Owner::Any) {
                changes.push(Change::attribute(name, None::<String>, known));
            }
        }
        changes
    }

    /// Makes them so. At no moment is anything allowed to anybody that neither the old nor the new
    /// attributes allow.
    pub(crate) fn set(&self, held: &Held, have: Have) -> Result<(), Problem> {
        // A name for what is there, whatever that is: never through a link, without opening it.
        let flags = OFlags::NOFOLLOW | OFlags::PATH | OFlags::CLOEXEC;
        let file =
            OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(held.path());
        self.set_on(&file.context("open", held.shown())?, held.shown(), have)
    }

    /// Does what [`Want::set`] does on an open file.
    pub(crate) fn set_on(&self, file: &File, path: &Path, have: Have) -> Result<(), Problem> {
        let mode = self.mode.unwrap_or(have.mode);
        let uid = self.owner.id().filter(|uid| *uid != have.uid);
        let gid = self.group.id().filter(|gid| *gid != have.gid);
        let descriptor = file.as_fd();
        // Such a name has no `fchmod`; through this path it is the same file all the same.
        let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
        let set_mode = |mode: u32| {
            rustix::fs::chmod(&*itself, Mode::from_bits_truncate(mode))
                .context("set the mode of", path)
        };
        if uid.is_some() || gid.is_some() {
            // What the old owner was allowed is not the new one's, and the other way round.
            let common = mode & have.mode;
            if common != have.mode {
                set_mode(common)?;
            }
            let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
            rustix::fs::chownat(descriptor, c"", uid, gid, AtFlags::EMPTY_PATH)
                .context("set the owner of", path)?;
            // `chown` takes set-id bits away.
            set_mode(mode)?;
        } else if mode != have.mode {
            set_mode(mode)?;
        }
        Ok(())
    }
}

fn owner_change(
    name: &str,
    want: &Owner,
    have: u32,
    names: &(String, Option<String>),
) -> Option<Change> {
    let new = match want {
        Owner::Any => return None,
        Owner::Id(id) if *id == have => return None,
        Owner::Id(id) => names.1.clone().unwrap_or_else(|| id.to_string()),
        Owner::Later(name) => name.clone(),
    };
    Some(Change::attribute(name, Some(names.0.clone()), new))
}

/// Names for people, of who owns a path and of who is to own it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    user: (String, Option<String>),
    group: (String, Option<String>),
    wanted_user: Option<String>,
    wanted_group: Option<String>,
}

impl Names {
    /// Returns the names; of the owners only if there will be something to say.
    pub(crate) fn of(
        host: &Host,
        have: Option<Have>,
        properties: Properties<'_>,
    ) -> Result<Self, Problem> {
        let wanted = |name| properties.text(name).map(str::to_owned);
        let (wanted_user, wanted_group) = (wanted("owner"), wanted("group"));
        let (mut user, mut group) = (String::new(), String::new());
        if let Some(have) = have {
            if wanted_user.is_some() {
                user = host.accounts()?.user_name(have.uid);
            }
            if wanted_group.is_some() {
                group = host.accounts()?.group_name(have.gid);
            }
        }
        Ok(Self {
            user: (user, wanted_user.clone()),
            group: (group, wanted_group.clone()),
            wanted_user,
            wanted_group,
        })
    }
}
