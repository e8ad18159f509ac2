//! Who an app runs as.
//!
//! An ordinary user's installation runs everything as that user. As root each app gets a uid of
//! its own, and a group of the same number, out of [`RANGE`]; it is given out once and kept in the
//! store under the app's name. No system user is created: a process needs none.
//!
//! A user is never given to another name, not after `app:remove` either: files of its own outlive
//! an app, in archives, in backups, wherever it was let write, and would be another app's from then
//! on. An app of the same name, restored or new, gets the same user again. So there are as many
//! names in the life of an installation as [`RANGE`] has numbers.

use std::ops::Range;

use control::shim::Credentials;
use store::{Store, Txn};

use crate::error::DeployError;
use crate::records::key;

/// User ids that Skep gives out. Within what Debian's policy calls dynamically allocated user
/// accounts, above what `adduser` reaches (it takes the lowest free one from 1000), below
/// systemd's ranges.
pub const RANGE: Range<u32> = 52_000..60_000;

/// A user that processes run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// User id and group id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// `LOGNAME`.
    pub name: String,
}

impl User {
    /// Returns what a shim needs to become this user.
    pub fn credentials(&self) -> Credentials {
        Credentials { uid: self.uid, gid: self.gid, groups: Vec::new() }
    }
}

/// Gives out users.
#[derive(Debug, Clone, Copy)]
pub enum Users {
    /// Everything runs as whoever runs the agent.
    Same,
    /// Root's installation.
    Own,
}

impl Users {
    /// Returns what fits the user who runs this process.
    pub fn of_this_process() -> Self {
        if rustix::process::geteuid().is_root() { Self::Own } else { Self::Same }
    }

    /// Returns the user of an app, giving one out if it has none; `None`: the agent's own.
    pub fn of(&self, store: &Store, name: &str) -> Result<Option<User>, DeployError> {
        match self {
            Self::Same => Ok(None),
            Self::Own => own_user(store, name).map(Some),
        }
    }
}

fn own_user(store: &Store, name: &str) -> Result<User, DeployError> {
    let user = |uid| User { uid, gid: uid, name: name.to_owned() };
    loop {
        if let Some(found) = store.get_json::<u32>(&key::user(name))? {
            return Ok(user(found.value));
        }
        let taken: Vec<u32> =
            store.range_json::<u32>("users/")?.into_iter().map(|json| json.value).collect();
        let foreign = passwd_ids();
        let Some(uid) = RANGE.clone().find(|uid| !taken.contains(uid) && !foreign.contains(uid))
        else {
            return Err(report::Failure::new(
                report::Kind::Failed,
                format!("no user id between {} and {} is free", RANGE.start, RANGE.end),
            )
            .hint("each name keeps its id for ever: use a name that an app had before")
            .into());
        };
        // The id's own key makes two apps that ask at once get two ids.
        let claim = format!("user-ids/{uid}");
        let txn = Txn::new()
            .if_absent(key::user(name))
            .if_absent(&claim)
            .put_json(key::user(name), &uid)
            .put(&claim, name);
        store.commit(&txn)?;
    }
}

/// Returns the ids of `/etc/passwd` and `/etc/group`: those are somebody's already.
fn passwd_ids() -> Vec<u32> {
    ["/etc/passwd", "/etc/group"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .flat_map(|text| {
            text.lines()
                .filter_map(|line| line.split(':').nth(2)?.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_keeps_its_user_and_shares_it_with_nobody() {
        let store = Store::in_memory();
        let shop = Users::Own.of(&store, "shop").unwrap().unwrap();
        let blog = Users::Own.of(&store, "blog").unwrap().unwrap();
        assert_ne!(shop.uid, blog.uid);
        assert!(RANGE.contains(&shop.uid));
        assert_eq!(Users::Own.of(&store, "shop").unwrap().unwrap(), shop);
        assert_eq!(Users::Same.of(&store, "shop").unwrap(), None);
    }
}
