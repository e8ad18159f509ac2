//! `/etc/passwd` and `/etc/group`.
//!
//! Lines that are no accounts (comments, `+` of NIS, too few fields, numbers out of range) are
//! passed over, as the C library does. The first of two lines with one name counts.

use std::collections::HashMap;

/// A user as `/etc/passwd` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// Its name.
    pub(crate) name: String,
    /// Its number.
    pub(crate) uid: u32,
    /// Its primary group's number.
    pub(crate) gid: u32,
    /// The comment field.
    pub(crate) comment: String,
    /// Its home directory.
    pub(crate) home: String,
    /// Its shell; empty: `/bin/sh`.
    pub(crate) shell: String,
}

/// A group as `/etc/group` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// Its name.
    pub(crate) name: String,
    /// Its number.
    pub(crate) gid: u32,
    /// Users that list it as a further group, in the order of the file.
    pub(crate) members: Vec<String>,
}

/// All users and groups.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    users: HashMap<String, User>,
    groups: HashMap<String, Group>,
    user_names: HashMap<u32, String>,
    group_names: HashMap<u32, String>,
}

impl Accounts {
    /// Parses both files.
    pub(crate) fn parse(passwd: &[u8], group: &[u8]) -> Self {
        let mut accounts = Self::default();
        for line in String::from_utf8_lossy(passwd).lines() {
            if let Some(user) = parse_user(line) {
                accounts.user_names.entry(user.uid).or_insert_with(|| user.name.clone());
                accounts.users.entry(user.name.clone()).or_insert(user);
            }
        }
        for line in String::from_utf8_lossy(group).lines() {
            if let Some(group) = parse_group(line) {
                accounts.group_names.entry(group.gid).or_insert_with(|| group.name.clone());
                accounts.groups.entry(group.name.clone()).or_insert(group);
            }
        }
        accounts
    }

    /// Returns a user.
    pub(crate) fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// Returns a group.
    pub(crate) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }

    /// Returns a user's name for messages, else its number.
    pub(crate) fn user_name(&self, uid: u32) -> String {
        self.user_names.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }

    /// Returns a group's name for messages, else its number.
    pub(crate) fn group_name(&self, gid: u32) -> String {
        self.group_names.get(&gid).cloned().unwrap_or_else(|| gid.to_string())
    }

    /// Returns the groups that list a user, in the order of their names.
    pub(crate) fn groups_of(&self, user: &str) -> Vec<&Group> {
        let lists = |group: &&Group| group.members.iter().any(|member| member == user);
        let mut groups: Vec<&Group> = self.groups.values().filter(lists).collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        groups
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(['#', '+', '-'])
}

fn parse_user(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, comment, home, shell] = fields[..] else { return None };
    Some(User {
        name: Some(name).filter(|name| is_name(name))?.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        comment: comment.to_owned(),
        home: home.to_owned(),
        shell: shell.to_owned(),
    })
}

fn parse_group(line: &str) -> Option<Group> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, gid, members] = fields[..] else { return None };
    Some(Group {
        name: Some(name).filter(|name| is_name(name))?.to_owned(),
        gid: gid.parse().ok()?,
        members: members.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
    })
}

/// Parses any bytes; what is found can be asked for.
#[doc(hidden)]
pub fn fuzz_accounts(bytes: &[u8]) {
    let accounts = Accounts::parse(bytes, bytes);
    for (name, user) in &accounts.users {
        assert_eq!(accounts.user(name), Some(user));
        assert!(accounts.groups_of(name).len() <= accounts.groups.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accounts_are_read_and_the_rest_is_passed_over() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\n# no\n+nis\nbad:x:y:0:::\nshort:x:1\n\
                      deploy:x:1001:1001:Deploy,,,:/home/deploy:\nroot:x:7:7:::\n";
        let group = "root:x:0:\nadm:x:4:deploy,,root\nwheel:x:5:deploy\n";
        let accounts = Accounts::parse(passwd.as_bytes(), group.as_bytes());
        assert_eq!(accounts.user("root").unwrap().uid, 0);
        assert_eq!(accounts.user("deploy").unwrap().home, "/home/deploy");
        assert_eq!(accounts.users.len(), 2);
        assert_eq!(accounts.group("adm").unwrap().members, ["deploy", "root"]);
        let of: Vec<_> = accounts.groups_of("deploy").iter().map(|g| g.name.as_str()).collect();
        assert_eq!(of, ["adm", "wheel"]);
        assert_eq!(
            (accounts.user_name(1001), accounts.group_name(99)),
            ("deploy".into(), "99".into())
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            fuzz_accounts(&bytes);
        }
    }
}
