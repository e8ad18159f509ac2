//! A shim that may open nothing more.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::RawFd;

use control::shim::{Phase, Request, SlotSpec};
use control::{Connection, Hello, Received};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

use crate::fixture::{SLOT, Shim, session, start, wait_for};

/// Lets the shim open no descriptor beside those it has, or again as many as it may.
fn limit(shim: &Shim, is_limited: bool) {
    let names = fs::read_dir(format!("/proc/{}/fd", shim.pid())).unwrap();
    let used: BTreeSet<RawFd> =
        names.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    let first_free = (0..RawFd::MAX).find(|fd| !used.contains(fd)).unwrap();
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = if is_limited { Some(first_free.cast_unsigned().into()) } else { maximum };
    let pid = Pid::from_raw(shim.pid() as i32).unwrap();
    prlimit(Some(pid), Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

#[test]
fn who_connects_is_hung_up_on_and_those_who_have_are_served() {
    let shim = session();
    let mut client = shim.client();
    limit(&shim, true);
    for _ in 0..3 {
        let socket = disk::socket::connect_stream(&shim.socket()).unwrap();
        let mut late = Connection::new(socket).unwrap();
        wait_for("the end", || match late.receive::<Hello>() {
            Ok(Received::Pending) => None,
            Ok(Received::Message(..)) => panic!("it was greeted"),
            Ok(Received::Closed) | Err(_) => Some(()),
        });
        client.accepted(Request::FlushLogs {});
    }
    limit(&shim, false);
    shim.client().accepted(Request::FlushLogs {});
}

/// Without cgroups a tree is looked for in `/proc`: what cannot be read there is not empty.
#[test]
fn a_tree_that_cannot_be_seen_is_not_taken_for_empty() {
    let shim = session();
    let mut client = shim.client();
    let script = "(trap '' TERM; : > orphan; while :; do sleep 600; done) & \
        while ! [ -e orphan ]; do sleep 0.01; done; : > up; exec sleep 600";
    client.accepted(start(SlotSpec { stop_grace_ms: 100, ..shim.sh(script) }));
    shim.wait_file("up");
    let pid = client.wait_slot(SLOT, "runs", |s| s.phase == Phase::Running).process.unwrap().pid;
    limit(&shim, true);
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
    client.wait_slot(SLOT, "has no process", |state| state.process.is_none());
    client.accepted(Request::FlushLogs {});
    limit(&shim, false);
    client.wait_slot(SLOT, "runs again", |s| s.starts == 2 && s.phase == Phase::Running);
    // Taken for empty, the slot would have been started in vain.
    let phases: Vec<Phase> = client.seen.iter().map(|state| state.phase).collect();
    assert!(phases.contains(&Phase::Clearing), "{phases:?}");
    assert!(!phases.iter().any(|phase| matches!(phase, Phase::Backoff { .. })), "{phases:?}");
}
