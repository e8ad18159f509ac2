//! The real binary, in a constructed environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::wait_until;

/// How long a command may take before the test fails: a first build fetches its packages.
const RUN_WITHIN: Duration = Duration::from_secs(300);

/// How long after a program's end its output may stay open: somebody it left behind holds it.
const OUTPUT_ENDS_WITHIN: Duration = Duration::from_secs(10);

/// How often an end is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What a build needs to find its packages; as in the product, names and prefixes.
const PASSED_ON: [&str; 5] = ["PIP_", "UV_", "SSL_CERT_", "NPM_CONFIG_", "NODE_EXTRA_CA_CERTS"];
/// Of these the upper and the lower case are passed on.
const PROXIES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"];

/// A binary, and how it is run.
#[derive(Debug, Clone)]
pub struct Skep {
    binary: PathBuf,
    directory: PathBuf,
    environment: BTreeMap<OsString, OsString>,
    user: Option<(u32, u32)>,
    boot_id: Option<PathBuf>,
}

/// Lays a file over the kernel's boot id, for this process and those it starts, and becomes the
/// program that is named.
const WITH_BOOT_ID: &str = r#"mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@""#;

/// What a finished program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; `None` after a signal.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Panics with everything it said unless it ended with `code`.
    #[track_caller]
    #[allow(clippy::return_self_not_must_use, reason = "the check alone is enough for many")]
    pub fn expect(self, code: i32) -> Self {
        assert!(self.code == Some(code), "expected exit {code}:\n{self}");
        self
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, signal, stdout, stderr } = self;
        writeln!(f, "exit {code:?}, signal {signal:?}")?;
        write!(f, "--- stdout\n{stdout}--- stderr\n{stderr}---")
    }
}

impl Skep {
    pub(crate) fn new(binary: &Path, directory: &Path, user: Option<(u32, u32)>) -> Self {
        let mut environment = BTreeMap::from([
            ("SKEP_HOME".into(), directory.join("home").into()),
            ("HOME".into(), directory.join("user").into()),
            ("LANG".into(), "C.UTF-8".into()),
            ("TERM".into(), "dumb".into()),
        ]);
        for (name, value) in std::env::vars_os() {
            if name == "PATH" || is_passed_on(&name) {
                environment.insert(name, value);
            }
        }
        Self {
            binary: binary.to_owned(),
            directory: directory.to_owned(),
            environment,
            user,
            boot_id: None,
        }
    }

    /// With one more variable.
    #[must_use]
    pub fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Without a variable.
    #[must_use]
    pub fn without(mut self, name: impl AsRef<OsStr>) -> Self {
        self.environment.remove(name.as_ref());
        self
    }

    /// In another directory; at first it is the one around the home.
    #[must_use]
    pub fn in_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// As on a machine whose boot id is the content of this file: it lies over the kernel's in a
    /// mount namespace of the program's own, for which the test must run as root.
    pub(crate) fn with_boot_id(mut self, file: Option<PathBuf>) -> Self {
        self.boot_id = file;
        self
    }

    /// Returns the command, not started: its environment is set, its streams are not.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let Some(boot_id) = &self.boot_id else {
            // A test runner that was started in the background ignores these signals, and what it
            // starts would, too. `env` hands the process over without a child.
            let mut command = Command::new("/usr/bin/env");
            command.arg("--default-signal=INT,QUIT,HUP").arg(&self.binary);
            self.set_up(command.args(arguments));
            if let Some((uid, gid)) = self.user {
                command.uid(uid).gid(gid);
            }
            return command;
        };
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", WITH_BOOT_ID]).arg(boot_id);
        if let Some((uid, gid)) = self.user {
            let (uid, gid) = (format!("--reuid={uid}"), format!("--regid={gid}"));
            command.args(["setpriv", &uid, &gid, "--clear-groups", "--"]);
        }
        self.set_up(command.arg(&self.binary).args(arguments));
        command
    }

    fn set_up(&self, command: &mut Command) {
        command.env_clear().envs(&self.environment).current_dir(&self.directory);
    }

    /// Starts it in the background, without standard input.
    pub fn start<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Program {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null());
        Program::start(command)
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        self.start(arguments).finish(RUN_WITHIN)
    }
}

fn is_passed_on(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    PASSED_ON.iter().any(|prefix| name.starts_with(prefix))
        || PROXIES.iter().any(|proxy| name.eq_ignore_ascii_case(proxy))
}

/// A running program whose output is collected. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    stdout: Collected,
    stderr: Collected,
    status: Option<ExitStatus>,
}

impl Program {
    /// Starts a command with both its outputs collected.
    pub fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"));
        let stdout = Collected::from(child.stdout.take().unwrap());
        let stderr = Collected::from(child.stderr.take().unwrap());
        Self { child, stdout, stderr, status: None }
    }

    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns what it has written to its standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Returns what it has written to its standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Returns whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
        }
        self.status.is_some()
    }

    /// Sends it a signal, for example 2 for Ctrl-C. It must not have been waited for.
    #[track_caller]
    pub fn signal(&mut self, signal: i32) {
        assert!(!self.has_ended(), "it has ended: {self:?}");
        let pid = Pid::from_raw(self.pid().cast_signed()).unwrap();
        let signal = Signal::from_named_raw(signal).expect("a signal's number");
        kill_process(pid, signal).unwrap();
    }

    /// Waits until its standard output contains `text`.
    #[track_caller]
    pub fn wait_for_stdout(&mut self, limit: Duration, text: &str) {
        wait_until(limit, &format!("{text:?} on stdout; {}", self.describe()), || {
            self.stdout().contains(text).then_some(())
        });
    }

    /// Waits for its end and panics if it does not come in time.
    #[track_caller]
    pub fn finish(mut self, limit: Duration) -> Output {
        match self.finish_within(limit) {
            Ok(output) => output,
            Err(why) => panic!("{why}; {}", self.describe()),
        }
    }

    /// Waits for its end, or returns why there is none; never panics, for it is used while dropping.
    pub(crate) fn finish_within(&mut self, limit: Duration) -> Result<Output, String> {
        if !becomes_true(limit, || self.has_ended()) {
            return Err(format!("still running after {limit:?}"));
        }
        for (name, output) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !becomes_true(OUTPUT_ENDS_WITHIN, || output.has_ended()) {
                return Err(format!("it has ended, but somebody it left behind holds its {name}"));
            }
        }
        let status = self.status.unwrap_or_default();
        Ok(Output {
            code: status.code(),
            signal: status.signal(),
            stdout: self.stdout(),
            stderr: self.stderr(),
        })
    }

    fn describe(&self) -> String {
        format!("so far:\n--- stdout\n{}--- stderr\n{}---", self.stdout(), self.stderr())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn becomes_true(limit: Duration, mut level: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !level() {
        if start.elapsed() > limit {
            return false;
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
    true
}

/// A stream that a thread reads to its end.
#[derive(Debug)]
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Collected {
    fn from(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count) = stream.read(&mut chunk) {
                if count == 0 {
                    return;
                }
                shared.lock().unwrap().extend_from_slice(&chunk[..count]);
            }
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn has_ended(&self) -> bool {
        self.reader.is_finished()
    }
}
