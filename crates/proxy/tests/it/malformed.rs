//! Requests that are refused, and what the client is told.

use crate::rig::{Rig, endpoint, service, table_of};
use crate::upstream::Upstream;

#[test]
fn doubtful_requests_never_reach_an_app() {
    let rig = Rig::start();
    let app = Upstream::answering(&rig.path("app"), "ok");
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let cases: &[(&str, u16, &str)] = &[
        ("GET / HTTP/1.1\nHost: a\n\n", 400, "bad_request"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "bad_request"),
        ("\x16\x03\x01", 400, "bad_request"),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501, "bad_request"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "bad_request"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "bad_request",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
            400,
            "bad_request",
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", 417, "bad_request"),
    ];
    for (bytes, status, reason) in cases {
        let mut client = rig.client();
        let answer = client.send(bytes).answer();
        assert_eq!((answer.status, answer.reason()), (*status, *reason), "{bytes:?}");
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(answer.header("x-request-id").is_some());
        assert_eq!(client.rest(), (vec![], None), "{bytes:?}");
    }
    let mut client = rig.client();
    let big = format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n\r\n", "c".repeat(40_000));
    let answer = client.send(big).answer();
    assert_eq!((answer.status, answer.reason()), (431, "header_too_big"));
    assert!(app.seen().is_empty());
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let rig = Rig::start();
    let app = Upstream::answering(&rig.path("app"), "ok");
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    for byte in crate::rig::post("hello").bytes() {
        client.send([byte]);
    }
    assert_eq!(client.answer().text(), "ok");
    assert_eq!(app.seen()[0].body, b"hello");
}

#[test]
fn a_body_over_the_limit_is_413() {
    let rig = Rig::start();
    let app = Upstream::answering(&rig.path("app"), "ok");
    let mut limited = service(vec![endpoint(0, &app.path)]);
    limited.body_limit_bytes = 10;
    rig.agent().apply(1, table_of(limited));
    let declared = rig.client().send(crate::rig::post("hello, world")).answer();
    assert_eq!((declared.status, declared.reason()), (413, "body_too_large"));
    let chunked = rig
        .client()
        .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nc\r\nhello, world\r\n0\r\n\r\n")
        .answer();
    assert_eq!((chunked.status, chunked.reason()), (413, "body_too_large"));
    // A client that asks first is told before it sends.
    let asked = rig
        .client()
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        .answer();
    assert_eq!(asked.status, 413);
    assert!(app.seen().is_empty());
}

#[test]
fn garbage_from_an_app_is_502() {
    let rig = Rig::start();
    let app = Upstream::start(&rig.path("app"), |number, conversation| {
        let answers = [
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: cut in the mid",
        ];
        conversation.request();
        conversation.send(answers[number]);
    });
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    for _ in 0..4 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.reason()), (502, "garbage_response"));
    }
    rig.wait_for_log("garbage_response", 4);
}
