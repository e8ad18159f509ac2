//! Who takes too long, and what is too much: each limit is reached, and what is behind it answers.
//!
//! The limits are short ones, given to the proxy; nothing here asks how long anything took.

use std::io::ErrorKind;
use std::time::Duration;

use proxy::Limits;

use crate::rig::{Client, PATIENCE, Rig, endpoint, post, service, table_of, until};
use crate::upstream::{Seen, Upstream};

/// Short enough that a test reaches it.
const SHORT: Duration = Duration::from_millis(50);

/// Limits that only a hang reaches; each test shortens one.
fn patient() -> Limits {
    Limits {
        head: PATIENCE,
        client_idle: PATIENCE,
        body_grace: PATIENCE,
        send: PATIENCE,
        response_pause: PATIENCE,
        ..Limits::default()
    }
}

/// Starts a proxy with a slot that says `ok`.
fn answering(limits: Limits) -> (Rig, Upstream) {
    let rig = Rig::start_with(limits);
    let app = Upstream::answering(&rig.path("app"), "ok");
    drop(rig.route(vec![endpoint(0, &app.path)]));
    (rig, app)
}

/// Starts a proxy with a slot that takes heads of any size: ours adds some lines to what it got.
fn lenient(limits: Limits) -> (Rig, Upstream) {
    let rig = Rig::start_with(limits);
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        let mut head = Vec::new();
        loop {
            let more = conversation.bytes();
            if more.is_empty() {
                return;
            }
            head.extend(more);
            if head.ends_with(b"\r\n\r\n") {
                conversation.seen.lock().unwrap().push(Seen::default());
                conversation.ok("ok");
                head.clear();
            }
        }
    });
    drop(rig.route(vec![endpoint(0, &app.path)]));
    (rig, app)
}

fn assert_answered(client: &mut Client, status: u16, reason: &str) {
    let answer = client.answer();
    assert_eq!((answer.status, answer.reason()), (status, reason));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(client.rest().0, b"");
}

#[test]
fn a_head_that_never_ends() {
    let (rig, app) = answering(Limits { head: SHORT, ..patient() });
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    assert_answered(&mut client, 408, "client_too_slow");
    // One behind a request that was answered too; and a byte now and then buys nothing.
    let mut second = rig.client();
    assert_eq!(second.get("/").text(), "ok");
    second.send("G");
    assert_answered(&mut second, 408, "client_too_slow");
    assert_eq!(app.seen().len(), 1);
    rig.wait_for_log("client_too_slow", 2);
}

#[test]
fn a_connection_without_a_request_is_closed_silently() {
    let (rig, _app) = answering(Limits { client_idle: SHORT, ..patient() });
    assert_eq!(rig.client().rest(), (vec![], None), "never said anything");
    let mut client = rig.client();
    assert_eq!(client.get("/").text(), "ok");
    assert_eq!(client.rest(), (vec![], None), "idle between two requests");
}

#[test]
fn a_body_that_never_ends_before_it_is_sent() {
    let (rig, app) = answering(Limits { body_grace: SHORT, ..patient() });
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let mut client = rig.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
        assert_answered(&mut client, 408, "client_too_slow");
    }
    assert!(app.seen().is_empty());
    assert_eq!(rig.details("client_too_slow", 2), ["the body", "the body"]);
}

#[test]
fn a_body_that_stalls_on_its_way_to_the_slot() {
    // Whatever it has sent buys it no time.
    let limits = Limits { body_grace: SHORT, body_bytes_per_second: u64::MAX, ..patient() };
    let rig = Rig::start_with(limits);
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        assert!(conversation.request().is_none(), "the body was whole");
    });
    let mut agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    client.send(vec![b'x'; 100_000]);
    assert_answered(&mut client, 408, "client_too_slow");
    until("the slot's place is free", || agent.counters().in_flight == 0);
    assert_eq!(app.connections(), 1);
}

#[test]
fn a_client_that_reads_nothing_of_a_long_answer() {
    let rig = Rig::start_with(Limits { send: SHORT, ..patient() });
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        // More than all buffers between here and there hold; ends when the proxy gives up.
        use std::io::Write;
        let piece = vec![b'x'; 64 << 10];
        while conversation.stream.write_all(&piece).is_ok() {}
    });
    let mut agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    client.send("GET /export HTTP/1.1\r\nHost: a\r\n\r\n");
    rig.wait_for_log("client_abort", 1);
    until("the slot's place is free", || agent.counters().in_flight == 0);
    assert_eq!(client.rest().1, Some(ErrorKind::ConnectionReset), "seen to be cut");
}

#[test]
fn a_slot_that_stalls_in_the_middle_of_its_answer() {
    let rig = Rig::start_with(Limits { response_pause: SHORT, ..patient() });
    let app = Upstream::start(&rig.path("app"), |number, conversation| {
        conversation.request();
        conversation.send(if number == 0 {
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
        } else {
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
        });
        while !conversation.bytes().is_empty() {}
    });
    let mut agent = rig.route(vec![endpoint(0, &app.path)]);
    for _ in 0..2 {
        let mut client = rig.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.rest().1, Some(ErrorKind::ConnectionReset));
    }
    assert_eq!(rig.details("early_close", 2), ["it paused too long"; 2]);
    assert_eq!((agent.counters().broken, app.seen().len()), (2, 2));
}

#[test]
fn heads_that_are_too_large() {
    let (rig, app) = lenient(patient());
    let header = |bytes: usize| {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4))
    };
    let mut client = rig.client();
    assert_eq!(client.send(header(http1::MAX_HEAD_BYTES)).answer().text(), "ok");
    client.send(header(http1::MAX_HEAD_BYTES + 1));
    assert_answered(&mut client, 431, "header_too_big");
    // One that never ends is not read for ever.
    let mut endless = rig.client();
    endless.send(&header(4 * http1::MAX_HEAD_BYTES)[..2 * http1::MAX_HEAD_BYTES]);
    assert_answered(&mut endless, 431, "header_too_big");

    let target =
        |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "t".repeat(bytes - 1));
    assert_eq!(rig.client().send(target(http1::MAX_TARGET_BYTES)).answer().text(), "ok");
    let mut client = rig.client();
    client.send(target(http1::MAX_TARGET_BYTES + 1));
    assert_answered(&mut client, 414, "header_too_big");
    assert_eq!(app.seen().len(), 2);
}

#[test]
fn heads_with_too_many_lines() {
    let (rig, app) = lenient(patient());
    let lines =
        |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    let mut client = rig.client();
    assert_eq!(client.send(lines(http1::MAX_HEADERS)).answer().text(), "ok");
    client.send(lines(http1::MAX_HEADERS + 1));
    assert_answered(&mut client, 431, "header_too_big");
    assert_eq!(app.seen().len(), 1);
}

#[test]
fn answers_with_a_head_that_is_too_large() {
    let rig = Rig::start_with(patient());
    let app = Upstream::start(&rig.path("app"), |number, conversation| {
        conversation.request();
        let (name, count) =
            if number == 0 { ("x".repeat(http1::MAX_HEAD_BYTES), 1) } else { ("X".into(), 129) };
        conversation
            .send(format!("HTTP/1.1 200 OK\r\n{}\r\n", format!("{name}: y\r\n").repeat(count)));
        while !conversation.bytes().is_empty() {}
    });
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    for _ in 0..2 {
        let answer = rig.client().get("/");
        assert_eq!((answer.status, answer.reason()), (502, "garbage_response"));
    }
    assert_eq!(app.seen().len(), 2);
}

#[test]
fn waiting_requests_keep_only_so_many_bytes() {
    const BODY: usize = 10_000;
    // Two with their heads, and not three.
    let rig = Rig::start_with(Limits { held_bytes: 3 * BODY, ..patient() });
    let mut agent = rig.agent();
    agent.apply(1, table_of(service(vec![])));
    let body = "x".repeat(BODY);
    let mut waiting: Vec<Client> = (0..2).map(|_| rig.client()).collect();
    for client in &mut waiting {
        client.send(post(&body));
    }
    until("two wait", || agent.counters().held == 2);
    let mut third = rig.client();
    let answer = third.send(post(&body)).answer();
    assert_eq!((answer.status, answer.reason()), (503, "hold_full"));
    assert!(answer.header("retry-after").is_some());
    // A small one still fits, and what was given back is free for another.
    let mut small = rig.client();
    small.send(post("small"));
    until("the small one waits", || agent.counters().held == 3);
    drop(waiting.pop());
    rig.wait_for_log("client_abort", 1);
    third.send(post(&body));
    until("the third waits", || agent.counters().held == 4);
    let app = Upstream::answering(&rig.path("app"), "ok");
    agent.apply(2, table_of(service(vec![endpoint(0, &app.path)])));
    for client in waiting.iter_mut().chain([&mut third, &mut small]) {
        assert_eq!(client.answer().text(), "ok");
    }
}
