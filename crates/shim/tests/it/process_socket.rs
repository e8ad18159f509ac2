//! Processes that bind their socket by themselves.

use std::io::Read as _;
use std::os::unix::net::UnixStream;

use control::shim::{ExitStatus, Phase, Request, SlotSpec};
use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{SLOT, Shim, both, exists, session, start, wait_for};

/// Binds, and fails where a socket is left; then says its process id to who connects.
const BINDS: &str = "import os, socket\n\
    s = socket.socket(socket.AF_UNIX)\n\
    s.bind('own'); s.listen()\n\
    while True:\n\
    \x20 c, _ = s.accept(); c.sendall(b'%d' % os.getpid()); c.close()\n";

fn served_by(shim: &Shim) -> u32 {
    let connect = || UnixStream::connect(shim.root.path().join("own")).ok();
    let mut stream = wait_for("the process to listen", connect);
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.parse().unwrap()
}

#[test]
fn a_killed_process_comes_back_though_it_left_its_socket() {
    both(|shim| {
        let mut client = shim.client();
        let spec = SlotSpec { process_socket: Some(shim.path("own")), ..shim.python(BINDS) };
        client.accepted(start(spec.clone()));
        let first = served_by(&shim);
        kill_process(Pid::from_raw(first as i32).unwrap(), Signal::KILL).unwrap();
        let state = client.wait_slot(SLOT, "runs again", |state| {
            state.starts == 2 && state.phase == Phase::Running
        });
        assert_eq!(state.last_exit.unwrap().status, ExitStatus::Signal(9));
        wait_for("the second process", || (served_by(&shim) != first).then_some(()));
        assert_eq!(client.slots[&SLOT].process.unwrap().pid, served_by(&shim));

        // Stopped and started by a client it is the same.
        client.accepted(Request::Stop { slot: SLOT });
        client.wait_slot(SLOT, "stops", |state| state.phase == Phase::Stopped);
        assert!(exists(&shim.path("own")));
        client.accepted(start(spec));
        client.wait_slot(SLOT, "runs", |state| state.phase == Phase::Running);
        wait_for("the third process", || {
            let pid = client.slots[&SLOT].process.unwrap().pid;
            (served_by(&shim) == pid).then_some(())
        });
        client.accepted(Request::Stop { slot: SLOT });
        client.wait_slot(SLOT, "stops", |state| state.phase == Phase::Stopped);
        client.accepted(Request::Remove { slot: SLOT });
        assert!(!exists(&shim.path("own")));
    });
}

#[test]
fn what_is_no_socket_is_left_to_the_process() {
    let shim = session();
    let mut client = shim.client();
    std::fs::write(shim.path("own"), "precious").unwrap();
    let spec = SlotSpec { process_socket: Some(shim.path("own")), ..shim.sh("exec sleep 600") };
    client.accepted(start(spec.clone()));
    client.wait_slot(SLOT, "runs", |state| state.phase == Phase::Running);
    assert_eq!(std::fs::read(shim.path("own")).unwrap(), b"precious");
    let relative = SlotSpec { process_socket: Some("own".into()), ..spec };
    assert!(client.refused(start(relative)).contains("absolute"));
}
