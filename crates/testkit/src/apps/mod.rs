//! Small real apps that can be asked what they did.
//!
//! [`LedgerApp`] serves HTTP by gunicorn or uvicorn:
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | its release and its process id |
//! | `POST /append` with `{"id": …}` | the id, after one line was appended to `data/ledger` |
//! | `POST /append?ms=50` | the same, answered so long after it was appended |
//! | `GET /slow?ms=50` | after that time |
//!
//! Every answer has `X-Release` and `X-Pid`; every request writes one numbered line to standard
//! output before it is answered: `log <start> <number> <method> <path>`, where `start` is unique to
//! a process and its numbers count from 1 without holes. See [`missing_log_lines`].
//!
//! The worker service listens nowhere. It writes the same lines on its own, and notes each of its
//! starts in `data/starts`: `start`, `stop`, or `double` when another of it is alive.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const WSGI: &str = include_str!("ledger_wsgi.py");
const ASGI: &str = include_str!("ledger_asgi.py");
const NUMBERED: &str = include_str!("numbered.py");
const WORKER: &str = include_str!("worker.py");

/// What serves the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// gunicorn with sync workers.
    GunicornSync,
    /// gunicorn with threads.
    GunicornThreads,
    /// uvicorn, one process.
    Uvicorn,
    /// uvicorn with two processes behind its own supervisor.
    UvicornWorkers,
}

impl Server {
    fn package(self) -> &'static str {
        match self {
            Self::GunicornSync | Self::GunicornThreads => "gunicorn",
            Self::Uvicorn | Self::UvicornWorkers => "uvicorn",
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::GunicornSync => "gunicorn --workers 2 ledger:application",
            Self::GunicornThreads => "gunicorn --workers 2 --threads 4 ledger:application",
            Self::Uvicorn => "uvicorn ledger:application",
            Self::UvicornWorkers => "uvicorn --workers 2 ledger:application",
        }
    }
}

/// How the app starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartUp {
    /// As it should.
    Good,
    /// It raises a `KeyError` while it is imported.
    Raises,
    /// It exits with this status while it is imported.
    Exits(u8),
    /// It never finishes being imported.
    Hangs,
    /// It takes so many milliseconds to be imported.
    TakesMs(u32),
    /// It answers every request with 500.
    Answers500,
}

impl StartUp {
    fn value(self) -> String {
        match self {
            Self::Good => "good".into(),
            Self::Raises => "raises".into(),
            Self::Exits(status) => format!("exits:{status}"),
            Self::Hangs => "hangs".into(),
            Self::TakesMs(milliseconds) => format!("takes:{milliseconds}"),
            Self::Answers500 => "500".into(),
        }
    }
}

/// An app to be written into a directory; write it again for its next release.
#[derive(Debug, Clone)]
pub struct LedgerApp {
    /// The app's name.
    pub name: String,
    /// What its answers call it.
    pub release: String,
    /// What serves it.
    pub server: Server,
    /// How many slots its web service has.
    pub processes: u32,
    /// Whether it has the worker service too, named `worker`.
    pub worker: bool,
    /// How it starts, as the default of the variable `LEDGER_START`.
    pub start_up: StartUp,
    /// More lines for `[services.web]`.
    pub web_settings: String,
    /// More tables for the app file, for example `[deploy]`.
    pub tables: String,
}

impl LedgerApp {
    /// Returns an app with one slot of gunicorn's sync workers.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            release: "one".into(),
            server: Server::GunicornSync,
            processes: 1,
            worker: false,
            start_up: StartUp::Good,
            web_settings: String::new(),
            tables: String::new(),
        }
    }

    /// Writes the app; files of an earlier release are replaced.
    pub fn write(&self, directory: &Path) {
        let code = match self.server {
            Server::GunicornSync | Server::GunicornThreads => WSGI,
            Server::Uvicorn | Server::UvicornWorkers => ASGI,
        };
        write(directory, "ledger.py", code);
        write(directory, "numbered.py", NUMBERED);
        write(directory, "release.txt", &format!("{}\n", self.release));
        write(directory, "requirements.txt", &format!("{}\n", self.server.package()));
        if self.worker {
            write(directory, "worker.py", WORKER);
        }
        write(directory, "skep.toml", &self.app_file());
    }

    fn app_file(&self) -> String {
        let mut text = format!(
            "app = \"{}\"\ndata = [\"data\"]\n\n[env]\nLEDGER_START = \"{}\"\n\n\
             [services.web]\ncommand = \"{}\"\nprocesses = {}\n",
            self.name,
            self.start_up.value(),
            self.server.command(),
            self.processes,
        );
        if !self.web_settings.is_empty() {
            let _ = writeln!(text, "{}", self.web_settings.trim_end());
        }
        if self.worker {
            text.push_str("\n[services.worker]\ncommand = \"python worker.py\"\n");
        }
        if !self.tables.is_empty() {
            let _ = writeln!(text, "\n{}", self.tables.trim_end());
        }
        text
    }
}

fn write(directory: &Path, name: &str, text: &str) {
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join(name), text).unwrap();
}

/// Returns what is missing among numbered lines: for each start, the numbers below its highest that
/// are not there. Other lines are ignored; a line that is there twice is reported as `-number`.
pub fn missing_log_lines<'a>(
    lines: impl IntoIterator<Item = &'a str>,
) -> BTreeMap<String, Vec<i64>> {
    let mut seen: BTreeMap<&str, BTreeMap<i64, usize>> = BTreeMap::new();
    for line in lines {
        let mut words = line.split(' ');
        if words.next() != Some("log") {
            continue;
        }
        if let (Some(start), Some(Ok(number))) = (words.next(), words.next().map(str::parse)) {
            *seen.entry(start).or_default().entry(number).or_default() += 1;
        }
    }
    let mut missing = BTreeMap::new();
    for (start, numbers) in seen {
        let last = *numbers.keys().next_back().unwrap_or(&0);
        let lost = (1..last).filter(|number| !numbers.contains_key(number));
        let twice = numbers.iter().filter(|(_, times)| **times > 1).map(|(number, _)| -number);
        let wrong: Vec<i64> = lost.chain(twice).collect();
        if !wrong.is_empty() {
            missing.insert(start.to_owned(), wrong);
        }
    }
    missing
}

/// What the worker service noted of its starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Starts {
    /// Starts that found themselves alone.
    pub good: usize,
    /// Orderly ends.
    pub stops: usize,
    /// Starts that found another one alive, as they were noted.
    pub double: Vec<String>,
}

impl Starts {
    /// Reads `data/starts`; a missing file is no starts.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut starts = Self::default();
        for line in text.lines() {
            match line.split(' ').next() {
                Some("start") => starts.good += 1,
                Some("stop") => starts.stops += 1,
                _ => starts.double.push(line.to_owned()),
            }
        }
        starts
    }
}
