//! Requests that wait for a slot.

use crate::rig::{Rig, endpoint, post, service, table, table_of, until};
use crate::upstream::Upstream;

#[test]
fn requests_wait_until_a_slot_is_ready() {
    let rig = Rig::start();
    let app = Upstream::answering(&rig.path("app"), "ok");
    let mut starting = endpoint(0, &app.path);
    starting.ready = false;
    let mut agent = rig.route(vec![starting]);
    let mut clients: Vec<_> = (0..8).map(|_| rig.client()).collect();
    for client in &mut clients {
        client.send(post("pay"));
    }
    until("all wait", || agent.counters().held == 8);
    assert!(app.seen().is_empty());
    agent.apply(2, table(vec![endpoint(0, &app.path)]));
    for client in &mut clients {
        assert_eq!(client.answer().text(), "ok");
    }
    assert!(agent.counters().proxy_errors == 0);
}

#[test]
fn a_wait_ends_with_503_and_a_reason() {
    let rig = Rig::start();
    let mut empty = service(vec![]);
    empty.hold_ms = 50;
    let mut agent = rig.agent();
    agent.apply(1, table_of(empty.clone()));
    let mut client = rig.client();
    let answer = client.get("/");
    assert_eq!((answer.status, answer.reason()), (503, "held_timeout"));
    assert!(answer.header("retry-after").is_some());
    assert!(agent.counters().held_max_ms >= 50);
    assert_eq!(agent.counters().held_max_ms, 0);
    empty.hold_ms = 0;
    agent.apply(2, table_of(empty));
    assert_eq!(client.get("/").reason(), "no_ready_slot");
}

#[test]
fn only_so_many_wait() {
    let rig = Rig::start();
    let mut few = service(vec![]);
    few.hold_requests = 2;
    let mut agent = rig.agent();
    agent.apply(1, table_of(few));
    let mut waiting: Vec<_> = (0..2).map(|_| rig.client()).collect();
    for client in &mut waiting {
        client.send(post("pay"));
    }
    until("two wait", || agent.counters().held == 2);
    let answer = rig.client().get("/");
    assert_eq!((answer.status, answer.reason()), (503, "hold_full"));
    // A client that leaves makes room.
    drop(waiting.pop());
    rig.wait_for_log("client_abort", 1);
    let app = Upstream::answering(&rig.path("app"), "ok");
    let mut third = rig.client();
    third.send(post("pay"));
    until("the third waits", || agent.counters().held == 3);
    agent.apply(2, table(vec![endpoint(0, &app.path)]));
    assert_eq!(third.answer().text(), "ok");
    assert_eq!(waiting[0].answer().text(), "ok");
    assert_eq!(app.seen().len(), 2);
}

#[test]
fn a_busy_slot_gets_no_more_than_its_capacity() {
    let rig = Rig::start();
    let running = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let most = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (now, top) = (std::sync::Arc::clone(&running), std::sync::Arc::clone(&most));
    let app = Upstream::start(&rig.path("app"), move |_, conversation| {
        use std::sync::atomic::Ordering::SeqCst;
        while conversation.request().is_some() {
            top.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            std::thread::yield_now();
            now.fetch_sub(1, SeqCst);
            conversation.ok("ok");
        }
    });
    let mut small = endpoint(0, &app.path);
    small.capacity = 2;
    let _agent = rig.route(vec![small]);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = rig.client();
                for _ in 0..50 {
                    assert_eq!(client.post("x").text(), "ok");
                }
            });
        }
    });
    assert!(most.load(std::sync::atomic::Ordering::SeqCst) <= 2);
    assert_eq!(app.seen().len(), 800);
}
