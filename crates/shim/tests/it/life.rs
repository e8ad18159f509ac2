//! Starting, ending, restarting.

use control::shim::{Exit, ExitStatus, Phase, Request, RestartPolicy};

use crate::fixture::{SLOT, both, session, start};

#[test]
fn policies_decide_what_follows_an_end() {
    both(|shim| {
        let mut client = shim.client();
        let cases = [
            (RestartPolicy::Never, 3, Phase::Finished),
            (RestartPolicy::Never, 0, Phase::Finished),
            (RestartPolicy::OnFailure, 0, Phase::Finished),
        ];
        for (restart, code, phase) in cases {
            client.accepted(start(control::shim::SlotSpec {
                restart,
                ..shim.sh(&format!("exit {code}"))
            }));
            let state = client.wait_slot(SLOT, "finishes", |state| state.phase == phase);
            let Some(Exit { status, requested: false, .. }) = state.last_exit else {
                panic!("{state:?}")
            };
            assert_eq!((status, state.starts, state.process), (ExitStatus::Code(code), 1, None));
            // What has finished is never run a second time.
            client.accepted(start(shim.sh("exit 9")));
            assert_eq!(client.slots[&SLOT].starts, 1);
            client.accepted(Request::Remove { slot: SLOT });
        }
    });
}

#[test]
fn a_crash_is_followed_by_a_restart_at_once_then_by_waits_then_by_the_verdict() {
    both(|shim| {
        let mut client = shim.client();
        client.accepted(start(control::shim::SlotSpec {
            restart: RestartPolicy::OnFailure,
            ..shim.sh("exit 7")
        }));
        let state = client.wait_slot(SLOT, "loops", |s| matches!(s.phase, Phase::CrashLoop { .. }));
        assert_eq!(state.starts, 5);
        let Phase::CrashLoop { delay_ms } = state.phase else { unreachable!() };
        assert!((24_000..=36_000).contains(&delay_ms), "{delay_ms}");
        let delays: Vec<(u64, u64)> = client
            .seen
            .iter()
            .filter_map(|state| match state.phase {
                Phase::Backoff { delay_ms } => Some((state.starts, delay_ms)),
                _ => None,
            })
            .collect();
        // None after the first start: that restart is immediate.
        let expected = [(2, 80..=120), (3, 160..=240), (4, 320..=480)];
        assert_eq!(delays.len(), expected.len(), "{delays:?}");
        for ((starts, delay), (after, range)) in delays.into_iter().zip(expected) {
            assert!(starts == after && range.contains(&delay), "{delay} ms after start {starts}");
        }
        // Stopping ends the wait at once.
        client.accepted(Request::Stop { slot: SLOT });
        client.wait_slot(SLOT, "stops", |state| state.phase == Phase::Stopped);
        // And a stopped slot may be started again.
        client.accepted(start(shim.sh("exec sleep 600")));
        let state = client.wait_slot(SLOT, "runs", |state| state.phase == Phase::Running);
        assert_eq!(state.starts, 6);
    });
}

#[test]
fn a_killed_process_is_replaced_at_once() {
    both(|shim| {
        let mut client = shim.client();
        client.accepted(start(shim.sh("sleep 600 & wait")));
        let first = client.wait_slot(SLOT, "runs", |state| state.process.is_some());
        let pid = first.process.unwrap().pid as i32;
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        let second = client.wait_slot(SLOT, "runs again", |state| {
            state.starts == 2 && state.phase == Phase::Running
        });
        assert_eq!(second.last_exit.unwrap().status, ExitStatus::Signal(9));
        assert!(client.seen.iter().all(|state| !matches!(state.phase, Phase::Backoff { .. })));
        // The first one's child is gone: its tree was emptied before the second start.
        client.accepted(Request::Stop { slot: SLOT });
        client.wait_slot(SLOT, "stops", |state| state.phase == Phase::Stopped);
        assert_eq!(shim.processes(), [0u32; 0]);
    });
}

#[test]
fn what_cannot_be_executed_is_said_and_not_tried_again() {
    let shim = session();
    let mut client = shim.client();
    let mut missing = shim.sh("");
    missing.program = "/no/such/program".into();
    client.accepted(start(missing));
    let state = client.wait_slot(SLOT, "fails", |state| state.phase == Phase::Failed);
    assert_eq!(
        state.status_text.as_deref(),
        Some("exec /no/such/program: no such file or directory")
    );
    let mut elsewhere = shim.sh("");
    elsewhere.directory = "/no/such/directory".into();
    client.accepted(start(elsewhere));
    client.wait_slot(SLOT, "fails otherwise", |state| {
        state.phase == Phase::Failed
            && state.status_text.as_deref()
                == Some("chdir /no/such/directory: no such file or directory")
    });
    let mut leased = shim.sh("");
    leased.lease = Some(shim.path("lease"));
    client.accepted(start(leased));
    client.wait_slot(SLOT, "fails without its lease", |state| {
        state.phase == Phase::Failed
            && state.status_text.as_deref().is_some_and(|text| text.contains("release is in use"))
    });
    client.accepted(start(shim.sh("exec sleep 600")));
    client.wait_slot(SLOT, "runs", |state| state.phase == Phase::Running);
    // A slot that runs is left as it is.
    let pid = client.slots[&SLOT].process.unwrap().pid;
    client.accepted(start(shim.sh("exit 1")));
    assert_eq!(client.slots[&SLOT].process.unwrap().pid, pid);
    let mut bad = shim.sh("");
    bad.program = "sh".into();
    assert!(client.refused(start(bad)).contains("absolute"));
}
