//! Homes, apps and sources that remove themselves.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, Weak};

use app::model::{App, Build, DataPath, DeployPolicy, Origin, ReleaseTask};
use home::Home;
use release::{Artifact, BuildError, BuildEvent, BuildPlan, BuildUser, Builder, Cancel, Identity};
use tempfile::TempDir;

/// A small package with a console script.
pub(crate) const REQUIREMENT: &str = "gunicorn==23.0.0\n";

/// A directory that other users may pass through, whatever TMPDIR is; it can hold trees that
/// nobody may write to and goes with them.
pub(crate) struct Directory(Option<TempDir>);

impl Directory {
    fn new() -> Self {
        let directory =
            tempfile::Builder::new().prefix("skep-release-").tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self(Some(directory))
    }

    fn path(&self) -> &Path {
        self.0.as_ref().unwrap().path()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let path = self.0.take().unwrap().keep();
        disk::remove_tree(&path).unwrap();
    }
}

/// A SKEP_HOME whose uv is shared by the tests that run at the same time.
pub(crate) struct Tools {
    directory: Directory,
}

static TOOLS: Mutex<Weak<Tools>> = Mutex::new(Weak::new());

impl Tools {
    /// Returns the shared one; the first caller installs uv by two builds at once.
    fn shared() -> Arc<Self> {
        let mut shared = TOOLS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(tools) = shared.upgrade() {
            return tools;
        }
        let tools = Arc::new(Self { directory: Directory::new() });
        let home = tools.home();
        std::thread::scope(|scope| {
            for name in ["one", "two"] {
                let home = &home;
                scope.spawn(move || {
                    let source = Source::new();
                    source.write("requirements.txt", REQUIREMENT);
                    let app = app(name);
                    let builder =
                        Builder::new(home, &app, source.path(), identity(), &caller(None));
                    let cancel = Cancel::new().unwrap();
                    let plan = builder.plan(&cancel).unwrap();
                    builder.build(&plan, &mut |_| {}, &cancel).unwrap();
                });
            }
        });
        *shared = Arc::downgrade(&tools);
        tools
    }

    fn home(&self) -> Home {
        Home::at(self.directory.path())
    }

    pub(crate) fn uv(&self) -> PathBuf {
        let pinned = self.home().tools().join(format!("uv-{}/bin/uv", release::UV_VERSION));
        if pinned.exists() { pinned } else { PathBuf::from("/usr/local/bin/uv") }
    }
}

/// The caller's variables: this process's, with a PATH that holds no version manager.
fn caller(tools: Option<&Tools>) -> BTreeMap<String, String> {
    let mut caller: BTreeMap<String, String> = std::env::vars().collect();
    caller.remove("HOME");
    let first = tools.and_then(|tools| Some(tools.uv().parent()?.display().to_string()));
    caller.insert("PATH".to_owned(), first.unwrap_or_default());
    caller
}

/// Another user where that is possible.
pub(crate) fn identity() -> Identity {
    if rustix::process::geteuid().is_root() {
        Identity::User(BuildUser { uid: 65534, gid: 65534, name: "nobody".to_owned() })
    } else {
        Identity::Same
    }
}

pub(crate) fn app(name: &str) -> App {
    /// Longer than any build here.
    const TIMEOUT_MS: u64 = 300_000;
    App {
        name: name.to_owned(),
        origin: Origin::Detected,
        data: Vec::new(),
        build: Build { timeout_ms: TIMEOUT_MS, ..Build::default() },
        release: ReleaseTask::default(),
        env: BTreeMap::new(),
        services: BTreeMap::new(),
        deploy: DeployPolicy { watch_ms: 0, keep: 5 },
        notes: Vec::new(),
    }
}

pub(crate) fn data(path: &str) -> DataPath {
    DataPath { path: path.to_owned(), implied: false }
}

/// A source directory.
pub(crate) struct Source(Directory);

impl Source {
    pub(crate) fn new() -> Self {
        Self(Directory::new())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn git(&self, arguments: &[&str]) {
        let status = Command::new("git")
            .args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.org",
                "-c",
                "init.defaultBranch=main",
            ])
            .args(["-c", "protocol.file.allow=always", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(self.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .status()
            .unwrap();
        assert!(status.success(), "git {arguments:?}");
    }
}

/// A SKEP_HOME of one test.
pub(crate) struct Place {
    pub(crate) tools: Arc<Tools>,
    directory: Directory,
    pub(crate) home: Home,
}

impl Place {
    pub(crate) fn new() -> Self {
        let tools = Tools::shared();
        let directory = Directory::new();
        let home = Home::at(directory.path());
        Self { tools, directory, home }
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn builder(&self, app: &App, source: &Source) -> Builder {
        Builder::new(&self.home, app, source.path(), identity(), &caller(Some(&self.tools)))
    }

    pub(crate) fn plan(&self, app: &App, source: &Source) -> Result<BuildPlan, BuildError> {
        self.builder(app, source).plan(&Cancel::new().unwrap())
    }

    pub(crate) fn build(
        &self,
        app: &App,
        source: &Source,
    ) -> Result<(Artifact, Vec<BuildEvent>), BuildError> {
        let cancel = Cancel::new().unwrap();
        let builder = self.builder(app, source);
        let plan = builder.plan(&cancel)?;
        let mut events = Vec::new();
        let artifact = builder.build(&plan, &mut |event| events.push(event), &cancel)?;
        Ok((artifact, events))
    }

    /// Returns the hidden names in the app's artifacts directory: what a build must not leave.
    pub(crate) fn leftovers(&self, app: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.home.app_artifacts(app))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with('.') && name != ".lock")
            .collect();
        names.sort();
        names
    }
}

/// Returns whether some process has this word in its command line.
pub(crate) fn is_running(word: &str) -> bool {
    fs::read_dir("/proc").unwrap().any(|entry| {
        let path = entry.unwrap().path().join("cmdline");
        fs::read(path).is_ok_and(|bytes| {
            bytes.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())
        })
    })
}
