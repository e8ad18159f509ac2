//! The plain life of a slot.

use std::net::TcpListener;

use control::SlotId;
use control::shim::{Phase, SharedListener};
use supervise::{ShimProgram, ShimState, SuperviseError};

use crate::fixture::{Installation, ask_tcp, example, pid_of, running, service, start, wait};

const SLOT: SlotId = SlotId { generation: control::Generation(1), number: control::SlotNumber(0) };

#[tokio::test]
async fn a_slot_is_started_stopped_and_removed_and_the_shim_ends() {
    let installation = Installation::new();
    let supervisor = installation.supervisor();
    let handle = supervisor.service(&service());
    assert_eq!(handle.view().shim, ShimState::Gone);
    let pid = start(&handle, installation.answering(SLOT)).await;

    // A second start changes nothing.
    handle.start(installation.answering(SLOT)).await.unwrap();
    handle.flush_logs().await.unwrap();
    assert_eq!(pid_of(&wait(&handle, |view| running(view, SLOT)).await), pid);
    assert!(matches!(handle.exit().await, Err(SuperviseError::Refused { .. })));

    handle.stop(SLOT).await.unwrap();
    wait(&handle, |view| (view.slots[&SLOT].phase == Phase::Stopped).then_some(())).await;
    handle.remove(SLOT).await.unwrap();
    wait(&handle, |view| view.slots.is_empty().then_some(())).await;
    handle.exit().await.unwrap();
    wait(&handle, |view| (view.shim == ShimState::Gone).then_some(())).await;
    assert_eq!(installation.count("shim"), 0);

    // And again from the start.
    start(&handle, installation.answering(SLOT)).await;
}

#[tokio::test]
async fn a_shared_listener_reaches_the_process_and_the_agent() {
    let installation = Installation::new();
    let supervisor = installation.supervisor();
    let handle = supervisor.service(&service());
    // Free a moment ago; nobody else on loopback takes ports from this range in order.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listener = SharedListener { name: address.to_string(), address };
    handle.ensure_shim().await.unwrap();
    let ours = TcpListener::from(handle.open(listener.clone()).await.unwrap());
    assert_eq!(ours.local_addr().unwrap(), address);
    assert!(handle.view().listeners.contains_key(&listener.name));

    let mut spec = installation.answering(SLOT);
    spec.arguments.push("shared".to_owned());
    let pid = start(&handle, spec).await;
    assert_eq!(tokio::task::spawn_blocking(move || ask_tcp(address)).await.unwrap(), pid);

    handle.close(&listener.name).await.unwrap();
    assert!(handle.view().listeners.is_empty());
}

#[tokio::test]
async fn a_shim_that_cannot_be_started_is_explained() {
    let installation = Installation::new();
    for (program, part) in [("/nonexistent/shim", "failed to start"), ("/bin/false", "at once")] {
        let mut config = installation.config();
        config.shim_program = ShimProgram { path: program.into(), arguments: Vec::new() };
        let supervisor = supervise::Supervisor::new(config);
        let handle = supervisor.service(&service());
        let error = handle.ensure_shim().await.unwrap_err();
        let SuperviseError::Unavailable { reason, .. } = &error else { panic!("{error:?}") };
        assert!(reason.contains(part), "{reason}");
        // Tried again and again, ever more slowly, and said.
        wait(&handle, |view| matches!(view.shim, ShimState::Failing(_)).then_some(())).await;
        let error = handle.stop(SLOT).await.unwrap_err();
        assert!(matches!(error, SuperviseError::Unavailable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_refused_slot_is_not_expected_to_be_there() {
    let installation = Installation::new();
    let supervisor = installation.supervisor();
    let handle = supervisor.service(&service());
    handle.ensure_shim().await.unwrap();
    let error = handle.remove(SLOT).await;
    assert!(matches!(error, Ok(()) | Err(SuperviseError::Refused { .. })), "{error:?}");

    // No such program: taken on or refused, but never running.
    let mut spec = installation.answering(SLOT);
    spec.program = crate::fixture::text(&example("answer")) + "-missing";
    match handle.start(spec).await {
        Ok(()) => {
            let state = wait(&handle, |view| {
                view.slots.get(&SLOT).filter(|state| state.phase.is_empty()).cloned()
            })
            .await;
            assert!(state.process.is_none());
        }
        Err(error) => assert!(matches!(error, SuperviseError::Refused { .. }), "{error:?}"),
    }
}
