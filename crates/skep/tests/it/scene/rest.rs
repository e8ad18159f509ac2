//! An installation at rest: what it has, to be compared before and after.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use api::SlotPhase;
use testkit::wait_for;

use super::{PATIENCE, Scene};

/// What builds of one app take turns by; it stays.
const LOCK: &str = ".lock";

/// Everything that a change of an app could leave behind. Two of the same installation are equal
/// when nothing was started, ended or left between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rest {
    /// `shop/web.0 v1 ready, process 7`
    slots: BTreeSet<String>,
    /// Processes of the installation; not shims, which come and go with what they keep.
    processes: BTreeSet<String>,
    /// Sockets and private directories of slots.
    files: BTreeSet<String>,
    /// Directories of builds that are going on, and half-made artifacts.
    stages: BTreeSet<String>,
}

impl Rest {
    /// Looks at an installation.
    #[track_caller]
    pub(crate) fn of(scene: &Scene) -> Self {
        let rows = scene.processes();
        let slots = rows.iter().map(|row| {
            let (service, slot, phase) = (&row.service, row.slot, row.phase);
            format!("{service}.{slot} v{} {phase:?}, process {:?}", row.release, row.pid)
        });
        let home = scene.home.home();
        let processes = scene.home.processes().into_iter().filter(|found| {
            let program = found.command.split(' ').next().unwrap_or_default();
            !program.ends_with("skep-shim") && !found.command.contains(" shim --directory")
        });
        let mut files = names(&home.slots());
        files.extend(names(&home.run().join("private")));
        let apps = names(&home.artifacts());
        let stages = apps.iter().flat_map(|app| {
            let names = names(&home.artifacts().join(app)).into_iter();
            names.filter(|name| name.starts_with('.') && name != LOCK)
        });
        Self {
            slots: slots.collect(),
            processes: processes.map(|found| found.to_string()).collect(),
            files,
            stages: stages.collect(),
        }
    }

    /// Returns how much there is of each kind, for two times between which slots were replaced.
    pub(crate) fn counts(&self) -> [usize; 4] {
        [&self.slots, &self.processes, &self.files, &self.stages].map(BTreeSet::len)
    }

    /// Waits until the installation is as it was at this time.
    #[track_caller]
    pub(crate) fn wait(&self, scene: &Scene) {
        wait_for(PATIENCE, &format!("the rest as before:\n{self}"), || {
            let now = Self::of(scene);
            if now == *self { Ok(()) } else { Err(now) }
        });
    }

    /// Waits until every slot is ready and of one of these releases of its app, and nothing else
    /// is there; returns that.
    #[track_caller]
    pub(crate) fn with(scene: &Scene, releases: &[(&str, u32)]) -> Self {
        wait_for(PATIENCE, &format!("{releases:?} at rest"), || {
            let now = Self::of(scene);
            let rows = scene.processes();
            let expected = rows.iter().all(|row| {
                let app = row.service.split('/').next().unwrap_or_default();
                row.phase == SlotPhase::Ready && releases.contains(&(app, row.release))
            });
            let each = releases.iter().all(|(app, number)| {
                rows.iter().any(|row| {
                    row.service.starts_with(&format!("{app}/")) && row.release == *number
                })
            });
            let count = rows.len();
            let as_many = now.files.len() <= 2 * count;
            if expected && each && as_many && now.stages.is_empty() { Ok(now) } else { Err(now) }
        })
    }
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, set) in [
            ("slots", &self.slots),
            ("processes", &self.processes),
            ("files", &self.files),
            ("stages", &self.stages),
        ] {
            writeln!(f, "{title}")?;
            for one in set {
                writeln!(f, "    {one}")?;
            }
        }
        Ok(())
    }
}

/// Returns the names in a directory; none if it is not there.
fn names(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
