//! An installation that serves a ledger app, and what can be seen of it from outside.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use api::{DeployEvent, Overview, ProcessRow, SlotPhase, StepName};
use serde::de::DeserializeOwned;
use testkit::apps::{LedgerApp, Starts, missing_log_lines};
use testkit::{
    Found, Kind, Ledger, Load, Output, Program, TempHome, processes_naming, wait_for, wait_until,
};

use super::port::Port;

/// How long an installation may take to be as it should after something of it was killed.
pub(crate) const RECOVERS_WITHIN: Duration = Duration::from_secs(20);

/// How long a deploy may take to come to a step.
pub(crate) const STEP_WITHIN: Duration = Duration::from_secs(60);

/// More lines than any test writes; the agent's own bound.
const ALL_LINES: &str = "100000";

/// Whose installation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Who runs the test.
    Tester,
    /// A user without privileges; who runs the test, if that is one.
    Ordinary,
}

/// The user who stands for all users without privileges.
const NOBODY: u32 = 65534;

/// A home with one app, served on a port of its own.
pub(crate) struct Site {
    /// The installation.
    pub(crate) home: TempHome,
    /// The app as it was last written.
    pub(crate) app: LedgerApp,
    port: Port,
    edits: u32,
}

impl Site {
    /// Writes the app and serves it.
    #[track_caller]
    pub(crate) fn new(owner: Owner, app: LedgerApp) -> Self {
        Self::with_program(owner, app, Path::new(env!("CARGO_BIN_EXE_skep")))
    }

    /// Does so with another `skep`.
    #[track_caller]
    pub(crate) fn with_program(owner: Owner, app: LedgerApp, binary: &Path) -> Self {
        let is_root = rustix::process::geteuid().is_root();
        let home = match owner {
            Owner::Ordinary if is_root => TempHome::of_user(binary, NOBODY, NOBODY),
            _ => TempHome::new(binary),
        };
        let mut site = Self { home, app, port: Port::take(), edits: 0 };
        site.edit();
        let listen = site.port.address().to_string();
        site.skep(&["up", "--detach", "--listen", &listen]).expect(0);
        site.settle();
        site
    }

    /// Runs `skep` in the app's directory.
    #[track_caller]
    pub(crate) fn skep(&self, arguments: &[&str]) -> Output {
        self.command().run(arguments)
    }

    /// Starts `skep` in the app's directory.
    pub(crate) fn start(&self, arguments: &[&str]) -> Program {
        self.command().start(arguments)
    }

    fn command(&self) -> testkit::Skep {
        self.home.skep().in_directory(self.source())
    }

    /// Returns the app's directory.
    pub(crate) fn source(&self) -> PathBuf {
        self.home.directory("source")
    }

    /// Runs `skep … --json` and reads its answer.
    #[track_caller]
    pub(crate) fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> T {
        let output = self.skep(&[arguments, &["--json"]].concat()).expect(0);
        match serde_json::from_str(&output.stdout) {
            Ok(value) => value,
            Err(error) => panic!("{error} in the answer to {arguments:?}:\n{output}"),
        }
    }

    /// Returns the app's address.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.port.address()
    }

    /// Returns a load on the app's address, not started.
    pub(crate) fn load(&self) -> Load {
        Load::new(self.port.address())
    }

    /// Changes the app's code, so that the next deploy makes another release.
    pub(crate) fn edit(&mut self) {
        self.edits += 1;
        self.app.release = format!("edit-{}", self.edits);
        self.app.write(&self.source());
    }

    /// Edits and deploys.
    #[track_caller]
    pub(crate) fn deploy_edit(&mut self) {
        self.edit();
        self.skep(&["deploy"]).expect(0);
        self.assert_serves(&self.app.release);
    }

    /// Asks the app which release it is, on a connection of its own.
    #[track_caller]
    pub(crate) fn served(&self) -> String {
        let report = self.load().connections(1).requests(1).mix([Kind::get("/")]).run();
        report.assert_no_failures();
        report.samples[0].release.clone().expect("the ledger app says its release")
    }

    /// Panics unless the app answers as this release.
    #[track_caller]
    pub(crate) fn assert_serves(&self, release: &str) {
        assert_eq!(self.served(), release, "another release serves");
    }

    /// Returns the rows of `skep ps`.
    #[track_caller]
    pub(crate) fn rows(&self) -> Vec<ProcessRow> {
        self.json(&["ps"])
    }

    /// Returns the rows of the web service, by slot.
    #[track_caller]
    pub(crate) fn web(&self) -> Vec<ProcessRow> {
        let service = format!("{}/web", self.app.name);
        let mut rows: Vec<_> =
            self.rows().into_iter().filter(|row| row.service == service).collect();
        rows.sort_by_key(|row| row.slot);
        rows
    }

    /// Waits until everything is as it should be; returns how long that took.
    #[track_caller]
    pub(crate) fn settle(&self) -> Duration {
        let start = Instant::now();
        wait_for(RECOVERS_WITHIN, "an installation under control", || self.is_settled());
        start.elapsed()
    }

    /// Returns why the installation is not as it should be: every wanted slot is ready, each has
    /// exactly one main process, which is the one that `ps` names, there is none beside them, and
    /// the agent knows of no problem.
    fn is_settled(&self) -> Result<(), String> {
        let listed = self.skep(&["ps", "--json"]);
        let rows: Vec<ProcessRow> = serde_json::from_str(&listed.stdout)
            .map_err(|_| format!("no list of processes: {listed}"))?;
        let overview = self.skep(&["agent:status", "--json"]);
        let overview: Overview = serde_json::from_str(&overview.stdout)
            .map_err(|_| format!("no answer of the agent: {overview}"))?;
        if !overview.ready || !overview.problems.is_empty() {
            return Err(format!("{overview:?}"));
        }
        let mut listed = BTreeMap::new();
        for row in &rows {
            let (SlotPhase::Ready, Some(pid)) = (row.phase, row.pid) else {
                return Err(format!("{row:?}"));
            };
            let (app, service) = row.service.split_once('/').unwrap_or_default();
            let slot = format!("{app}.{service}.g{}.{}", row.generation, row.slot);
            listed.insert(slot, vec![pid]);
        }
        let running = self.mains();
        if running == listed && !listed.is_empty() {
            Ok(())
        } else {
            Err(format!("`ps` lists {listed:?}; there are {running:?}"))
        }
    }

    /// Returns the processes of each slot whose parent is not one of that slot's: one, unless there
    /// is a second copy or somebody was left behind.
    pub(crate) fn mains(&self) -> BTreeMap<String, Vec<u32>> {
        let mut slots: BTreeMap<String, Vec<Found>> = BTreeMap::new();
        for process in self.home.processes() {
            if let Some(slot) = slot_of(&process) {
                slots.entry(slot).or_default().push(process);
            }
        }
        let mains = |processes: Vec<Found>| {
            let is_inner = |process: &&Found| {
                let parent = process.parent();
                processes.iter().any(|other| Some(other.pid) == parent)
            };
            processes.iter().filter(|process| !is_inner(process)).map(|found| found.pid).collect()
        };
        slots.into_iter().map(|(slot, processes)| (slot, mains(processes))).collect()
    }

    /// Returns every process of a slot of the web service, its main one first.
    #[track_caller]
    pub(crate) fn tree(&self, row: &ProcessRow) -> Vec<Found> {
        let slot = format!("{}.web.g{}.{}", self.app.name, row.generation, row.slot);
        let mut tree: Vec<Found> = self.home.processes();
        tree.retain(|process| slot_of(process).as_ref() == Some(&slot));
        tree.sort_by_key(|process| (Some(process.pid) != row.pid, process.pid));
        assert!(tree.first().is_some_and(|main| Some(main.pid) == row.pid), "{row:?} has no main");
        tree
    }

    /// Returns the one process whose command line has these words next to each other.
    #[track_caller]
    pub(crate) fn process(&self, words: &str) -> Found {
        wait_for(RECOVERS_WITHIN, words, || {
            let mut found = self.home.processes();
            found.retain(|process| format!("{} ", process.command).contains(&format!(" {words} ")));
            match found.len() {
                1 => Ok(found.remove(0)),
                count => Err(format!("{count} of them")),
            }
        })
    }

    /// Returns the agent's process.
    #[track_caller]
    pub(crate) fn agent(&self) -> Found {
        self.process("agent:run")
    }

    /// Returns the proxy's process.
    #[track_caller]
    pub(crate) fn proxy(&self) -> Found {
        self.process("proxy --home")
    }

    /// Returns the shim of a service, `app/service`.
    #[track_caller]
    pub(crate) fn shim(&self, service: &str) -> Found {
        self.process(&format!("--service {service}"))
    }

    /// Returns every shim.
    pub(crate) fn shims(&self) -> Vec<Found> {
        let mut found = processes_naming(self.home.home().root());
        found.retain(|process| process.command.contains(" --service "));
        found
    }

    /// Returns what tells one socket from another of the same address: the public listener's
    /// inode, and that of the file of each slot of the web service.
    #[track_caller]
    pub(crate) fn sockets(&self) -> BTreeMap<String, u64> {
        let mut sockets = BTreeMap::from([("public".to_owned(), self.public_inode())]);
        for row in self.web() {
            let service = row.service.replace('/', ".");
            let path = self.home.home().slot_socket(&service, row.generation, row.slot);
            let inode = std::fs::metadata(&path).map(|found| found.ino());
            sockets.insert(format!("{}.{}", row.generation, row.slot), inode.unwrap_or(0));
        }
        sockets
    }

    /// Returns the inode of the socket that listens on the app's port, see proc_net_tcp(5).
    #[track_caller]
    fn public_inode(&self) -> u64 {
        const LISTENING: &str = "0A";
        let local = format!("0100007F:{:04X}", self.port.address().port());
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let found = table.lines().find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let listens = words.get(1) == Some(&local.as_str()) && words.get(3) == Some(&LISTENING);
            listens.then(|| words.get(9)?.parse().ok())?
        });
        found.expect("somebody listens on the app's port")
    }

    /// Returns what the app executed.
    pub(crate) fn ledger(&self) -> Ledger {
        Ledger::read(&self.data("ledger"))
    }

    /// Returns what the worker noted of its starts.
    pub(crate) fn starts(&self) -> Starts {
        Starts::read(&self.data("starts"))
    }

    fn data(&self, name: &str) -> PathBuf {
        self.home.home().data(&self.app.name).join("data").join(name)
    }

    /// Returns every line that the app's processes have written, as it was logged.
    #[track_caller]
    pub(crate) fn log_lines(&self) -> Vec<String> {
        let output = self.skep(&["logs", &self.app.name, "-n", ALL_LINES, "--json"]).expect(0);
        let line = |text: &str| -> api::LogLine { serde_json::from_str(text).unwrap() };
        output.stdout.lines().map(|text| line(text).text).collect()
    }

    /// Panics if a numbered line is missing or there twice, or if there are fewer lines about
    /// POSTs than POSTs executed. Returns how many numbered lines there are.
    #[track_caller]
    pub(crate) fn assert_complete_log(&self) -> usize {
        let lines = self.log_lines();
        let missing = missing_log_lines(lines.iter().map(String::as_str));
        assert!(missing.is_empty(), "log lines that are lost, or there twice: {missing:?}");
        let posts = lines.iter().filter(|line| line.ends_with(" POST /append")).count();
        let executed = self.ledger().len();
        assert!(posts >= executed, "{executed} POSTs were executed, {posts} were logged");
        lines.iter().filter(|line| line.starts_with("log ")).count()
    }
}

/// Waits until a deploy, started with `--json`, is at a step.
#[track_caller]
pub(crate) fn wait_for_step(program: &Program, step: StepName) {
    wait_until(STEP_WITHIN, &format!("a deploy at {step:?}"), || {
        let stdout = program.stdout();
        let mut events = stdout.lines().filter_map(|line| serde_json::from_str(line).ok());
        let is_it = |event| matches!(event, DeployEvent::Progress(news) if news.step == step);
        events.any(is_it).then_some(())
    });
}

/// Returns which slot a process belongs to, `app.service.gGENERATION.SLOT`, by the runtime
/// directory that no other slot has.
fn slot_of(process: &Found) -> Option<String> {
    let directory = process.variable("XDG_RUNTIME_DIR")?;
    Some(PathBuf::from(directory).file_name()?.to_str()?.to_owned())
}
