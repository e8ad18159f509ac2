//! Names of the machine's users and groups, as its own files have them.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Largest file that names users or groups.
const MAX_NAMES_BYTES: u64 = 4 << 20;

/// The names.
#[derive(Debug, Default)]
pub(super) struct Names {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

impl Names {
    /// Reads those of an upper layer, or of the tree below it.
    pub(super) fn read(upper: &Path, lower: &Path) -> Self {
        let read = |file: &str| {
            let path = [upper.join(file), lower.join(file)]
                .into_iter()
                .find(|path| fs::symlink_metadata(path).is_ok_and(|found| found.is_file()))?;
            String::from_utf8(disk::read_limited(&path, MAX_NAMES_BYTES).ok()?).ok()
        };
        let names = |file| numbered(&read(file).unwrap_or_default());
        Self { users: names("etc/passwd"), groups: names("etc/group") }
    }

    /// Returns `USER:GROUP`, by name where there is one.
    pub(super) fn owner(&self, metadata: &Metadata) -> String {
        let name = |names: &BTreeMap<u32, String>, number: u32| {
            names.get(&number).cloned().unwrap_or_else(|| number.to_string())
        };
        let (user, group) = (metadata.uid(), metadata.gid());
        format!("{}:{}", name(&self.users, user), name(&self.groups, group))
    }
}

/// Returns the names of a passwd(5) or group(5) file: `NAME:…:NUMBER:…`.
fn numbered(text: &str) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(Ok(number))) =
            (fields.next(), fields.nth(1).map(str::parse::<u32>))
        {
            names.entry(number).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_have_the_names_of_the_tree() {
        let names = numbered("root:x:0:0::/root:/bin/sh\nwww-data:x:33:33\nbroken\n");
        assert_eq!(names[&33], "www-data");
        assert_eq!(names.len(), 2);
    }
}
