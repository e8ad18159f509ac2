//! The supervisor goes and another comes, with and without the shim in between.

use control::SlotId;
use rustix::process::Signal;
use supervise::{Discovered, Discovery};

use crate::fixture::{
    Installation, ask_from_task, kill, pid_of, running, service, shim_pid, start, wait,
    wait_for_end,
};

const SLOT: SlotId = SlotId { generation: control::Generation(1), number: control::SlotNumber(0) };

#[tokio::test]
async fn the_next_one_finds_everything_and_can_replace_the_shim() {
    let installation = Installation::new();
    let first = installation.supervisor();
    let handle = first.service(&service());
    let pid = start(&handle, installation.answering(SLOT)).await;
    let before = handle.view();
    drop((first, handle));

    let second = installation.supervisor();
    let found = second.discover().await.unwrap();
    assert_eq!(found, [Discovered { service: service(), shim: Discovery::Connected }]);
    let handle = second.service(&service());
    assert_eq!(handle.view(), before);
    handle.expect(vec![installation.answering(SLOT)]).await.unwrap();

    let shim = shim_pid(&before).unwrap();
    kill(shim, Signal::KILL);
    let state =
        wait(&handle, |view| (shim_pid(view)? != shim).then(|| running(view, SLOT)).flatten())
            .await;
    assert_eq!(pid_of(&state), pid);
    assert!(!state.incomplete, "the second supervisor had no descriptors");
    kill(pid, Signal::KILL);
    wait_for_end(pid);
    let next = wait(&handle, |view| running(view, SLOT).filter(|s| pid_of(s) != pid)).await;
    let socket = installation.socket(SLOT);
    assert_eq!(ask_from_task(socket).await, pid_of(&next));
}

#[tokio::test]
async fn if_the_shim_died_too_its_process_is_kept_and_what_is_missing_is_said() {
    let installation = Installation::new();
    let pid = orphan(&installation).await;

    let second = installation.supervisor();
    let found = second.discover().await.unwrap();
    assert_eq!(found, [Discovered { service: service(), shim: Discovery::NotRunning }]);
    let handle = second.service(&service());
    handle.expect(vec![installation.answering(SLOT)]).await.unwrap();
    handle.ensure_shim().await.unwrap();
    let state = wait(&handle, |view| running(view, SLOT)).await;
    assert_eq!(pid_of(&state), pid);
    if !state.incomplete {
        let socket = installation.socket(SLOT);
        assert_eq!(ask_from_task(socket).await, pid);
    }
    assert_eq!(installation.count("answer"), 1);
}

#[tokio::test]
async fn an_orphan_that_nobody_expects_is_left_until_that_is_said() {
    let installation = Installation::new();
    let pid = orphan(&installation).await;
    let second = installation.supervisor();
    let handle = second.service(&service());
    handle.ensure_shim().await.unwrap();
    assert_eq!(handle.view().adoptable.get(&SLOT), Some(&pid));
    handle.flush_logs().await.unwrap();
    assert_eq!(installation.count("answer"), 1);

    handle.expect(Vec::new()).await.unwrap();
    tokio::task::spawn_blocking(move || wait_for_end(pid)).await.unwrap();
    wait(&handle, |view| view.adoptable.is_empty().then_some(())).await;
}

#[tokio::test]
async fn starting_a_slot_whose_orphan_lives_adopts_it() {
    let installation = Installation::new();
    let pid = orphan(&installation).await;
    let second = installation.supervisor();
    let handle = second.service(&service());
    assert_eq!(start(&handle, installation.answering(SLOT)).await, pid);
    assert_eq!(installation.count("answer"), 1);
}

#[tokio::test]
async fn what_is_only_expected_is_not_started() {
    let installation = Installation::new();
    let supervisor = installation.supervisor();
    let handle = supervisor.service(&service());
    handle.expect(vec![installation.answering(SLOT)]).await.unwrap();
    handle.ensure_shim().await.unwrap();
    // Answered after whatever adopting would have led to.
    handle.flush_logs().await.unwrap();
    assert!(handle.view().slots.is_empty(), "nobody said that it was ever started");
    start(&handle, installation.answering(SLOT)).await;
    assert_eq!(installation.count("answer"), 1);
}

/// Returns a process whose shim and agent are both gone.
async fn orphan(installation: &Installation) -> u32 {
    let first = installation.supervisor();
    let handle = first.service(&service());
    let pid = start(&handle, installation.answering(SLOT)).await;
    let shim = shim_pid(&handle.view()).unwrap();
    drop((first, handle));
    kill(shim, Signal::KILL);
    tokio::task::spawn_blocking(move || wait_for_end(shim)).await.unwrap();
    pid
}
