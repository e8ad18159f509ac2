//! Each rule of the retry table, with an upstream that behaves so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use control::shim::REFUSED_RESPONSE;

use crate::rig::{Answer, Rig, endpoint, post, service, table_of, until};
use crate::upstream::{Conversation, Upstream};

/// Closes with the request unread, so that the proxy gets a reset.
fn reset_unread(conversation: &mut Conversation) {
    until("the request is there", || {
        let mut byte = [0];
        let flags = rustix::net::RecvFlags::PEEK;
        rustix::net::recv(&conversation.stream, &mut byte[..], flags).is_ok()
    });
}

/// Sends one request to a service whose slot 0 fails it in some way and whose slot 1 answers.
/// Slot 1 starts with more in flight, so that slot 0 is chosen first.
fn two_slots(
    request: &str,
    first: impl Fn(&mut Conversation) + Send + Sync + 'static,
) -> (Answer, Vec<crate::upstream::Seen>, Rig) {
    let rig = Rig::start();
    let failing = Upstream::start(&rig.path("failing"), move |_, conversation| {
        first(conversation);
    });
    let good = Upstream::start(&rig.path("good"), |_, conversation| {
        while let Some(seen) = conversation.request() {
            if seen.path() == "/occupy" {
                // Until the proxy closes.
                while !conversation.bytes().is_empty() {}
                return;
            }
            conversation.ok("good");
        }
    });
    let mut agent = rig.route(vec![endpoint(1, &good.path)]);
    let mut occupant = rig.client();
    occupant.send("GET /occupy HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the good slot is occupied", || !good.seen().is_empty());
    agent.apply(2, crate::rig::table(vec![endpoint(0, &failing.path), endpoint(1, &good.path)]));
    let answer = rig.client().send(request).answer();
    assert!(failing.connections() > 0 || request.contains("nobody"));
    let seen = good.seen().into_iter().filter(|seen| seen.path() != "/occupy").collect();
    (answer, seen, rig)
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_small_post_that_was_reset_unread_goes_to_another_slot() {
    let (answer, seen, _rig) = two_slots(&post("pay"), reset_unread);
    assert_eq!(answer.text(), "good");
    assert_eq!((seen.len(), seen[0].body.as_slice()), (1, &b"pay"[..]));
}

#[test]
fn a_large_post_that_was_reset_is_not_sent_again() {
    let (answer, seen, rig) = two_slots(&post(&"x".repeat(20_000)), reset_unread);
    assert_eq!((answer.status, answer.reason()), (502, "worker_died_processing"));
    assert!(seen.is_empty());
    let lines = rig.wait_for_log("worker_died_processing", 1);
    assert_eq!(lines[0]["id"], answer.header("x-request-id").unwrap());
    assert_eq!((&lines[0]["slot"], &lines[0]["release"]), (&"g1.0".into(), &"v1".into()));
}

#[test]
fn a_large_put_that_was_reset_is() {
    let request = post(&"x".repeat(20_000)).replacen("POST", "PUT", 1);
    let (answer, seen, _rig) = two_slots(&request, reset_unread);
    assert_eq!((answer.text().as_str(), seen.len()), ("good", 1));
    assert_eq!(seen[0].body.len(), 20_000);
}

#[test]
fn a_get_that_was_read_and_not_answered_goes_to_another_slot() {
    let (answer, seen, _rig) = two_slots(GET, |conversation| {
        conversation.request();
    });
    assert_eq!((answer.text().as_str(), seen.len()), ("good", 1));
}

#[test]
fn a_post_that_was_read_and_not_answered_is_not_sent_again() {
    let (answer, seen, _rig) = two_slots(&post("pay"), |conversation| {
        conversation.request();
    });
    assert_eq!((answer.status, answer.reason()), (500, "app_no_response"));
    assert!(seen.is_empty());
}

#[test]
fn what_the_shim_refused_goes_to_another_slot_whatever_its_size() {
    for request in [GET.to_owned(), post("pay"), post(&"x".repeat(60_000))] {
        let (answer, seen, _rig) = two_slots(&request, |conversation| {
            conversation.send(REFUSED_RESPONSE);
        });
        assert_eq!((answer.text().as_str(), seen.len()), ("good", 1), "{request:.20}");
        assert!(answer.header("skep-refused").is_none());
    }
}

#[test]
fn a_slot_that_does_not_listen_is_passed_over() {
    let rig = Rig::start();
    let good = Upstream::answering(&rig.path("good"), "good");
    let nobody = rig.path("nobody");
    drop(std::os::unix::net::UnixListener::bind(&nobody).unwrap());
    let _agent = rig.route(vec![endpoint(0, &nobody), endpoint(1, &good.path)]);
    let mut client = rig.client();
    for _ in 0..10 {
        assert_eq!(client.post("pay").text(), "good");
    }
    assert_eq!(good.seen().len(), 10);
}

#[test]
fn a_kept_connection_that_the_slot_closed_costs_nothing() {
    let rig = Rig::start();
    // Closes behind every answer without having said so, at whatever moment.
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        if conversation.request().is_some() {
            conversation.ok("ok");
        }
    });
    let mut agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    for _ in 0..200 {
        assert_eq!(client.post("pay").text(), "ok");
    }
    assert_eq!(app.seen().len(), 200, "each was executed once");
    assert_eq!(agent.counters().proxy_errors, 0);
}

#[test]
fn a_get_that_kills_every_slot_is_not_sent_for_ever() {
    let rig = Rig::start();
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        conversation.request();
    });
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let answer = rig.client().get("/poison");
    assert_eq!((answer.status, answer.reason()), (500, "app_no_response"));
    assert_eq!(app.seen().len(), 2);
    let resets = Upstream::start(&rig.path("resets"), |_, conversation| {
        reset_unread(conversation);
    });
    rig.agent().apply(2, crate::rig::table(vec![endpoint(1, &resets.path)]));
    let answer = rig.client().get("/poison");
    assert_eq!((answer.status, answer.reason()), (502, "worker_died_processing"));
    assert_eq!(resets.connections(), 3);
}

#[test]
fn the_only_slot_is_tried_again_after_its_restart() {
    let rig = Rig::start();
    let starts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&starts);
    // Refused some times by the shim, then a new process answers on the same socket.
    let app = Upstream::start(&rig.path("app"), move |_, conversation| {
        if counted.fetch_add(1, SeqCst) < 4 {
            conversation.send(REFUSED_RESPONSE);
            return;
        }
        while conversation.request().is_some() {
            conversation.ok("back");
        }
    });
    let mut agent = rig.route(vec![endpoint(0, &app.path)]);
    assert_eq!(rig.client().post("pay").text(), "back");
    assert_eq!(app.seen().len(), 1);
    let counters = agent.counters();
    assert_eq!((counters.held, counters.retried, counters.proxy_errors), (1, 4, 0));
}

#[test]
fn a_slow_answer_is_504_and_not_sent_again() {
    let rig = Rig::start();
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        conversation.request();
        // Until the proxy gives up.
        while !conversation.bytes().is_empty() {}
    });
    let mut slow = service(vec![endpoint(0, &app.path)]);
    slow.response_timeout_ms = 100;
    rig.agent().apply(1, table_of(slow));
    let answer = rig.client().get("/");
    assert_eq!((answer.status, answer.reason()), (504, "response_timeout"));
    assert_eq!(app.seen().len(), 1);
}

#[test]
fn a_full_backlog_is_waited_out() {
    use std::os::unix::net::{UnixListener, UnixStream};
    let rig = Rig::start();
    let path = rig.path("app");
    let listener = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    // Fills the queue: the next connect gets EAGAIN.
    let fill = UnixStream::connect(&path).unwrap();
    let _agent = rig.route(vec![endpoint(0, &path)]);
    let mut client = rig.client();
    client.send(post("pay"));
    until("the request waits", || {
        let mut agent = rig.agent();
        agent.counters().held == 1
    });
    drop(fill);
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 4096];
            if stream.read(&mut bytes).unwrap_or(0) > 0 {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                return;
            }
        }
    });
    assert_eq!(client.answer().text(), "ok");
    server.join().unwrap();
}
