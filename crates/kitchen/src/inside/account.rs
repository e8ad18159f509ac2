//! A user of the machine, as its own files have it.

use std::path::Path;

/// Largest file that names users or groups.
const MAX_NAMES_BYTES: u64 = 4 << 20;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) user: u32,
    pub(crate) group: u32,
    /// The groups that list the user.
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
    pub(crate) shell: String,
}

impl Account {
    /// Finds a user by name or number.
    pub(super) fn find(name: &str) -> Result<Self, String> {
        let read = |file: &str| {
            disk::read_limited(Path::new(file), MAX_NAMES_BYTES)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        let users = read("/etc/passwd").unwrap_or_default();
        let groups = read("/etc/group").unwrap_or_default();
        Self::among(name, &users, &groups)
            .ok_or_else(|| format!("there is no user `{name}` in the machine"))
    }

    fn among(name: &str, users: &str, groups: &str) -> Option<Self> {
        let lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let found = lines
            .filter(|fields| fields.len() >= 7)
            .find(|fields| fields[0] == name || fields[2] == name);
        let Some(fields) = found else {
            // A tree without the file has root, and every number is a user.
            let user = if name == "root" { 0 } else { name.parse().ok()? };
            return Some(Self {
                name: name.to_owned(),
                user,
                group: user,
                groups: Vec::new(),
                home: "/".to_owned(),
                shell: String::new(),
            });
        };
        let (user, group) = (fields[2].parse().ok()?, fields[3].parse().ok()?);
        let own = fields[0];
        let member = |line: &str| {
            let fields: Vec<_> = line.split(':').collect();
            let listed = fields.get(3)?.split(',').any(|member| member == own);
            listed.then(|| fields[2].parse().ok()).flatten()
        };
        let mut all: Vec<u32> = groups.lines().filter_map(member).collect();
        all.push(group);
        all.sort_unstable();
        all.dedup();
        Some(Self {
            name: own.to_owned(),
            user,
            group,
            groups: all,
            home: fields[5].to_owned(),
            shell: fields[6].to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/bash\nanna:x:1000:100::/home/anna:/bin/sh\nbad\n";
    const GROUPS: &str = "root:x:0:\nusers:x:100:\nadm:x:4:syslog,anna\n";

    #[test]
    fn a_user_is_found_by_name_and_number_with_all_groups() {
        let anna = Account::among("anna", USERS, GROUPS).unwrap();
        assert_eq!((anna.user, anna.group, &anna.groups[..]), (1000, 100, &[4, 100][..]));
        assert_eq!((anna.home.as_str(), anna.shell.as_str()), ("/home/anna", "/bin/sh"));
        assert_eq!(Account::among("1000", USERS, GROUPS), Some(anna));
        assert_eq!(Account::among("bert", USERS, GROUPS), None);
        assert_eq!(Account::among("33", USERS, GROUPS).unwrap().group, 33);
        assert_eq!(Account::among("root", "", "").unwrap().home, "/");
    }
}
