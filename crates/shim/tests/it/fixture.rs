//! One shim in a place of its own, which leaves nothing behind.

use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cgroup::{Base, Leaf};
use control::SlotId;
use control::shim::{Containment, Held, Request, RestartPolicy, SlotSocket, SlotSpec};
use logs::{Filter, Reader, Start, Stream};

use crate::client::{Client, PATIENCE};

/// The slot that most tests use.
pub(crate) const SLOT: SlotId =
    SlotId { generation: control::Generation(1), number: control::SlotNumber(0) };

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A shim's place, and the shim.
pub(crate) struct Shim {
    pub(crate) root: tempfile::TempDir,
    pub(crate) installation: String,
    pub(crate) service: String,
    base: Option<Base>,
    process: Option<Child>,
}

/// Runs a test with cgroups, if there are any, and with sessions.
pub(crate) fn both(test: impl Fn(Shim)) {
    match Shim::new(Containment::Cgroup) {
        Some(shim) => test(shim),
        None => println!("not tried with cgroups"),
    }
    test(session());
}

/// Returns a running shim without cgroups.
pub(crate) fn session() -> Shim {
    Shim::new(Containment::Session).unwrap()
}

impl Shim {
    /// Returns a shim that is the first process of a pid namespace of its own.
    pub(crate) fn as_init() -> Self {
        let mut shim = Self::place();
        let binary = shim.command();
        let mut unshare = Command::new("unshare");
        unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
        unshare.arg(binary.get_program()).args(binary.get_args()).stdin(Stdio::null());
        // `unshare` keeps the standard output open, so the socket has to tell.
        shim.process = Some(unshare.stdout(Stdio::null()).spawn().unwrap());
        let socket = shim.socket();
        wait_for("the control socket", || disk::socket::connect_stream(&socket).ok());
        shim
    }

    /// Sends a signal to the first process of the namespace.
    pub(crate) fn signal_init(&self, signal: rustix::process::Signal) {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let init = rustix::process::Pid::from_raw(children.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(init, signal).unwrap();
    }

    /// Returns a running shim, `None` where there are no cgroups for it.
    pub(crate) fn new(containment: Containment) -> Option<Self> {
        let mut shim = Self::place_for(containment)?;
        shim.launch();
        let ready = shim.client().ready.unwrap();
        assert_eq!(ready.1, containment);
        Some(shim)
    }

    /// Returns a shim that is not started yet, `None` where there are no cgroups for it.
    pub(crate) fn place_for(containment: Containment) -> Option<Self> {
        let mut shim = Self::place();
        if containment == Containment::Cgroup {
            match Base::establish(&shim.installation) {
                Ok(base) => shim.base = Some(base),
                Err(why) => {
                    println!("no cgroups here: {why}");
                    return None;
                }
            }
        }
        Some(shim)
    }

    fn place() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("it{}x{number}", std::process::id());
        Self {
            root: tempfile::tempdir().unwrap(),
            installation: name.clone(),
            service: format!("{name}/web"),
            base: None,
            process: None,
        }
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.root.path().join("shim")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.root.path().join("control")
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.root.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skep-shim"));
        command.arg("--directory").arg(self.directory()).arg("--socket").arg(self.socket());
        command.args(["--service", &self.service, "--installation", &self.installation]);
        if let Some(base) = &self.base {
            command.arg("--cgroup").arg(base.path());
        }
        command.stdin(Stdio::null());
        command
    }

    /// Starts the shim and waits until it is at work: then it closes its standard output.
    pub(crate) fn launch(&mut self) {
        self.launch_as(self.command());
    }

    /// Starts the shim by a command of its own, which executes it in its own process.
    pub(crate) fn launch_as(&mut self, mut command: Command) {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut nothing = String::new();
        child.stdout.take().unwrap().read_to_string(&mut nothing).unwrap();
        assert_eq!(nothing, "");
        self.process = Some(child);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// Returns the command behind a program and arguments that execute it.
    pub(crate) fn command_behind(&self, program: &str, arguments: &[&str]) -> Command {
        let shim = self.command();
        let mut command = Command::new(program);
        command.args(arguments).arg(shim.get_program()).args(shim.get_args());
        command
    }

    /// Sends a signal to the shim.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Kills the shim alone.
    pub(crate) fn kill(&mut self) {
        let mut child = self.process.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.take().unwrap().wait().unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.socket(), &self.installation)
    }

    /// Returns a recipe for a shell script.
    pub(crate) fn sh(&self, script: &str) -> SlotSpec {
        self.spec("/bin/sh", &["sh", "-c", script])
    }

    /// Returns a recipe for a Python script.
    pub(crate) fn python(&self, script: &str) -> SlotSpec {
        let python = python();
        // Python finds its library by its zeroth argument.
        self.spec(&python, &[&python, "-c", script])
    }

    fn spec(&self, program: &str, arguments: &[&str]) -> SlotSpec {
        SlotSpec {
            id: SLOT,
            release: "v1".into(),
            program: program.into(),
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
            directory: self.root.path().to_str().unwrap().into(),
            environment: vec![
                ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()),
                ("OUT".into(), self.path("out")),
            ],
            credentials: None,
            socket: SlotSocket::None,
            notify: false,
            restart: RestartPolicy::Always,
            stop_signal: 15,
            signal_all: false,
            stop_grace_ms: 20_000,
            lease: None,
            umask: 0o022,
            open_files: None,
            process_socket: None,
        }
    }

    pub(crate) fn unix(&self) -> SlotSocket {
        SlotSocket::Unix { path: self.path("slot"), mode: 0o600, group: None }
    }

    /// Returns the live processes of this service's slots.
    pub(crate) fn processes(&self) -> Vec<u32> {
        if let Some(base) = &self.base {
            let service = base.path().join(self.service.replace('/', "."));
            let Some(leaf) = Leaf::open(&service).unwrap() else { return Vec::new() };
            let leaves = leaf.children().unwrap();
            let starts = leaves.iter().filter(|leaf| !leaf.path().ends_with("shim"));
            return starts.flat_map(|leaf| leaf.processes().unwrap()).collect();
        }
        marked(&format!("SKEP_START={}/{}/", self.installation, self.service))
    }

    /// Returns the log's lines of one stream, in order; records that go on are joined.
    pub(crate) fn log(&self, stream: Stream) -> Vec<String> {
        let filter = Filter { stream: Some(stream), ..Filter::default() };
        let mut reader =
            Reader::open(&self.directory().join("logs"), Start::Oldest, filter).unwrap();
        let mut texts = Vec::new();
        let mut text = Vec::new();
        while let Some(entry) = reader.read_next().unwrap() {
            assert!(!entry.record.gap, "a gap in the log");
            text.extend_from_slice(entry.record.bytes);
            if !entry.record.partial {
                texts.push(String::from_utf8(std::mem::take(&mut text)).unwrap());
            }
        }
        if !text.is_empty() {
            texts.push(String::from_utf8(text).unwrap());
        }
        texts
    }

    /// Waits until a file is there and whole (its writer renamed it into place), and returns it.
    pub(crate) fn wait_file(&self, name: &str) -> String {
        let path = self.root.path().join(name);
        wait_for(&format!("file {name}"), || fs::read_to_string(&path).ok())
    }
}

impl Drop for Shim {
    /// Ends everything, however the test ended.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.directory().join("shim.log")).unwrap_or_default();
            println!("the shim's own log:\n{log}");
        }
        if let Some(mut child) = self.process.take() {
            // A stopped one can be killed too.
            let _ = child.kill();
            let _ = child.wait();
        }
        let is_empty = || {
            if let Some(base) = &self.base {
                let leaf = Leaf::open(base.path()).unwrap();
                return leaf.is_none_or(|leaf| {
                    leaf.kill().unwrap();
                    !leaf.is_populated().unwrap()
                });
            }
            let pids = self.processes();
            for pid in &pids {
                let pid = rustix::process::Pid::from_raw(*pid as i32).unwrap();
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            pids.is_empty()
        };
        wait_for("the end of all processes", || is_empty().then_some(()));
        if let Some(base) = &self.base {
            base.remove();
        }
    }
}

/// Waits for something that nothing announces; looks often, gives up only on a defect.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

fn marked(prefix: &str) -> Vec<u32> {
    let alive = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|part| part.starts_with(prefix.as_bytes()))
        })
        .filter(|pid| alive(*pid))
        .collect()
}

/// Returns the path of a Python that is no wrapper script.
pub(crate) fn python() -> String {
    let output = Command::new("python3")
        .args(["-c", "import sys, os; print(os.path.realpath(sys.executable))"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn start(spec: SlotSpec) -> Request {
    Request::Start { slot: Box::new(spec) }
}

/// Takes what a client was given for a slot.
pub(crate) fn take_held(client: &mut Client, slot: SlotId) -> (Vec<Held>, Vec<OwnedFd>) {
    client.held.remove(&slot).unwrap().into_iter().unzip()
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns whether a path is there.
pub(crate) fn exists(path: &str) -> bool {
    Path::new(path).exists()
}
