//! Tables, acknowledgements, drains, cuts, counters, leaving.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use control::Revision;
use control::proxy::{Message, Request};

use crate::rig::{Rig, endpoint, endpoint_id, post, table, until};
use crate::upstream::Upstream;

/// An app that answers once it is told to.
fn gated(rig: &Rig, name: &str) -> (Upstream, Arc<AtomicBool>) {
    let gate = Arc::new(AtomicBool::new(false));
    let open = Arc::clone(&gate);
    let app = Upstream::start(&rig.path(name), move |_, conversation| {
        while conversation.request().is_some() {
            until("the gate opens", || open.load(SeqCst));
            conversation.ok("late");
        }
    });
    (app, gate)
}

#[test]
fn revisions_only_rise() {
    let rig = Rig::start();
    let app = Upstream::answering(&rig.path("app"), "ok");
    let mut agent = rig.agent();
    assert!(matches!(agent.receive(), Message::State { revision: None, .. }));
    let good = table(vec![endpoint(0, &app.path)]);
    agent.apply(5, good.clone());
    // The same again is fine; anything else that is not higher is refused.
    agent.apply(5, good.clone());
    let mut refused = |revision: u64, table| {
        agent.send(&Request::Routes { revision: Revision(revision), table }, vec![]);
        agent.wait_for(|message| match message {
            Message::Refused { current, reason, .. } => {
                assert_eq!(current, Some(Revision(5)));
                Some(reason)
            }
            Message::Applied { .. } => panic!("revision {revision} was taken"),
            _ => None,
        })
    };
    refused(5, table(vec![]));
    refused(4, good.clone());
    let mut broken = good;
    broken.routes[0].path = "x".into();
    assert!(refused(6, broken).contains("route path"));
    assert_eq!(rig.client().get("/").text(), "ok");
    // A second agent sees what is in force.
    let mut other = rig.agent();
    let Message::State { revision, listeners, pid } = other.receive() else { panic!("no state") };
    assert_eq!((revision, pid), (Some(Revision(5)), std::process::id()));
    assert_eq!(listeners, ["public"]);
}

#[test]
fn a_drain_waits_for_what_is_in_flight() {
    let rig = Rig::start();
    let (old, gate) = gated(&rig, "old");
    let new = Upstream::answering(&rig.path("new"), "new");
    let mut agent = rig.route(vec![endpoint(0, &old.path)]);
    let mut client = rig.client();
    client.send(post("pay"));
    until("the old slot has it", || old.seen().len() == 1);
    agent.apply(2, table(vec![endpoint(1, &new.path)]));
    agent.send(&Request::Drain { id: 7, endpoints: vec![endpoint_id(0)] }, vec![]);
    let in_flight = agent.wait_for(|message| match message {
        Message::Draining { id: 7, in_flight, total: 1 } => Some(in_flight),
        Message::Drained { .. } => panic!("drained with a request in flight"),
        _ => None,
    });
    assert_eq!((in_flight[0].method.as_str(), in_flight[0].path.as_str()), ("POST", "/buy"));
    assert_eq!(rig.client().get("/").text(), "new");
    gate.store(true, SeqCst);
    agent.drained(7);
    assert_eq!(client.answer().text(), "late");
    // Nothing there: drained at once.
    agent.send(&Request::Drain { id: 8, endpoints: vec![endpoint_id(5)] }, vec![]);
    agent.drained(8);
}

#[test]
fn idle_connections_are_closed_before_a_drain_is_over() {
    let rig = Rig::start();
    let closed = Arc::new(AtomicBool::new(false));
    let seen_closed = Arc::clone(&closed);
    let app = Upstream::start(&rig.path("app"), move |_, conversation| {
        while conversation.request().is_some() {
            conversation.ok("ok");
        }
        seen_closed.store(true, SeqCst);
    });
    let mut agent = rig.route(vec![endpoint(0, &app.path)]);
    assert_eq!(rig.client().get("/").text(), "ok");
    agent.apply(2, table(vec![]));
    agent.send(&Request::Drain { id: 1, endpoints: vec![endpoint_id(0)] }, vec![]);
    agent.drained(1);
    until("the slot sees the end", || closed.load(SeqCst));
}

#[test]
fn what_is_cut_is_counted_and_listed() {
    let rig = Rig::start();
    let (app, _gate) = gated(&rig, "app");
    let mut agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut waiting = rig.client();
    waiting.send("GET /export?secret=1 HTTP/1.1\r\nHost: a\r\nX-Request-Id: r-1\r\n\r\n");
    until("the app has it", || app.seen().len() == 1);
    agent.apply(2, table(vec![]));
    agent.send(&Request::Cut { id: 3, endpoints: vec![endpoint_id(0)] }, vec![]);
    let requests = agent.wait_for(|message| match message {
        Message::WasCut { id: 3, requests, total: 1 } => Some(requests),
        _ => None,
    });
    assert_eq!((requests[0].id.as_str(), requests[0].path.as_str()), ("r-1", "/export"));
    let answer = waiting.answer();
    assert_eq!((answer.status, answer.reason()), (503, "cut_at_drain"));
    agent.send(&Request::Drain { id: 4, endpoints: vec![endpoint_id(0)] }, vec![]);
    agent.drained(4);
}

#[test]
fn a_tunnel_is_listed_as_upgraded_and_can_be_cut() {
    let rig = Rig::start();
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        conversation.head();
        conversation.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        while !conversation.bytes().is_empty() {}
    });
    let mut agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    client.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.answer().status, 101);
    agent.apply(2, table(vec![]));
    agent.send(&Request::Drain { id: 1, endpoints: vec![endpoint_id(0)] }, vec![]);
    agent.wait_for(|message| match message {
        Message::Draining { in_flight, .. } => in_flight[0].upgraded.then_some(()),
        _ => None,
    });
    agent.send(&Request::Cut { id: 2, endpoints: vec![endpoint_id(0)] }, vec![]);
    agent.drained(1);
    assert_eq!(client.rest().1, Some(std::io::ErrorKind::ConnectionReset));
}

#[test]
fn no_request_starts_outside_an_acknowledged_table() {
    const SWAPS: u64 = 200;
    const CLIENTS: usize = 6;
    let rig = Rig::start();
    // Which slot alone may get requests: 0, 1, or any (2) while a table is on its way.
    let allowed = Arc::new(AtomicU64::new(2));
    let wrong = Arc::new(AtomicU64::new(0));
    let app = |number: u64| {
        let (allowed, wrong) = (Arc::clone(&allowed), Arc::clone(&wrong));
        Upstream::start(&rig.path(&format!("app{number}")), move |_, conversation| {
            use std::io::Read;
            let mut bytes = [0; 4096];
            // Looked at in the moment a request's first byte is read.
            while let Ok(count) = conversation.stream.read(&mut bytes) {
                if count == 0 {
                    return;
                }
                let only = allowed.load(SeqCst);
                if only != 2 && only != number {
                    wrong.fetch_add(1, SeqCst);
                }
                conversation.ok("ok");
            }
        })
    };
    let apps = [app(0), app(1)];
    let mut agent = rig.route(vec![endpoint(0, &apps[0].path)]);
    let done = AtomicBool::new(false);
    let requests = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = rig.client();
                while !done.load(SeqCst) {
                    assert_eq!(client.post("pay").text(), "ok");
                    requests.fetch_add(1, SeqCst);
                }
            });
        }
        for swap in 0..SWAPS {
            let now = (swap + 1) % 2;
            let before = requests.load(SeqCst);
            agent.apply(swap + 2, table(vec![endpoint(now as u32, &apps[now as usize].path)]));
            // What was in flight when the table came may still be read by the old slot.
            agent.send(
                &Request::Drain { id: swap, endpoints: vec![endpoint_id(1 - now as u32)] },
                vec![],
            );
            agent.drained(swap);
            allowed.store(now, SeqCst);
            until("requests go on", || requests.load(SeqCst) >= before + 5);
            allowed.store(2, SeqCst);
        }
        done.store(true, SeqCst);
    });
    assert_eq!(wrong.load(SeqCst), 0, "requests on a slot outside the table");
    // A request is counted behind its last byte, which its client may have read already.
    until("all are counted", || agent.counters().requests == requests.load(SeqCst));
    let counters = agent.counters();
    assert_eq!((counters.proxy_errors, counters.broken), (0, 0));
    assert!(apps.iter().all(|app| app.connections() > 0));
}

#[test]
fn listeners_come_and_go() {
    let rig = Rig::start();
    let app = Upstream::answering(&rig.path("app"), "ok");
    let mut routes = table(vec![endpoint(0, &app.path)]);
    let mut second = routes.routes[0].clone();
    second.listener = "second".into();
    routes.routes.push(second);
    let mut agent = rig.agent();
    agent.apply(1, routes);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let fd = listener.as_fd().try_clone_to_owned().unwrap();
    agent.send(&Request::Listeners { names: vec!["second".into()] }, vec![fd]);
    let listening = |message| match message {
        Message::Listening { names } => Some(names),
        _ => None,
    };
    assert_eq!(agent.wait_for(listening), ["public", "second"]);
    let mut client = crate::rig::Client::connect(address);
    assert_eq!(client.get("/").text(), "ok");
    agent.send(&Request::Unlisten { names: vec!["second".into(), "none".into()] }, vec![]);
    assert_eq!(agent.wait_for(listening), ["public"]);
    // What was accepted goes on; what comes now waits in the backlog of whoever holds the socket.
    assert_eq!(client.get("/").text(), "ok");
    drop(listener);
    assert!(std::net::TcpStream::connect(address).is_err(), "the proxy kept a descriptor");
}

#[test]
fn leaving_ends_when_the_last_request_does() {
    let rig = Rig::start();
    let (app, gate) = gated(&rig, "app");
    let mut agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut idle = rig.client();
    gate.store(true, SeqCst);
    assert_eq!(idle.get("/").text(), "late");
    gate.store(false, SeqCst);
    let mut busy = rig.client();
    busy.send(post("pay"));
    until("the app has it", || app.seen().len() == 2);
    agent.send(&Request::Leave {}, vec![]);
    // Not accepted any more, and not refused either while somebody holds the socket; here nobody
    // does, which is how the test sees it.
    until("it accepts no more", || std::net::TcpStream::connect(rig.address).is_err());
    assert!(!rig.has_ended());
    gate.store(true, SeqCst);
    let answer = busy.answer();
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("late", Some("close")));
    // A client that idled gets one more answer, never a surprise.
    let answer = idle.get("/");
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("late", Some("close")));
    drop((idle, busy));
    rig.wait_for_end();
}

#[test]
fn a_successor_takes_over_without_a_gap() {
    const CLIENTS: usize = 4;
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let start = || {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        Rig::start_in(directory, "boot-1", Some(held.as_fd().try_clone_to_owned().unwrap()))
    };
    let old = start();
    let app = Upstream::answering(&old.path("app"), "ok");
    let mut leaving = old.route(vec![endpoint(0, &app.path)]);
    let done = AtomicBool::new(false);
    let answered = AtomicU64::new(0);
    let sent = std::thread::scope(|scope| {
        let clients = [(); CLIENTS].map(|()| {
            scope.spawn(|| {
                let mut client = crate::rig::Client::connect(address);
                let mut sent = 0;
                while !done.load(SeqCst) {
                    let answer = client.post("pay");
                    assert_eq!(answer.text(), "ok");
                    sent += 1;
                    answered.fetch_add(1, SeqCst);
                    if answer.header("connection") == Some("close") {
                        client = crate::rig::Client::connect(address);
                    }
                }
                sent
            })
        });
        let some_more = |what: &str| {
            let before = answered.load(SeqCst);
            until(what, || answered.load(SeqCst) > before + 20);
        };
        some_more("answers of the old one");
        let new = start();
        let mut agent = new.route(vec![endpoint(0, &app.path)]);
        some_more("answers of both");
        leaving.send(&Request::Leave {}, vec![]);
        // Every client is told by an answer, and never by a connection that ends.
        until("the old one has ended", || old.has_ended());
        some_more("answers of the new one");
        done.store(true, SeqCst);
        let sent: usize = clients.map(|client| client.join().unwrap()).iter().sum();
        until("all are counted", || agent.counters().in_flight == 0);
        assert_eq!(agent.counters().proxy_errors, 0);
        sent
    });
    assert_eq!(app.seen().len(), sent, "each was executed once");
}

#[test]
fn a_killed_proxy_goes_on_from_its_file() {
    let rig = Rig::start();
    let app = Upstream::answering(&rig.path("app"), "ok");
    drop(rig.route(vec![endpoint(0, &app.path)]));
    // The shim holds the socket: clients wait in its backlog.
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let fd = || held.as_fd().try_clone_to_owned().unwrap();
    let directory = Arc::clone(&rig.directory);
    drop(rig);
    let mut early = crate::rig::Client::connect(held.local_addr().unwrap());
    early.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let again = Rig::start_in(Arc::clone(&directory), "boot-1", Some(fd()));
    assert_eq!(early.answer().text(), "ok");
    drop((again, early));

    // After a reboot the routes are known and nobody is ready: requests wait for the agent.
    let rebooted = Rig::start_in(Arc::clone(&directory), "boot-2", Some(fd()));
    let mut client = rebooted.client();
    client.send(post("pay"));
    let mut agent = rebooted.agent();
    let Message::State { revision, .. } = agent.receive() else { panic!("no state") };
    assert_eq!(revision, Some(Revision(1)));
    until("it waits", || agent.counters().held == 1);
    agent.apply(1, table(vec![endpoint(0, &app.path)]));
    assert_eq!(client.answer().text(), "ok");
    drop(rebooted);

    // A damaged file is said and not used: clients wait until the agent has sent routes.
    std::fs::write(directory.path().join("routes"), "skep-routes 1\ngarbage").unwrap();
    let damaged = Rig::start_in(directory, "boot-2", Some(fd()));
    let mut client = damaged.client();
    client.send(post("pay"));
    until("the log says it", || {
        String::from_utf8_lossy(&damaged.log.lock().unwrap()).contains("without the last routes")
    });
    let mut agent = damaged.agent();
    let Message::State { revision, listeners, .. } = agent.receive() else { panic!("no state") };
    assert_eq!((revision, listeners), (None, vec!["public".to_owned()]));
    agent.apply(2, table(vec![endpoint(0, &app.path)]));
    assert_eq!(client.answer().text(), "ok");
}

#[test]
fn strangers_get_nothing_from_the_control_socket() {
    use std::io::{Read, Write};
    let rig = Rig::start();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x02\0\0\0{}", b"\xff\xff\xff\xff"] {
        let mut stream = std::os::unix::net::UnixStream::connect(rig.path("control")).unwrap();
        stream.set_read_timeout(Some(crate::rig::PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        // Our hello is all they get before the end.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(!String::from_utf8_lossy(&rest).contains("listeners"));
    }
    // Somebody of another installation neither.
    let app = Upstream::answering(&rig.path("app"), "ok");
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    assert_eq!(rig.client().get("/").text(), "ok");
}
