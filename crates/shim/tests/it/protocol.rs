//! Who may speak, and how.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use control::shim::{Phase, Request};
use control::{Connection, Hello, PROTOCOL, Role};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::PATIENCE;
use crate::fixture::{SLOT, session, start};

#[test]
fn who_breaks_the_protocol_is_dropped_alone() {
    let shim = session();
    let mut good = shim.client();
    let connect = || {
        let stream = UnixStream::connect(shim.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let mut garbage = connect();
    garbage.write_all(&[0xff; 64]).unwrap();
    let mut rest = Vec::new();
    // A reset is an end too.
    let _ = garbage.read_to_end(&mut rest);

    let mut stranger = connect();
    let mut connection = Connection::new(stranger.try_clone().unwrap().into()).unwrap();
    let hello = Hello {
        protocol: PROTOCOL,
        role: Role::Agent,
        build: String::new(),
        boot_id: String::new(),
        installation: "another".into(),
    };
    connection.send(&hello, Vec::new()).unwrap();
    stranger.set_nonblocking(false).unwrap();
    let _ = stranger.read_to_end(&mut rest);

    let (outcome, _) = good.ask(Request::Unknown, Vec::new());
    assert_eq!(outcome, control::shim::Outcome::Unsupported);
}

#[test]
fn every_client_sees_every_change_and_gets_every_descriptor() {
    let shim = session();
    let (mut first, mut second) = (shim.client(), shim.client());
    let spec =
        control::shim::SlotSpec { socket: shim.unix(), notify: true, ..shim.sh("exec sleep 600") };
    first.accepted(start(spec));
    let late = shim.client();
    first.wait("the descriptors", |client| client.held.contains_key(&SLOT));
    for client in [&first, &late] {
        use control::shim::Held::{Notify, Socket, Stderr, Stdout};
        let held: Vec<_> = client.held[&SLOT].iter().map(|(held, _)| *held).collect();
        assert_eq!(held, [Socket, Stdout, Stderr, Notify]);
    }
    second.wait_slot(SLOT, "runs", |state| state.phase == Phase::Running);
    assert_eq!(second.held[&SLOT].len(), 4);
    first.accepted(Request::Stop { slot: SLOT });
    second.wait_slot(SLOT, "stops", |state| state.phase == Phase::Stopped);
}

#[test]
fn there_is_never_a_second_shim_even_beside_a_stopped_one() {
    let shim = session();
    let second = || shim.command().stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
    let output = second();
    assert_eq!(output.status.code(), Some(6));
    let text = String::from_utf8(output.stderr).unwrap();
    let pid = shim.pid();
    assert_eq!(
        text,
        format!("skep-shim: {} is kept by another shim, process {pid}\n", shim.service)
    );

    let pid = Pid::from_raw(shim.pid() as i32).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    crate::fixture::wait_for("the stop", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", shim.pid())).unwrap();
        stat.contains(") T ").then_some(())
    });
    let output = second();
    assert_eq!(output.status.code(), Some(6));
    assert!(String::from_utf8(output.stderr).unwrap().contains("which is stopped"));
    kill_process(pid, Signal::CONT).unwrap();
    // Other signals do nothing to it.
    kill_process(pid, Signal::TERM).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    shim.client().accepted(Request::FlushLogs {});
}

#[test]
fn usage_errors_have_their_own_exit_code() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_skep-shim")).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("skep-shim: `--directory` is missing\nusage: "), "{text}");
}
