//! Where the version 2 hierarchy is mounted, and where this process is in it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::WhyNot;

const MOUNTS: &str = "/proc/self/mountinfo";
const OWN: &str = "/proc/self/cgroup";

/// Which hierarchies a machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Version 2 alone.
    Unified,
    /// Version 2 beside version 1.
    Hybrid,
}

/// A mounted version 2 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub path: PathBuf,
    /// Which cgroup is seen there; `/` outside containers.
    pub root: String,
    /// What is mounted beside it.
    pub layout: Layout,
}

impl Mount {
    /// Returns the first version 2 mount of this mount namespace.
    pub fn find() -> Result<Self, WhyNot> {
        let text =
            fs::read_to_string(MOUNTS).map_err(|source| WhyNot::NoProc { path: MOUNTS, source })?;
        parse_mounts(&text).ok_or(WhyNot::NoMount)
    }

    /// Returns the directory of the cgroup this process is in.
    pub fn own(&self) -> Result<PathBuf, WhyNot> {
        let text =
            fs::read_to_string(OWN).map_err(|source| WhyNot::NoProc { path: OWN, source })?;
        let own = parse_own(&text).ok_or(WhyNot::NoMount)?;
        let outside = || WhyNot::OutsideMount { own: own.to_owned(), root: self.root.clone() };
        let below = Path::new(own).strip_prefix(&self.root).map_err(|_| outside())?;
        // A process moved here from outside its cgroup namespace sees `/../…`.
        if below.components().any(|part| part.as_os_str() == "..") {
            return Err(outside());
        }
        Ok(self.path.join(below))
    }
}

fn parse_mounts(text: &str) -> Option<Mount> {
    let mut found = None;
    let mut layout = Layout::Unified;
    for line in text.lines() {
        // id parent major:minor ROOT POINT options [optional…] - TYPE source super-options
        let (left, right) = line.split_once(" - ")?;
        let kind = right.split(' ').next()?;
        if kind == "cgroup" {
            layout = Layout::Hybrid;
        }
        if kind == "cgroup2" && found.is_none() {
            let mut fields = left.split(' ').skip(3);
            let root = unescape(fields.next()?);
            found = Some((PathBuf::from(unescape(fields.next()?)), root));
        }
    }
    let (path, root) = found?;
    Some(Mount { path, root, layout })
}

/// Returns the path on the version 2 line, `0::/path`.
fn parse_own(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// Undoes mountinfo's octal escapes of space, tab, newline and backslash.
fn unescape(text: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_are_recognised() {
        let hybrid = "30 23 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      31 23 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup rw\n";
        let mount = parse_mounts(hybrid).unwrap();
        assert_eq!(mount.path, Path::new("/sys/fs/cgroup/unified"));
        assert_eq!((mount.root.as_str(), mount.layout), ("/", Layout::Hybrid));
        let unified = "31 23 0:27 /docker/ab /sys/fs/cg\\040roup ro - cgroup2 cgroup rw\n";
        let mount = parse_mounts(unified).unwrap();
        assert_eq!(mount.path, Path::new("/sys/fs/cg roup"));
        assert_eq!((mount.root.as_str(), mount.layout), ("/docker/ab", Layout::Unified));
        assert_eq!(parse_mounts("1 2 0:1 / / rw - ext4 /dev/sda rw\n"), None);
    }

    #[test]
    fn the_own_cgroup_is_on_the_line_of_hierarchy_zero() {
        assert_eq!(parse_own("4:memory:/a\n0::/b/c\n"), Some("/b/c"));
        assert_eq!(parse_own("4:memory:/a\n"), None);
    }
}
