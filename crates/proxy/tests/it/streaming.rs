//! Bodies that are not collected, and protocols that change.

use std::io::Read;
use std::sync::mpsc::channel;

use crate::rig::{Rig, endpoint, until};
use crate::upstream::Upstream;

#[test]
fn events_pass_one_by_one() {
    let rig = Rig::start();
    let (next, wait) = channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let app = Upstream::start(&rig.path("app"), move |_, conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for number in 0..3 {
            conversation.send(format!("3\r\ne{number}\n\r\n"));
            wait.lock().unwrap().recv().unwrap();
        }
        conversation.send("0\r\nTrailer: x\r\n\r\n");
    });
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut text = String::new();
    for number in 0..3 {
        let wanted = format!("3\r\ne{number}\n\r\n");
        while !text.ends_with(&wanted) {
            let mut byte = [0];
            client.stream.read_exact(&mut byte).unwrap();
            text.push(byte[0] as char);
        }
        // Only now may the app go on: the event did not wait for the next one.
        next.send(()).unwrap();
    }
    let mut end = [0; 5];
    client.stream.read_exact(&mut end).unwrap();
    assert_eq!(&end, b"0\r\n\r\n");
    // The trailer ended here and the connection goes on.
}

#[test]
fn large_bodies_pass_whole_in_both_directions() {
    let rig = Rig::start();
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        while let Some(seen) = conversation.request() {
            let length = seen.body.len();
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
            conversation.send(&seen.body);
        }
    });
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    for size in [1, 4096, 65_535, 65_536, 65_537, 3 << 20] {
        let body: Vec<u8> = (0..size).map(|i: usize| (i * 7 % 251) as u8).collect();
        client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"));
        client.send(&body);
        assert!(client.answer().body == body, "{size} bytes");
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for piece in body.chunks(30_000) {
            client.send(format!("{:x}\r\n", piece.len())).send(piece).send("\r\n");
        }
        client.send("0\r\n\r\n");
        assert!(client.answer().body == body, "{size} bytes in chunks");
    }
    // What fits is sent with its length, so that WSGI servers can read it.
    let seen = app.seen();
    assert!(seen[1].has("Content-Length: 1") && !seen[1].head.contains("chunked"));
    assert!(seen[11].has("Transfer-Encoding: chunked"));
}

#[test]
fn a_client_that_waits_for_the_answer_before_it_goes_on() {
    let rig = Rig::start();
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        conversation.head();
        let mut text = Vec::new();
        while !text.ends_with(b"4\r\nping\r\n") {
            text.extend(conversation.bytes());
        }
        conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npong\r\n");
        while !text.ends_with(b"0\r\n\r\n") {
            text.extend(conversation.bytes());
        }
        conversation.send("0\r\n\r\n");
    });
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nping\r\n");
    let mut text = Vec::new();
    while !text.ends_with(b"4\r\npong\r\n") {
        let mut byte = [0];
        client.stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    client.send("0\r\n\r\n");
    let (rest, error) = client.rest();
    assert_eq!((rest.as_slice(), error), (&b"0\r\n\r\n"[..], None));
}

#[test]
fn the_proxy_answers_100_continue_itself() {
    let rig = Rig::start();
    let app = Upstream::answering(&rig.path("app"), "ok");
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let mut interim = [0; 25];
    client.stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.send("hello").answer().text(), "ok");
    assert!(!app.seen()[0].head.contains("Expect"));
    assert_eq!(app.seen()[0].body, b"hello");
}

#[test]
fn an_early_answer_is_passed_on_although_the_app_stopped_reading() {
    let rig = Rig::start();
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        conversation.head();
        conversation
            .send("HTTP/1.1 413 Too Big\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
    });
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n");
    client.send(vec![b'x'; 200_000]);
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (413, "big"));
    // What is left of the body must never be taken for the next request.
    assert_eq!(answer.header("connection"), Some("close"));
}

#[test]
fn a_slow_client_slows_the_app_down() {
    let rig = Rig::start();
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&sent);
    let app = Upstream::start(&rig.path("app"), move |_, conversation| {
        use std::io::Write;
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 41943040\r\n\r\n");
        let piece = vec![b'x'; 65_536];
        for _ in 0..640 {
            if conversation.stream.write_all(&piece).is_err() {
                return;
            }
            counted.fetch_add(65_536, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // The app gets no further than what all the socket buffers hold.
    let mut before = usize::MAX;
    until("the app is stopped", || {
        let now = sent.load(std::sync::atomic::Ordering::SeqCst);
        let still = now == before && now > 0;
        before = now;
        std::thread::park_timeout(std::time::Duration::from_millis(50));
        still
    });
    assert!(before < 30 << 20, "{before} bytes were taken from the app");
    assert_eq!(client.answer().body.len(), 40 << 20);
}

#[test]
fn a_websocket_passes_and_nothing_before_the_switch() {
    let rig = Rig::start();
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        let head = conversation.head();
        assert!(
            head.contains("Upgrade: websocket\r\n") && head.contains("Connection: Upgrade\r\n")
        );
        conversation.stream.set_nonblocking(true).unwrap();
        let mut byte = [0];
        let early = conversation.stream.read(&mut byte);
        assert!(early.is_err(), "bytes behind the request came before the switch");
        conversation.stream.set_nonblocking(false).unwrap();
        conversation.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst ",
        );
        let mut text = Vec::new();
        while !text.ends_with(b"end") {
            text.extend(conversation.bytes());
        }
        conversation.send(&text);
    });
    let mut agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    client.send(
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframe ",
    );
    assert_eq!(client.answer().status, 101);
    client.send("end");
    let (rest, error) = client.rest();
    assert_eq!((String::from_utf8(rest).unwrap().as_str(), error), ("first frame end", None));
    until("the tunnel is over", || agent.counters().in_flight == 0);
}

#[test]
fn a_refused_upgrade_ends_the_connection() {
    let rig = Rig::start();
    let app = Upstream::answering(&rig.path("app"), "no");
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    client.send(
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\
         GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let answer = client.answer();
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("no", Some("close")));
    assert_eq!(client.rest(), (vec![], None));
    assert_eq!(app.seen().len(), 1);
}

#[test]
fn a_truncated_answer_is_seen_to_be_truncated() {
    let rig = Rig::start();
    let app = Upstream::start(&rig.path("app"), |number, conversation| {
        conversation.request();
        conversation.send(if number == 0 {
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
        } else {
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
        });
    });
    let mut agent = rig.route(vec![endpoint(0, &app.path)]);
    for _ in 0..2 {
        let mut client = rig.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let (_, error) = client.rest();
        assert_eq!(error, Some(std::io::ErrorKind::ConnectionReset));
    }
    assert_eq!(app.seen().len(), 2, "nothing is sent again once the answer has begun");
    assert_eq!(agent.counters().broken, 2);
    rig.wait_for_log("early_close", 2);
}

#[test]
fn a_slow_upload_is_not_a_slow_answer() {
    let rig = Rig::start();
    let app = Upstream::answering(&rig.path("app"), "ok");
    let timeout = std::time::Duration::from_millis(50);
    let mut quick = crate::rig::service(vec![endpoint(0, &app.path)]);
    quick.response_timeout_ms = timeout.as_millis() as u64;
    rig.agent().apply(1, crate::rig::table_of(quick));
    let mut client = rig.client();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
    let begun = std::time::Instant::now();
    for _ in 0..5 {
        client.send(vec![b'x'; 100_000]);
        // Time itself is what this is about.
        std::thread::sleep(timeout);
    }
    assert!(begun.elapsed() > 3 * timeout);
    assert_eq!(client.answer().text(), "ok");
}
