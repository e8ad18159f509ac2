//! An installation of its own for every test, and nothing left of it afterwards.

use std::io::Read;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cgroup::{Base, Leaf};
use control::shim::{Phase, RestartPolicy, SlotSocket, SlotSpec, SlotState};
use control::{ServiceName, SlotId};
use home::Home;
use rustix::process::{Pid, Signal, kill_process};
use supervise::{Config, ServiceHandle, ServiceView, ShimProgram, ShimState, Supervisor, wait_for};

/// Long enough that only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Installation {
    directory: tempfile::TempDir,
    pub(crate) home: Home,
    pub(crate) id: String,
    base: Option<Base>,
}

impl Installation {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path().join("home"));
        let id = home.create().unwrap().id;
        let base = Base::establish(&id).ok();
        Self { directory, home, id, base }
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            home: self.home.clone(),
            installation: self.id.clone(),
            build: "test".to_owned(),
            boot_id: disk::boot_id().unwrap(),
            shim_program: ShimProgram { path: example("shim"), arguments: Vec::new() },
            cgroup_base: self.base.as_ref().map(|base| base.path().to_owned()),
        }
    }

    pub(crate) fn supervisor(&self) -> Supervisor {
        Supervisor::new(self.config())
    }

    /// Returns the recipe of a slot that answers with its process id.
    pub(crate) fn answering(&self, slot: SlotId) -> SlotSpec {
        SlotSpec {
            id: slot,
            release: "v1".to_owned(),
            program: text(&example("answer")),
            arguments: vec!["answer".to_owned()],
            directory: "/".to_owned(),
            environment: vec![("SKEP_TEST".to_owned(), text(self.directory.path()))],
            credentials: None,
            socket: SlotSocket::Unix { path: text(&self.socket(slot)), mode: 0o600, group: None },
            notify: false,
            restart: RestartPolicy::Always,
            stop_signal: 15,
            signal_all: false,
            stop_grace_ms: 10_000,
            lease: None,
            umask: 0o022,
            open_files: None,
            process_socket: None,
        }
    }

    pub(crate) fn socket(&self, slot: SlotId) -> PathBuf {
        self.home.slot_socket("shop.web", slot.generation.0, slot.number.0)
    }

    /// Returns all processes of this installation that are not yet dead: shims (found by their
    /// arguments) and those they started (found by their environment).
    pub(crate) fn processes(&self) -> Vec<u32> {
        let marker = text(self.directory.path());
        let holds = |path: PathBuf| {
            let bytes = std::fs::read(path).unwrap_or_default();
            String::from_utf8_lossy(&bytes).contains(&marker)
        };
        let entries = std::fs::read_dir("/proc").unwrap();
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| *pid != std::process::id())
            .filter(|pid| {
                let directory = PathBuf::from(format!("/proc/{pid}"));
                holds(directory.join("cmdline")) || holds(directory.join("environ"))
            })
            .collect()
    }

    /// Returns how many processes run the program `name` for this installation.
    pub(crate) fn count(&self, name: &str) -> usize {
        let program = example(name);
        self.processes()
            .into_iter()
            .filter(|pid| {
                std::fs::read_link(format!("/proc/{pid}/exe")).ok() == Some(program.clone())
            })
            .count()
    }
}

impl Drop for Installation {
    /// Kills until nothing of this installation lives: what is killed may just have forked, and
    /// what is just executing its program is seen by its cgroup only.
    fn drop(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let leaf = self.base.as_ref().and_then(|base| Leaf::open(base.path()).ok()?);
            let is_populated =
                leaf.as_ref().is_some_and(|leaf| leaf.is_populated().unwrap_or(true));
            if let Some(leaf) = leaf {
                let _ = leaf.kill();
            }
            let processes = self.processes();
            if (processes.is_empty() && !is_populated) || Instant::now() > deadline {
                break;
            }
            for pid in processes {
                kill(pid, Signal::KILL);
                wait_for_end(pid);
            }
        }
        if let Some(base) = &self.base {
            base.remove();
        }
    }
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Returns one of this crate's examples, which `cargo test` builds beside the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(path.is_file(), "{} is missing: run `cargo test` without `--test`", path.display());
    path
}

pub(crate) fn service() -> ServiceName {
    ServiceName::new("shop", "web").unwrap()
}

pub(crate) fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid as i32).unwrap();
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(errno) => panic!("failed to signal {pid:?}: {errno}"),
    }
}

/// Waits until a process has ended, whoever its parent is.
pub(crate) fn wait_for_end(pid: u32) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{PidfdFlags, pidfd_open};
    let pid = Pid::from_raw(pid as i32).unwrap();
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let timeout = Timespec::try_from(PATIENCE).unwrap();
    let ready = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)).unwrap();
    assert_eq!(ready, 1, "process {pid:?} does not end");
}

/// Returns what the process behind a unix socket answers: its id. Waits in the backlog if need be.
pub(crate) fn ask(socket: &Path) -> u32 {
    let stream = UnixStream::from(control_tokio::dial(socket, PATIENCE).unwrap());
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    read_pid(stream)
}

/// Returns what the process behind a TCP address answers.
pub(crate) fn ask_tcp(address: std::net::SocketAddr) -> u32 {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    read_pid(stream)
}

fn read_pid(mut stream: impl Read) -> u32 {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.parse().unwrap_or_else(|_| panic!("the answer is {answer:?}"))
}

pub(crate) async fn wait<T>(
    handle: &ServiceHandle,
    look: impl FnMut(&ServiceView) -> Option<T>,
) -> T {
    wait_for(handle, PATIENCE, look).await.unwrap_or_else(|error| panic!("{error:?}"))
}

/// Returns the slot's state if the view is current and its process runs.
pub(crate) fn running(view: &ServiceView, slot: SlotId) -> Option<SlotState> {
    let state = view.slots.get(&slot)?;
    (view.is_connected() && state.phase == Phase::Running).then(|| state.clone())
}

pub(crate) fn pid_of(state: &SlotState) -> u32 {
    state.process.unwrap().pid
}

/// Returns the shim's process if it is connected.
pub(crate) fn shim_pid(view: &ServiceView) -> Option<u32> {
    match view.shim {
        ShimState::Connected { pid, .. } => Some(pid),
        _ => None,
    }
}

/// Starts a shim and one answering slot; returns the slot's process, which has answered: from then
/// on it is no copy of the shim that is about to execute its program.
pub(crate) async fn start(handle: &ServiceHandle, spec: SlotSpec) -> u32 {
    let slot = spec.id;
    let SlotSocket::Unix { path, .. } = spec.socket.clone() else { panic!("it has no socket") };
    handle.ensure_shim().await.unwrap();
    handle.start(spec).await.unwrap();
    let pid = pid_of(&wait(handle, |view| running(view, slot)).await);
    assert_eq!(ask_from_task(path).await, pid);
    pid
}

/// [`ask`] without holding up the runtime.
pub(crate) async fn ask_from_task(socket: impl Into<PathBuf>) -> u32 {
    let socket = socket.into();
    tokio::task::spawn_blocking(move || ask(&socket)).await.unwrap()
}
