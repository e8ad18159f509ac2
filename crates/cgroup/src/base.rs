//! Which cgroup an installation may call its own.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::error::WhyNot;
use crate::leaf::Leaf;
use crate::mount::Mount;

/// The cgroup below which everything of one installation lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    path: PathBuf,
}

impl Base {
    /// Finds and makes the base of `installation`, `skep-<installation>`:
    ///
    /// 1. where this process is already below it, that one (the agent runs inside of it);
    /// 2. below the systemd service this process belongs to, so that the whole installation is in
    ///    its unit (which has `Delegate=yes`);
    /// 3. as root: at the root of the hierarchy;
    /// 4. as an ordinary user: below one's own cgroup, where that is delegated.
    ///
    /// The error is a sentence for `doctor`.
    pub fn establish(installation: &str) -> Result<Self, WhyNot> {
        let mount = Mount::find()?;
        let own = mount.own()?;
        let name = format!("skep-{installation}");
        let path = choose(&mount.path, &own, &name, rustix::process::geteuid().is_root());
        make(&path)?;
        // Moving a process needs the right to write to the common ancestor of where it is and where
        // it goes; without it leaves could be made but never entered.
        if let Some(parent) = path.parent().filter(|_| !own.starts_with(&path)) {
            may_write(parent)?;
        }
        Ok(Self { path })
    }

    /// Returns its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the base and everything below it that has no process; what has one stays.
    pub fn remove(&self) {
        if let Ok(Some(leaf)) = Leaf::open(&self.path) {
            // A populated part answers EBUSY: staying is what is asked for then.
            let _ = leaf.remove();
        }
    }
}

fn choose(mount: &Path, own: &Path, name: &str, root: bool) -> PathBuf {
    if let Some(base) = own.ancestors().find(|part| part.file_name().is_some_and(|n| n == name)) {
        return base.to_owned();
    }
    let unit = own
        .ancestors()
        .take_while(|part| part.starts_with(mount))
        .find(|part| part.extension().is_some_and(|suffix| suffix == "service"));
    match unit {
        Some(unit) => unit.join(name),
        None if root => mount.join(name),
        None => own.join(name),
    }
}

fn make(path: &Path) -> Result<(), WhyNot> {
    match fs::create_dir(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => {
            let parent = path.parent().unwrap_or(path);
            Err(WhyNot::from_io(parent, error))
        }
    }
}

fn may_write(cgroup: &Path) -> Result<(), WhyNot> {
    match access(cgroup.join("cgroup.procs"), Access::WRITE_OK) {
        Ok(()) => Ok(()),
        Err(Errno::ACCESS) => Err(WhyNot::NotDelegated { path: cgroup.to_owned() }),
        Err(errno) => Err(WhyNot::from_io(cgroup, errno.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_chosen_by_where_the_process_is() {
        let chosen = |own: &str, root| {
            let path = choose(Path::new("/cg"), Path::new(own), "skep-i", root);
            path.to_str().unwrap().to_owned()
        };
        assert_eq!(chosen("/cg", true), "/cg/skep-i");
        assert_eq!(chosen("/cg/user.slice/session-3.scope", true), "/cg/skep-i");
        assert_eq!(
            chosen("/cg/user.slice/session-3.scope", false),
            "/cg/user.slice/session-3.scope/skep-i"
        );
        assert_eq!(
            chosen("/cg/system.slice/skep.service", true),
            "/cg/system.slice/skep.service/skep-i"
        );
        assert_eq!(
            chosen("/cg/system.slice/a.service/init", true),
            "/cg/system.slice/a.service/skep-i"
        );
        assert_eq!(chosen("/cg/skep-i/shop.service/g1.0.1", true), "/cg/skep-i");
        assert_eq!(chosen("/cg/skep-j/shop.web/g1.0.1", true), "/cg/skep-i");
    }

    #[test]
    fn establishing_works_or_says_why_not() {
        let installation = format!("basetest{}", std::process::id());
        match Base::establish(&installation) {
            Ok(base) => {
                assert!(base.path().join("cgroup.procs").exists());
                assert_eq!(Base::establish(&installation).unwrap(), base);
                base.remove();
                assert!(!base.path().exists());
            }
            Err(why) => {
                assert!(!rustix::process::geteuid().is_root() || Mount::find().is_err(), "{why}");
                println!("no cgroups here: {why}");
            }
        }
    }
}
