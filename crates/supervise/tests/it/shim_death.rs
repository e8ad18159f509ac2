//! The shim is killed, alone and together with its process.

use std::collections::BTreeSet;
use std::net::TcpListener;

use control::SlotId;
use control::shim::SharedListener;
use rustix::process::Signal;

use crate::fixture::{
    Installation, ask, ask_from_task, ask_tcp, kill, pid_of, running, service, shim_pid, start,
    wait, wait_for_end,
};

const SLOT: SlotId = SlotId { generation: control::Generation(1), number: control::SlotNumber(0) };

#[tokio::test]
async fn its_successor_keeps_the_process_the_socket_and_the_restarts() {
    let installation = Installation::new();
    let supervisor = installation.supervisor();
    let handle = supervisor.service(&service());
    let pid = start(&handle, installation.answering(SLOT)).await;
    let socket = installation.socket(SLOT);

    // More often than restarts are free of a pause.
    for _ in 0..5 {
        let shim = shim_pid(&handle.view()).unwrap();
        kill(shim, Signal::KILL);
        let state =
            wait(&handle, |view| (shim_pid(view)? != shim).then(|| running(view, SLOT)).flatten())
                .await;
        assert_eq!(pid_of(&state), pid);
        assert!(state.process.unwrap().adopted);
        assert!(!state.incomplete);
        let socket = socket.clone();
        assert_eq!(ask_from_task(socket).await, pid);
    }

    kill(pid, Signal::KILL);
    let next = wait(&handle, |view| running(view, SLOT).filter(|state| pid_of(state) != pid)).await;
    assert_eq!(ask_from_task(socket).await, pid_of(&next));
    assert_eq!(installation.count("answer"), 1);
    assert_eq!(installation.count("shim"), 1);
}

#[tokio::test]
async fn with_its_process_it_is_restarted_once_on_the_same_socket() {
    let installation = Installation::new();
    let supervisor = installation.supervisor();
    let handle = supervisor.service(&service());
    let pid = start(&handle, installation.answering(SLOT)).await;
    let shim = shim_pid(&handle.view()).unwrap();

    die_together(shim, pid);
    // A client that comes now waits in the backlog for whoever answers.
    let socket = installation.socket(SLOT);
    let answer = tokio::task::spawn_blocking(move || ask(&socket));
    let state = wait(&handle, |view| running(view, SLOT).filter(|s| pid_of(s) != pid)).await;
    assert_eq!(answer.await.unwrap(), pid_of(&state));
    assert_eq!(installation.count("answer"), 1);
    assert_eq!(installation.count("shim"), 1);
}

#[tokio::test]
async fn shared_listeners_go_to_its_successor() {
    let installation = Installation::new();
    let supervisor = installation.supervisor();
    let handle = supervisor.service(&service());
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    handle.ensure_shim().await.unwrap();
    let listener = SharedListener { name: address.to_string(), address };
    drop(handle.open(listener).await.unwrap());
    let mut spec = installation.answering(SLOT);
    spec.arguments.push("shared".to_owned());
    let pid = start(&handle, spec).await;
    let shim = shim_pid(&handle.view()).unwrap();

    die_together(shim, pid);
    let answer = tokio::task::spawn_blocking(move || ask_tcp(address));
    let state = wait(&handle, |view| running(view, SLOT).filter(|s| pid_of(s) != pid)).await;
    assert_eq!(answer.await.unwrap(), pid_of(&state));
}

/// Requests that come while there is no shim wait for the next one.
#[tokio::test]
async fn requests_in_between_are_not_lost() {
    let installation = Installation::new();
    let supervisor = installation.supervisor();
    let handle = supervisor.service(&service());
    start(&handle, installation.answering(SLOT)).await;
    for number in 1..4 {
        kill(shim_pid(&handle.view()).unwrap(), Signal::KILL);
        let slot = SlotId::new(1, number);
        handle.start(installation.answering(slot)).await.unwrap();
        wait(&handle, |view| running(view, slot)).await;
    }
    // Each answers on its own socket, and there are no others.
    let sockets: Vec<_> = (0..4).map(|n| installation.socket(SlotId::new(1, n))).collect();
    let ask_all = move || sockets.iter().map(|socket| ask(socket)).collect::<BTreeSet<u32>>();
    assert_eq!(tokio::task::spawn_blocking(ask_all).await.unwrap().len(), 4);
    assert_eq!(installation.count("answer"), 4);
}

/// Stopped, the shim cannot see its process die. It is dead when this returns: one that is about to
/// be killed may still accept a connection and take it along.
fn die_together(shim: u32, pid: u32) {
    kill(shim, Signal::STOP);
    kill(pid, Signal::KILL);
    wait_for_end(pid);
    kill(shim, Signal::KILL);
}
