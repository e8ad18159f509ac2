//! A directory to converge into, a state beside it, and short words for declarations.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use converge::{
    ApplyError, DigestKey, Event, Host, Leaving, Mark, Outcomes, Plan, PlanOptions, Report,
    StateDirectory, StateError, apply, kinds, plan,
};
use resource::{
    Condition, Declaration, Guard, Notification, Place, RecipeName, ResourceId, ResourceList,
    Timing,
};

pub(crate) struct Scene {
    root: Root,
    /// Another machine than this one.
    pub(crate) below: Option<PathBuf>,
}

enum Root {
    Own(tempfile::TempDir),
    Others(PathBuf),
}

impl Scene {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("m")).unwrap();
        Self { root: Root::Own(root), below: None }
    }

    /// The scene of another process.
    pub(crate) fn of(root: &Path) -> Self {
        Self { root: Root::Others(root.to_owned()), below: None }
    }

    /// A host of its own for each run, as each run is a process of its own.
    fn host(&self) -> Host {
        self.below.as_ref().map_or_else(Host::this_machine, Host::below)
    }

    pub(crate) fn root(&self) -> &Path {
        match &self.root {
            Root::Own(root) => root.path(),
            Root::Others(root) => root,
        }
    }

    pub(crate) fn state(&self) -> StateDirectory {
        StateDirectory::at(self.root().join("state"))
    }

    /// A path of the machine.
    pub(crate) fn at(&self, name: &str) -> String {
        self.root().join("m").join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        fs::symlink_metadata(self.at(name)).is_ok()
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        fs::symlink_metadata(self.at(name)).unwrap().mode() & 0o7777
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> Declaration {
        declare("file", &self.at(name), "create").with("content", content)
    }

    pub(crate) fn directory(&self, name: &str) -> Declaration {
        declare("directory", &self.at(name), "create")
    }

    /// A command that appends its name to `log` when it is notified.
    pub(crate) fn bell(&self, name: &str) -> Declaration {
        let line = format!("echo {name} >> {}", self.at("log"));
        declare("execute", name, "nothing").with("command", line.as_str())
    }

    pub(crate) fn rung(&self) -> Vec<String> {
        match fs::read_to_string(self.at("log")) {
            Ok(log) => log.lines().map(str::to_owned).collect(),
            Err(_) => Vec::new(),
        }
    }

    pub(crate) fn try_plan(
        &self,
        declarations: Vec<Declaration>,
        leaving: Leaving,
    ) -> Result<Plan, converge::PlanError> {
        let list = ResourceList::new(declarations, kinds::schema).unwrap();
        let ledger = self.state().read().unwrap();
        let key = DigestKey::new([7; 32]);
        plan(list, &self.host(), &ledger, &PlanOptions { leaving, key: Some(&key), departing: &[] })
    }

    pub(crate) fn plan(&self, declarations: Vec<Declaration>) -> Plan {
        self.try_plan(declarations, Leaving::Undo).unwrap()
    }

    pub(crate) fn marks(&self, declarations: Vec<Declaration>) -> Vec<Mark> {
        self.plan(declarations).steps().iter().map(|step| step.mark).collect()
    }

    pub(crate) fn try_apply(&self, plan: &Plan) -> Result<Report, ApplyError> {
        self.apply_watched(plan, &mut |_| {})
    }

    /// Applies. Another test of this process that is just between `fork` and `exec` holds every lock
    /// of the process for that moment.
    pub(crate) fn apply_watched(
        &self,
        plan: &Plan,
        progress: &mut dyn FnMut(Event<'_>),
    ) -> Result<Report, ApplyError> {
        testkit::wait_until(Duration::from_secs(20), "the lock of an ended run", || {
            match self.apply_once(plan, progress) {
                Err(ApplyError::State(StateError::Locked { .. })) => None,
                other => Some(other),
            }
        })
    }

    pub(crate) fn apply_once(
        &self,
        plan: &Plan,
        progress: &mut dyn FnMut(Event<'_>),
    ) -> Result<Report, ApplyError> {
        apply(plan, &self.host(), &self.state(), 1_700_000_000_000, progress)
    }

    /// Plans and applies, whatever comes of it.
    pub(crate) fn run(&self, declarations: Vec<Declaration>) -> Report {
        self.try_apply(&self.plan(declarations)).unwrap()
    }

    /// Plans and applies; everything must go well and a second run must have nothing to do.
    #[track_caller]
    pub(crate) fn converge(&self, declarations: Vec<Declaration>) -> Report {
        let report = self.run(declarations.clone());
        assert!(report.is_good(), "{report:#?}");
        let again = self.plan(declarations.clone());
        assert!(again.is_empty(), "{}", again.render(converge::RenderOptions::default()));
        let before = self.snapshot();
        assert_eq!(self.run(declarations).changed(), 0);
        assert_eq!(self.snapshot(), before);
        report
    }

    /// Everything on the machine: mode, owner and content by path.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        let mut left = vec![self.root().join("m")];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let metadata = fs::symlink_metadata(&path).unwrap();
                let content = if metadata.is_dir() {
                    left.push(path.clone());
                    String::new()
                } else if metadata.is_symlink() {
                    fs::read_link(&path).unwrap().display().to_string()
                } else {
                    fs::read_to_string(&path).unwrap()
                };
                let (mode, uid, gid) = (metadata.mode(), metadata.uid(), metadata.gid());
                found.insert(path, format!("{mode:o} {uid}:{gid} {content}"));
            }
        }
        found
    }
}

pub(crate) fn declare(kind: &str, name: &str, action: &str) -> Declaration {
    let at = Place { file: "recipes/default.star".into(), line: 1, column: 1 };
    Declaration::new(ResourceId::new(kind, name), action, RecipeName::new("web", "default"), at)
}

/// Short forms for what a recipe would say.
pub(crate) trait Declare: Sized {
    fn of(self, recipe: &str) -> Self;
    fn notifies(self, target: &Declaration, timing: Timing) -> Self;
    fn guarded(self, wanted: bool, condition: Condition) -> Self;
    fn needing(self, other: &Declaration) -> Self;
}

impl Declare for Declaration {
    fn of(mut self, recipe: &str) -> Self {
        self.recipe = RecipeName::new(recipe, "default");
        self
    }

    fn notifies(mut self, target: &Declaration, timing: Timing) -> Self {
        let target = target.id.clone();
        self.notifies.push(Notification { action: "run".into(), target, timing });
        self
    }

    fn guarded(mut self, wanted: bool, condition: Condition) -> Self {
        self.guards.push(Guard { wanted, condition });
        self
    }

    fn needing(mut self, other: &Declaration) -> Self {
        self.after.push(other.id.clone());
        self
    }
}

/// What became of a resource.
#[track_caller]
pub(crate) fn fate<'a>(report: &'a Report, id: &ResourceId) -> &'a Outcomes {
    let outcome = report.outcomes.iter().find(|outcome| outcome.id == *id);
    &outcome.unwrap_or_else(|| panic!("{id} is not in {report:#?}")).result
}

#[track_caller]
pub(crate) fn problem(report: &Report, id: &ResourceId) -> String {
    match fate(report, id) {
        Outcomes::Failed { problem, .. } => problem.clone(),
        other => panic!("{id} did not fail: {other:?}"),
    }
}

pub(crate) fn asked(line: &str, timeout_ms: u64) -> Condition {
    let arguments = vec![line.to_owned()];
    Condition::Command { arguments, user: None, directory: None, timeout_ms }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
