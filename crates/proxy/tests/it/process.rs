//! The proxy as a process, started the way a shim starts it.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use control::proxy::{Message, Request};

use crate::rig::{Agent, Client, endpoint, table};
use crate::upstream::Upstream;

/// Set in the process that is to be a proxy.
const HOME: &str = "PROXY_TEST_HOME";

/// Not a test of its own: the other one starts this very binary with it as the only test.
#[test]
fn entry() {
    let Some(home) = std::env::var_os(HOME) else { return };
    let arguments = ["--home".into(), home, "--installation".into(), "inst".into()];
    let code = proxy::main(arguments);
    // The harness must not report; the exit status is what the shim would see.
    #[allow(clippy::exit)]
    std::process::exit(i32::from(code != std::process::ExitCode::SUCCESS));
}

/// Returns a copy that a child inherits.
fn inheritable(fd: &impl std::os::fd::AsFd) -> OwnedFd {
    let copy = rustix::io::fcntl_dupfd_cloexec(fd, 100).unwrap();
    rustix::io::fcntl_setfd(&copy, rustix::io::FdFlags::empty()).unwrap();
    copy
}

/// A proxy's process with its sockets, which nobody else has.
struct Started {
    directory: tempfile::TempDir,
    control: PathBuf,
    address: SocketAddr,
    child: Child,
}

impl Drop for Started {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start() -> Started {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("proxy")).unwrap();
    let control_path = directory.path().join("control");
    let control = UnixListener::bind(&control_path).unwrap();
    let public = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = public.local_addr().unwrap();
    let (control_fd, public_fd) = (inheritable(&control), inheritable(&public));
    // LISTEN_PID must be the process's own, which only the process before `exec` knows.
    let script = format!(
        "exec 3<&{} 4<&{}; export LISTEN_PID=$$; exec \"$@\"",
        control_fd.as_raw_fd(),
        public_fd.as_raw_fd()
    );
    let names = format!("slot:{}", control::shim::encode_listener_name(&address.to_string()));
    let child = Command::new("bash")
        .args(["-c", &script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "process::entry", "--nocapture"])
        .env(HOME, directory.path())
        .env("LISTEN_FDS", "2")
        .env("LISTEN_FDNAMES", names)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    Started { directory, control: control_path, address, child }
}

#[test]
fn it_takes_its_sockets_from_the_shim_and_ends_with_0() {
    let mut started = start();
    let address = started.address;
    let app = Upstream::answering(&started.directory.path().join("app"), "ok");
    let mut routes = table(vec![endpoint(0, &app.path)]);
    routes.routes[0].listener = address.to_string();
    // Its boot is the machine's; ours is only said in the hello.
    let mut agent = Agent::connect(&started.control);
    let Message::State { listeners, pid, .. } = agent.receive() else { panic!("no state") };
    assert_eq!((listeners, pid), (vec![address.to_string()], started.child.id()));
    agent.apply(1, routes);
    assert!(started.directory.path().join("proxy/routes").is_file());
    let mut client = Client::connect(address);
    assert_eq!(client.get("/").text(), "ok");
    agent.send(&Request::Leave {}, vec![]);
    drop(client);
    assert!(started.child.wait().unwrap().success());
}

#[test]
fn after_a_signal_it_does_not_end_with_0_so_that_its_shim_starts_another() {
    let mut started = start();
    let mut agent = Agent::connect(&started.control);
    assert!(matches!(agent.receive(), Message::State { .. }));
    let process = rustix::process::Pid::from_child(&started.child);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    let status = started.child.wait().unwrap();
    assert!(status.code().is_some_and(|code| code != 0), "{status}");
}
