//! What a slot says before its answer: 103 and other interim responses.

use http1::HeadScanner;

use crate::rig::{Client, Rig, endpoint, post};
use crate::upstream::{Conversation, Upstream};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";

/// Reads one head, an interim one too.
fn head(client: &mut Client) -> String {
    use std::io::Read;
    let mut bytes = Vec::new();
    while HeadScanner::default().scan(&bytes).unwrap().is_none() {
        let mut byte = [0];
        client.stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}

/// Sends one request to a slot that behaves so, with another slot that would answer it.
fn beside_a_good_slot(
    request: &str,
    first: impl Fn(&mut Conversation) + Send + Sync + 'static,
) -> (Rig, Client, Upstream) {
    let rig = Rig::start();
    let failing = Upstream::start(&rig.path("failing"), move |_, conversation| first(conversation));
    let good = Upstream::answering(&rig.path("good"), "good");
    let mut agent = rig.route(vec![endpoint(0, &failing.path)]);
    let mut client = rig.client();
    client.send(request);
    crate::rig::until("the slot has it", || failing.connections() > 0);
    agent.apply(2, crate::rig::table(vec![endpoint(0, &failing.path), endpoint(1, &good.path)]));
    (rig, client, good)
}

#[test]
fn early_hints_come_before_the_answer() {
    let rig = Rig::start();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let app = Upstream::start(&rig.path("app"), move |_, conversation| {
        while conversation.request().is_some() {
            conversation.send(
                "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x-own\r\n\
                 X-Own: 1\r\nKeep-Alive: 5\r\nSkep-Reason: none\r\n\r\n",
            );
            wait.lock().unwrap().recv().unwrap();
            conversation.send("HTTP/1.1 102 Processing\r\n\r\n");
            conversation.ok("ok");
        }
    });
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    for _ in 0..2 {
        client.send(GET);
        // The slot says no more before the client has the hints.
        let hints = head(&mut client);
        assert_eq!(hints, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
        go_on.send(()).unwrap();
        assert_eq!(head(&mut client), "HTTP/1.1 102 Processing\r\n\r\n");
        assert_eq!(client.answer().text(), "ok");
    }
    assert_eq!(app.connections(), 1, "the slot's connection was kept");
}

#[test]
fn clients_of_http_10_get_the_answer_only() {
    let rig = Rig::start();
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        while conversation.request().is_some() {
            conversation.send(HINTS);
            conversation.ok("ok");
        }
    });
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    let first = head(&mut client);
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{first}");
}

#[test]
fn a_100_of_the_slot_ends_here() {
    let rig = Rig::start();
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        while conversation.request().is_some() {
            conversation.send("HTTP/1.1 100 Continue\r\n\r\n");
            conversation.ok("ok");
        }
    });
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    client.send(post("pay"));
    assert!(head(&mut client).starts_with("HTTP/1.1 200 OK\r\n"));
    // Whoever asked has one from us, and only one.
    let mut asking = rig.client();
    asking.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(head(&mut asking), "HTTP/1.1 100 Continue\r\n\r\n");
    asking.send("pay");
    assert!(head(&mut asking).starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn nobody_is_asked_to_continue_who_has_begun_or_has_nothing() {
    let rig = Rig::start();
    let app = Upstream::answering(&rig.path("app"), "ok");
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let ask = "Host: a\r\nExpect: 100-continue\r\n";
    for request in [
        format!("POST / HTTP/1.1\r\n{ask}Content-Length: 3\r\n\r\npay"),
        format!("POST / HTTP/1.1\r\n{ask}Content-Length: 0\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{ask}\r\n"),
        // RFC 9110 §10.1.1: an expectation of HTTP/1.0 is ignored.
        format!("POST / HTTP/1.0\r\n{ask}Content-Length: 3\r\n\r\npay"),
    ] {
        let mut client = rig.client();
        client.send(&request);
        assert!(head(&mut client).starts_with("HTTP/1.1 200 OK\r\n"), "{request}");
    }
}

#[test]
fn what_was_partly_answered_is_not_sent_again() {
    // Without the hints each of these GETs would go to the other slot.
    let ends: [(&str, u16, &str); 2] = [("ended", 500, "app_no_response"), ("refused", 503, "")];
    for (end, status, reason) in ends {
        for interim in [HINTS, "HTTP/1.1 100 Continue\r\n\r\n"] {
            let (_rig, mut client, good) = beside_a_good_slot(GET, move |conversation| {
                conversation.request();
                conversation.send(interim);
                if end == "refused" {
                    conversation.send(control::shim::REFUSED_RESPONSE);
                }
            });
            if interim == HINTS {
                assert_eq!(head(&mut client), HINTS);
            }
            let answer = client.answer();
            assert_eq!((answer.status, answer.reason()), (status, reason), "{end}");
            assert!(good.seen().is_empty(), "{end}: sent again");
        }
    }
}

#[test]
fn a_reset_after_hints_is_not_sent_again() {
    let (rig, mut client, good) = beside_a_good_slot(&post("pay"), |conversation| {
        // Read only in part, so that the close is a reset.
        use std::io::Read;
        conversation.stream.read_exact(&mut [0; 4]).unwrap();
        conversation.send(HINTS);
    });
    assert_eq!(head(&mut client), HINTS);
    let answer = client.answer();
    assert_eq!((answer.status, answer.reason()), (502, "worker_died_processing"));
    assert!(good.seen().is_empty());
    assert_eq!(rig.wait_for_log("worker_died_processing", 1)[0]["attempts"], 1);
}

#[test]
fn a_slot_that_only_hints_is_garbage() {
    let rig = Rig::start();
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        conversation.request();
        conversation.send(HINTS.repeat(100));
        while !conversation.bytes().is_empty() {}
    });
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    client.send(GET);
    let mut hints = 0;
    let last = loop {
        match head(&mut client) {
            hint if hint == HINTS => hints += 1,
            other => break other,
        }
    };
    assert!(last.starts_with("HTTP/1.1 502 "), "{last}");
    assert_eq!(hints, 8);
    assert_eq!(rig.details("garbage_response", 1), ["more than 8 interim responses"]);
}
