//! A killed shim and its successor.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use control::SlotId;
use control::shim::{
    AdoptSlot, ExitStatus, Held, Outcome, Phase, Request, RestartPolicy, SlotSpec,
};
use logs::Stream;
use rustix::process::{Pid, Signal, kill_process};

use crate::client::{Client, PATIENCE};
use crate::fixture::{SLOT, Shim, both, start, take_held, wait_for};

/// Counts lines, each in one write, and answers connections with its process id.
const COUNTER: &str = "import os, socket, threading, time\n\
    s = socket.socket(fileno=3)\n\
    def serve():\n\
    \x20 while True:\n\
    \x20   c, _ = s.accept(); c.sendall(b'%d' % os.getpid()); c.close()\n\
    threading.Thread(target=serve, daemon=True).start()\n\
    n = 0\n\
    while True:\n\
    \x20 os.write(1, b'%d\\n' % n); n += 1\n\
    \x20 open(os.environ['OUT'] + '.n', 'w').write(str(n))\n\
    \x20 time.sleep(0.001)\n";

fn counter(shim: &Shim) -> SlotSpec {
    SlotSpec { socket: shim.unix(), ..shim.python(COUNTER) }
}

fn written(shim: &Shim) -> usize {
    wait_for("a count", || std::fs::read_to_string(shim.path("out.n")).ok()?.parse().ok())
}

fn wait_written(shim: &Shim, more: usize) {
    let goal = written(shim) + more;
    wait_for("more lines", || (written(shim) >= goal).then_some(()));
}

fn served_by(shim: &Shim) -> u32 {
    let path = shim.path("slot");
    let stream = disk::socket::connect_stream(Path::new(&path)).unwrap();
    let mut stream = UnixStream::from(stream);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.parse().unwrap_or_else(|_| panic!("answered {text:?}"))
}

fn adopt(client: &mut Client, spec: SlotSpec, held: Vec<Held>, fds: Vec<OwnedFd>) -> Outcome {
    let slots = vec![AdoptSlot { spec, held }];
    client.ask(Request::Adopt { slots, listeners: vec![] }, fds).0
}

/// The numbers are continuous; one may be there twice where the shim was killed.
fn assert_continuous(lines: &[String]) -> usize {
    let numbers: Vec<usize> = lines.iter().map(|line| line.parse().unwrap()).collect();
    let mut unique = numbers.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique, (0..unique.len()).collect::<Vec<_>>(), "a line is missing");
    unique.len()
}

/// Waits until the log has the first line of the second life.
fn wait_second_life(shim: &Shim) {
    wait_for("the second life's first line", || {
        let lines = shim.log(Stream::Stdout);
        (lines.iter().filter(|line| *line == "0").count() >= 2).then_some(())
    });
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn its_processes_sockets_and_lines_are_taken_over() {
    both(|mut shim| {
        let mut client = shim.client();
        client.accepted(start(counter(&shim)));
        let pid = client.wait_slot(SLOT, "runs", |s| s.process.is_some()).process.unwrap().pid;
        assert_eq!(served_by(&shim), pid);
        for round in 0..3 {
            wait_written(&shim, 50);
            shim.kill();
            client.wait_closed();
            // Nobody reads meanwhile.
            wait_written(&shim, 50);
            let (held, fds) = take_held(&mut client, SLOT);
            shim.launch();
            client = shim.client();
            assert_eq!(client.adoptable, [(SLOT, pid)], "round {round}");
            // Nothing is started beside it.
            let reason = client.refused(start(counter(&shim)));
            assert!(reason.contains("adopt it or discard it"), "{reason}");
            assert_eq!(adopt(&mut client, counter(&shim), held, fds), Outcome::Accepted);
            let state = client.wait_slot(SLOT, "is adopted", |s| s.phase == Phase::Running);
            let process = state.process.unwrap();
            assert_eq!((process.pid, process.adopted, state.starts), (pid, true, 1));
            assert!(!state.incomplete);
            assert_eq!(served_by(&shim), pid);
        }
        // Its end is seen, though it is not the shim's child, and it is started again as ever.
        kill(pid);
        let state = client.wait_slot(SLOT, "runs again", |state| state.starts == 2);
        let status = state.last_exit.unwrap().status;
        assert!(matches!(status, ExitStatus::Signal(9) | ExitStatus::Unknown), "{status}");
        let next = state.process.unwrap();
        assert!(next.pid != pid && !next.adopted);
        assert_eq!(served_by(&shim), next.pid);
        wait_second_life(&shim);
        client.accepted(Request::Stop { slot: SLOT });
        client.wait_slot(SLOT, "stops", |state| state.phase == Phase::Stopped);
        client.accepted(Request::FlushLogs {});
        // Two lives, each counted from 0.
        let lines = shim.log(Stream::Stdout);
        let second = lines.iter().rposition(|line| line == "0").unwrap();
        assert!(second > 0 && assert_continuous(&lines[..second]) >= 300);
        assert_continuous(&lines[second..]);
        assert_eq!(shim.processes(), [0u32; 0]);
    });
}

#[test]
fn without_the_fd_store_the_survivor_is_asked() {
    both(|mut shim| {
        let mut client = shim.client();
        client.accepted(start(counter(&shim)));
        let pid = client.wait_slot(SLOT, "runs", |s| s.process.is_some()).process.unwrap().pid;
        wait_written(&shim, 50);
        // Shim and agent are lost together.
        shim.kill();
        drop(client);
        shim.launch();
        let mut client = shim.client();
        assert_eq!(adopt(&mut client, counter(&shim), vec![], vec![]), Outcome::Accepted);
        let state = client.wait_slot(SLOT, "is adopted", |s| s.phase == Phase::Running);
        assert_eq!((state.process.unwrap().pid, state.incomplete), (pid, false));
        assert_eq!(client.held[&SLOT].len(), 3);
        assert_eq!(served_by(&shim), pid);
        wait_written(&shim, 50);
        client.accepted(Request::FlushLogs {});
        assert!(assert_continuous(&shim.log(Stream::Stdout)) >= 100);
    });
}

#[test]
fn a_notify_socket_that_nobody_kept_makes_a_slot_incomplete() {
    both(|mut shim| {
        let mut client = shim.client();
        let spec = SlotSpec { notify: true, ..shim.sh("exec sleep 600") };
        client.accepted(start(spec.clone()));
        let pid = client.wait_slot(SLOT, "runs", |s| s.process.is_some()).process.unwrap().pid;
        shim.kill();
        drop(client);
        shim.launch();
        let mut client = shim.client();
        adopt(&mut client, spec, vec![], vec![]);
        client.wait_slot(SLOT, "is adopted", |state| state.incomplete);
        kill(pid);
        client.wait_slot(SLOT, "is whole again", |state| state.starts == 2 && !state.incomplete);
    });
}

#[test]
fn an_end_that_nobody_saw_is_unknown_and_its_last_lines_are_kept() {
    both(|mut shim| {
        let mut client = shim.client();
        let spec = |shim: &Shim| SlotSpec { restart: RestartPolicy::OnFailure, ..counter(shim) };
        client.accepted(start(spec(&shim)));
        let pid = client.wait_slot(SLOT, "runs", |s| s.process.is_some()).process.unwrap().pid;
        wait_written(&shim, 50);
        shim.kill();
        wait_written(&shim, 50);
        kill(pid);
        wait_for("its end", || shim.processes().is_empty().then_some(()));
        let count = written(&shim);
        client.wait_closed();
        let (held, fds) = take_held(&mut client, SLOT);
        shim.launch();
        let mut client = shim.client();
        assert_eq!(client.adoptable, []);
        adopt(&mut client, spec(&shim), held, fds);
        let state = client.wait_slot(SLOT, "runs again", |state| state.starts == 2);
        assert_eq!(state.last_exit.unwrap().status, ExitStatus::Unknown);
        served_by(&shim);
        wait_second_life(&shim);
        client.accepted(Request::Stop { slot: SLOT });
        client.wait_slot(SLOT, "stops", |state| state.phase == Phase::Stopped);
        let lines = shim.log(Stream::Stdout);
        let second = lines.iter().rposition(|line| line == "0").unwrap();
        assert!(assert_continuous(&lines[..second]) >= count);
    });
}

#[test]
fn what_was_stopped_or_finished_stays_so() {
    both(|mut shim| {
        let mut client = shim.client();
        let other = SlotId::new(1, 1);
        let stopped = shim.sh("exec sleep 600");
        let finished =
            SlotSpec { id: other, restart: RestartPolicy::OnFailure, ..shim.sh("exit 0") };
        client.accepted(start(stopped.clone()));
        client.accepted(start(finished.clone()));
        client.accepted(Request::Stop { slot: SLOT });
        client.wait_slot(SLOT, "stops", |state| state.phase == Phase::Stopped);
        client.wait_slot(other, "finishes", |state| state.phase == Phase::Finished);
        shim.kill();
        shim.launch();
        let mut client = shim.client();
        adopt(&mut client, stopped, vec![], vec![]);
        adopt(&mut client, finished, vec![], vec![]);
        let state = client.wait_slot(SLOT, "is adopted", |_| true);
        assert_eq!((state.phase, state.starts), (Phase::Stopped, 1));
        let state = client.wait_slot(other, "is adopted", |_| true);
        assert_eq!((state.phase, state.starts), (Phase::Finished, 1));
        assert_eq!(state.last_exit.unwrap().status, ExitStatus::Code(0));
    });
}

#[test]
fn what_nobody_wants_is_killed_and_an_orphaned_tree_is_cleared() {
    both(|mut shim| {
        let mut client = shim.client();
        let script =
            "trap '' TERM; (trap '' TERM; sleep 600 & wait) & : > up; while :; do sleep 600; done";
        let spec = SlotSpec { stop_grace_ms: 100, ..shim.sh(script) };
        client.accepted(start(spec.clone()));
        shim.wait_file("up");
        shim.kill();
        shim.launch();
        let mut client = shim.client();
        assert_eq!(client.adoptable.len(), 1);
        assert!(client.refused(Request::Exit {}).contains("earlier shim"));
        client.accepted(Request::Discard { slot: SLOT });
        client.wait("the removal", |client| client.removed == [SLOT]);
        assert_eq!(shim.processes(), [0u32; 0]);

        // Now the main process dies while there is no shim, and its children live on.
        std::fs::remove_file(shim.path("up")).unwrap();
        client.accepted(start(spec.clone()));
        shim.wait_file("up");
        let first = client.wait_slot(SLOT, "runs", |s| s.process.is_some()).process.unwrap().pid;
        shim.kill();
        kill(first);
        shim.launch();
        let mut client = shim.client();
        assert_eq!(client.adoptable.len(), 1);
        adopt(&mut client, spec, vec![], vec![]);
        let state = client.wait_slot(SLOT, "runs again", |state| state.starts == 2);
        assert_eq!(state.last_exit.unwrap().pid, first);
        assert!(client.seen.iter().any(|state| state.phase == Phase::Clearing));
    });
}

#[test]
fn descriptors_that_are_none_are_refused_and_nothing_changes() {
    both(|shim| {
        let mut client = shim.client();
        let file = || vec![OwnedFd::from(std::fs::File::open("/dev/null").unwrap())];
        let refused = adopt(&mut client, counter(&shim), vec![Held::Stdout], file());
        assert!(matches!(refused, Outcome::Refused { .. }));
        let refused = adopt(&mut client, counter(&shim), vec![Held::Stdout, Held::Stderr], file());
        assert!(matches!(refused, Outcome::Refused { .. }));
        assert!(client.slots.is_empty());
    });
}

#[test]
fn a_process_is_recognised_whatever_it_calls_itself() {
    both(|mut shim| {
        let mut client = shim.client();
        // Cut in the middle of a character, as long names of processes are.
        let script = "import signal\n\
            open('/proc/self/comm', 'wb').write(b'caf\\xc3')\n\
            open('up', 'w')\n\
            signal.pause()";
        let spec = shim.python(script);
        client.accepted(start(spec.clone()));
        shim.wait_file("up");
        let pid = client.wait_slot(SLOT, "runs", |s| s.process.is_some()).process.unwrap().pid;
        let (held, fds) = take_held(&mut client, SLOT);
        shim.kill();
        shim.launch();
        let mut client = shim.client();
        adopt(&mut client, spec, held, fds);
        let state = client.wait_slot(SLOT, "is adopted", |state| state.phase == Phase::Running);
        assert_eq!((state.process.unwrap().pid, state.starts), (pid, 1));
        kill(pid);
        client.wait_slot(SLOT, "runs again", |s| s.starts == 2 && s.phase == Phase::Running);
    });
}
