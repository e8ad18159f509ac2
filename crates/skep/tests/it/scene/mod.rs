//! What the tests of commands, of starters and of bad days share: an installation with the source
//! of an app in it, and what must be true of it when nothing is going on. (Load and kills have a
//! stage of their own, with a ledger: [`crate::support`].)

mod http;
mod rest;
mod tiny;

pub(crate) use http::{Answer, get, get_of_host, post};
pub(crate) use rest::Rest;
pub(crate) use tiny::TinyApp;

use std::path::{Path, PathBuf};
use std::time::Duration;

use api::{AppSummary, ProcessRow, ReleaseRow, ReleaseState};
use serde::de::DeserializeOwned;
use testkit::{Output, Program, Skep, TempHome, wait_until};

use crate::support::port::Port;

/// How long a test waits for what must happen, on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_skep");

/// Somebody without rights: `nobody` and `nogroup`.
pub(crate) const NOBODY: (u32, u32) = (65534, 65534);

/// Returns whether the tests run as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// An installation with the source of one app and a port of its own.
pub(crate) struct Scene {
    pub(crate) home: TempHome,
    pub(crate) source: PathBuf,
    pub(crate) port: Port,
}

impl Scene {
    /// Makes one for the user who runs the tests.
    pub(crate) fn new() -> Self {
        Self::of(TempHome::new(BINARY))
    }

    /// Makes one for a user without rights; for the one who runs the tests if that is one.
    pub(crate) fn of_nobody() -> Self {
        match is_root() {
            true => Self::of(TempHome::of_user(BINARY, NOBODY.0, NOBODY.1)),
            false => Self::new(),
        }
    }

    /// Makes one around a home.
    pub(crate) fn of(home: TempHome) -> Self {
        let source = home.directory("source");
        Self { home, source, port: Port::take() }
    }

    /// Makes one that serves an app already.
    #[track_caller]
    pub(crate) fn serving(app: &TinyApp) -> Self {
        let scene = Self::new();
        app.write(&scene.source);
        scene.up();
        scene
    }

    /// Returns `skep` in the app's directory.
    pub(crate) fn skep(&self) -> Skep {
        self.home.skep().in_directory(&self.source)
    }

    /// Runs a command in the app's directory.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.skep().run(arguments)
    }

    /// Starts a command in the app's directory.
    pub(crate) fn start(&self, arguments: &[&str]) -> Program {
        self.skep().start(arguments)
    }

    /// Deploys the source for the first time.
    #[track_caller]
    pub(crate) fn up(&self) -> Output {
        self.run(&["up", "--detach", "--listen", &self.address()]).expect(0)
    }

    /// Writes another release and deploys it.
    #[track_caller]
    pub(crate) fn deploy(&self, app: &TinyApp) -> Output {
        app.write(&self.source);
        self.run(&["deploy"])
    }

    /// Returns `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        self.port.address().to_string()
    }

    /// Runs a command with `--json` and reads what it prints.
    #[track_caller]
    pub(crate) fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> T {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let output = self.run(&arguments).expect(0);
        serde_json::from_str(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?} printed no such JSON: {error}\n{output}"))
    }

    /// Returns all slots of the installation's apps.
    #[track_caller]
    pub(crate) fn processes(&self) -> Vec<ProcessRow> {
        let output = self.home.skep().run(["ps", "--json"]).expect(0);
        serde_json::from_str(&output.stdout).unwrap()
    }

    /// Returns the releases of an app, newest first.
    #[track_caller]
    pub(crate) fn releases(&self, app: &str) -> Vec<ReleaseRow> {
        self.json(&["releases", app])
    }

    /// Returns the number of the release that an app serves.
    #[track_caller]
    pub(crate) fn current(&self, app: &str) -> Option<u32> {
        let apps: Vec<AppSummary> = self.json(&["apps"]);
        apps.into_iter().find(|found| found.name == app)?.release
    }

    /// Returns the answer to a request for a path.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        get(self.port.address(), path)
    }

    /// Panics unless the newest release of an app failed and is no rollback target.
    #[track_caller]
    pub(crate) fn assert_newest_failed(&self, app: &str) {
        let newest = self.releases(app).into_iter().next().unwrap();
        assert_eq!(newest.state, ReleaseState::Failed, "{newest:?}");
        assert!(newest.failure.is_some(), "{newest:?}");
        let back = self.run(&["rollback", app, "--to", &format!("v{}", newest.number)]).expect(64);
        assert_says(&back, &["no rollback target"]);
    }
}

/// Waits until a program's standard error contains a text.
#[track_caller]
pub(crate) fn wait_for_stderr(program: &mut Program, text: &str) {
    wait_until(PATIENCE, &format!("{text:?} on stderr of {program:?}"), || {
        if program.stderr().contains(text) {
            return Some(());
        }
        assert!(!program.has_ended(), "it ended without {text:?}:\n{}", program.stderr());
        None
    });
}

/// Panics unless an output holds each of these texts.
#[track_caller]
pub(crate) fn assert_says(output: &Output, texts: &[&str]) {
    for text in texts {
        let said = output.stderr.contains(text) || output.stdout.contains(text);
        assert!(said, "{text:?} is missing in\n{output}");
    }
}

/// Copies a directory of the repository's examples.
pub(crate) fn copy_example(name: &str, to: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    copy(&from, to);
}

fn copy(from: &Path, to: &Path) {
    /// What a run in the repository itself leaves.
    const LEFT: [&str; 5] = ["__pycache__", ".venv", "instance", "var", "db.sqlite3"];
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if LEFT.iter().any(|left| name == *left) {
            continue;
        }
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(name)),
            false => drop(std::fs::copy(entry.path(), to.join(name)).unwrap()),
        }
    }
}
