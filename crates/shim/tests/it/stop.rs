//! Stopping, whatever a process does against it.

use control::shim::{ExitStatus, Phase, Request, SlotSpec};

use logs::Stream;
use rustix::process::Signal;

use crate::fixture::{SLOT, Shim, both, exists, is_root, start, wait_for};

#[test]
fn a_tree_that_forks_twice_and_ignores_signals_is_emptied() {
    both(|shim| {
        let mut client = shim.client();
        let script = "trap '' TERM; \
            (setsid sh -c \"trap '' TERM; sleep 600 & : > deep; wait\" &) ; \
            while ! [ -e deep ]; do sleep 0.01; done; : > up; while :; do sleep 600; done";
        client.accepted(start(SlotSpec { stop_grace_ms: 200, ..shim.sh(script) }));
        shim.wait_file("up");
        assert!(shim.processes().len() >= 3);
        client.accepted(Request::Stop { slot: SLOT });
        let state = client.wait_slot(SLOT, "stops", |state| state.phase == Phase::Stopped);
        let exit = state.last_exit.unwrap();
        assert_eq!((exit.status, exit.requested), (ExitStatus::Signal(9), true));
        assert_eq!(shim.processes(), [0u32; 0]);
    });
}

#[test]
fn what_a_dead_main_process_leaves_is_cleared_before_the_next_start() {
    both(|shim| {
        let mut client = shim.client();
        // The first start leaves an orphan that ignores TERM; the second must not see it.
        let script = "if [ -e first ]; then exec sleep 600; fi; : > first; \
            (trap '' TERM; : > orphan; while :; do sleep 600; done) & \
            while ! [ -e orphan ]; do sleep 0.01; done; exit 1";
        client.accepted(start(SlotSpec { stop_grace_ms: 200, ..shim.sh(script) }));
        let state = client.wait_slot(SLOT, "runs again", |state| state.starts == 2);
        let main = state.process.unwrap().pid;
        // Its mark is seen once it has executed its program.
        wait_for("the second start alone", || (shim.processes() == [main]).then_some(()));
        assert!(client.seen.iter().any(|state| state.phase == Phase::Clearing));
    });
}

#[test]
fn a_stopped_process_is_continued_so_that_it_can_end() {
    both(|shim| {
        let mut client = shim.client();
        let script = "trap 'exit 5' TERM; : > up; kill -STOP $$; while :; do sleep 0.05; done";
        client.accepted(start(shim.sh(script)));
        shim.wait_file("up");
        client.accepted(Request::Stop { slot: SLOT });
        let state = client.wait_slot(SLOT, "stops", |state| state.phase == Phase::Stopped);
        assert_eq!(state.last_exit.unwrap().status, ExitStatus::Code(5));
    });
}

#[test]
fn an_asked_shim_ends_only_without_processes_and_leaves_nothing() {
    both(|mut shim| {
        let mut client = shim.client();
        client.accepted(start(SlotSpec { socket: shim.unix(), ..shim.sh("exec sleep 600") }));
        client.wait_slot(SLOT, "runs", |state| state.phase == Phase::Running);
        assert!(client.refused(Request::Exit {}).contains("stop it first"));
        assert!(client.refused(Request::Remove { slot: SLOT }).contains("stop it first"));
        client.accepted(Request::Stop { slot: SLOT });
        client.wait_slot(SLOT, "stops", |state| state.phase == Phase::Stopped);
        assert!(exists(&shim.path("slot")));
        client.accepted(Request::Remove { slot: SLOT });
        assert_eq!(client.removed, [SLOT]);
        assert!(!exists(&shim.path("slot")));
        client.accepted(Request::Exit {});
        client.wait_closed();
        assert_eq!(shim.wait().code(), Some(0));
        assert!(!shim.socket().exists());
    });
}

/// As the first process of a pid namespace: the only case in which signals are for the service.
#[test]
fn as_init_it_passes_signals_on_reaps_strangers_and_ends_with_its_service() {
    if !is_root() {
        println!("not tried: only root makes pid namespaces everywhere");
        return;
    }
    let shim = Shim::as_init();
    let mut client = shim.client();
    assert_eq!(client.ready.unwrap().0, 1);
    let script = "trap 'echo hup' HUP; trap 'echo bye; exit 0' TERM; \
        (setsid sh -c 'exit 0' &); : > up; while :; do sleep 0.02; done";
    client.accepted(start(shim.sh(script)));
    shim.wait_file("up");
    shim.signal_init(Signal::HUP);
    wait_for("the signal", || shim.log(Stream::Stdout).contains(&"hup".to_owned()).then_some(()));
    shim.signal_init(Signal::TERM);
    client.wait_closed();
    assert_eq!(client.slots[&SLOT].phase, Phase::Stopped);
    let mut shim = shim;
    assert_eq!(shim.wait().code(), Some(0));
    assert_eq!(shim.log(Stream::Stdout).last().map(String::as_str), Some("bye"));
}

#[test]
fn a_shell_that_waits_for_its_command_takes_the_signal_along() {
    both(|shim| {
        let mut client = shim.client();
        // dash does not pass a signal on to the command it waits for.
        let script = "cd . && sh -c 'trap \": > asked; exit 0\" TERM; : > up; \
                      while :; do sleep 0.05; done' && true";
        client.accepted(start(SlotSpec { signal_all: true, ..shim.sh(script) }));
        shim.wait_file("up");
        client.accepted(Request::Stop { slot: SLOT });
        client.wait_slot(SLOT, "stops", |state| state.phase == Phase::Stopped);
        shim.wait_file("asked");
    });
}
