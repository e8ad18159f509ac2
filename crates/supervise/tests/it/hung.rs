//! A shim that was stopped is neither killed nor doubled.

use control::SlotId;
use rustix::process::Signal;
use supervise::{Discovery, ShimState, SuperviseError};

use crate::fixture::{Installation, kill, pid_of, running, service, shim_pid, start, wait};

const SLOT: SlotId = SlotId { generation: control::Generation(1), number: control::SlotNumber(0) };

#[tokio::test]
async fn it_is_reported_and_taken_back_when_it_wakes_up() {
    let installation = Installation::new();
    let first = installation.supervisor();
    let handle = first.service(&service());
    let pid = start(&handle, installation.answering(SLOT)).await;
    let shim = shim_pid(&handle.view()).unwrap();
    drop((first, handle));
    kill(shim, Signal::STOP);

    let second = installation.supervisor();
    let found = second.discover().await.unwrap();
    let Discovery::Unresponsive(reason) = &found[0].shim else { panic!("{found:?}") };
    assert!(reason.contains(&format!("kill -CONT {shim}")), "{reason}");
    let handle = second.service(&service());
    handle.expect(vec![installation.answering(SLOT)]).await.unwrap();
    let error = handle.ensure_shim().await.unwrap_err();
    assert!(matches!(error, SuperviseError::Unavailable { .. }), "{error:?}");
    assert!(matches!(handle.view().shim, ShimState::Unresponsive(_)));
    assert_eq!(installation.count("shim"), 1);
    assert_eq!(installation.count("answer"), 1);

    kill(shim, Signal::CONT);
    let state = wait(&handle, |view| running(view, SLOT)).await;
    assert_eq!(pid_of(&state), pid);
    assert_eq!(shim_pid(&handle.view()), Some(shim));
}

#[tokio::test]
async fn killed_while_stopped_it_is_replaced() {
    let installation = Installation::new();
    let first = installation.supervisor();
    let handle = first.service(&service());
    let pid = start(&handle, installation.answering(SLOT)).await;
    let shim = shim_pid(&handle.view()).unwrap();
    drop((first, handle));
    kill(shim, Signal::STOP);

    let second = installation.supervisor();
    let handle = second.service(&service());
    handle.expect(vec![installation.answering(SLOT)]).await.unwrap();
    handle.ensure_shim().await.unwrap_err();
    kill(shim, Signal::KILL);
    let state = wait(&handle, |view| running(view, SLOT)).await;
    assert_eq!(pid_of(&state), pid);
    assert_ne!(shim_pid(&handle.view()), Some(shim));
    assert_eq!(installation.count("answer"), 1);
}
