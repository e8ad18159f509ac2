//! What reaches the app and what reaches the client.

use crate::rig::{Rig, endpoint, service};
use crate::upstream::Upstream;
use control::proxy::{Route, RouteTable};

#[test]
fn connections_are_kept_on_both_sides() {
    let rig = Rig::start();
    let app = Upstream::answering(&rig.path("app"), "hello");
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    for _ in 0..5 {
        let answer = client.get("/a?b=c");
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
        assert!(answer.header("connection").is_none());
    }
    assert_eq!(app.connections(), 1);
    assert_eq!(app.seen()[0].path(), "/a?b=c");
}

#[test]
fn hop_by_hop_headers_end_here_and_forwarded_ones_are_ours() {
    let rig = Rig::start();
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        while conversation.request().is_some() {
            conversation.send(
                "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\n\
                 Connection: X-Hop\r\nX-Hop: 1\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\
                 Skep-Reason: fake\r\nX-Request-Id: theirs\r\n\r\nok",
            );
        }
    });
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let answer = rig
        .client()
        .send(
            "GET http://Shop.example:81/p HTTP/1.1\r\nHost: other\r\nConnection: keep-alive, X-Drop\r\n\
             X-Drop: 1\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\n\
             X-Real-Ip: 6.6.6.6\r\nProxy: x\r\nTE: trailers\r\nUpgrade: h2c\r\nX-Keep: 1\r\n\
             X-Request-Id: given-1\r\n\r\n",
        )
        .answer();
    assert_eq!(answer.header("x-request-id"), Some("given-1"));
    for gone in ["keep-alive", "x-hop", "skep-reason", "connection"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    assert_eq!(answer.headers.iter().filter(|(name, _)| name == "set-cookie").count(), 2);
    let seen = &app.seen()[0];
    for line in [
        "GET /p HTTP/1.1",
        "Host: Shop.example:81",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: Shop.example:81",
        "X-Real-IP: 127.0.0.1",
        "X-Request-Id: given-1",
        "X-Keep: 1",
    ] {
        assert!(seen.has(line), "no `{line}` in {}", seen.head);
    }
    for gone in ["6.6.6.6", "X-Drop", "Proxy", "TE:", "Upgrade", "X_"] {
        assert!(!seen.head.contains(gone), "`{gone}` in {}", seen.head);
    }
}

#[test]
fn routes_are_by_host_and_segments_and_the_rest_is_404() {
    let rig = Rig::start();
    let (a, b) =
        (Upstream::answering(&rig.path("a"), "a"), Upstream::answering(&rig.path("b"), "b"));
    let mut second = service(vec![endpoint(0, &b.path)]);
    second.name = "shop/api".parse().unwrap();
    let first = service(vec![endpoint(0, &a.path)]);
    let route = |host: Option<&str>, path: &str, name: &control::ServiceName| Route {
        listener: "public".into(),
        host: host.map(str::to_owned),
        path: path.into(),
        service: name.clone(),
    };
    let routes = vec![
        route(Some("shop.example"), "/", &first.name),
        route(Some("shop.example"), "/api", &second.name),
    ];
    rig.agent().apply(1, RouteTable { services: vec![first, second], routes });
    let mut client = rig.client();
    assert_eq!(client.get("/apiary").text(), "a");
    assert_eq!(client.get("/api/v1").text(), "b");
    let lost = client
        .send("GET / HTTP/1.1\r\nHost: x.example\r\nAccept: application/json\r\n\r\n")
        .answer();
    assert_eq!((lost.status, lost.reason()), (404, "no_route"));
    let json: serde_json::Value = serde_json::from_slice(&lost.body).unwrap();
    assert_eq!(json["request_id"], lost.header("x-request-id").unwrap());
    // The connection goes on.
    assert_eq!(client.get("/").text(), "a");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let rig = Rig::start();
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        while let Some(seen) = conversation.request() {
            conversation.ok(seen.path());
        }
    });
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    let all: Vec<_> =
        (0..20).map(|number| format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(all.concat());
    for number in 0..20 {
        assert_eq!(client.answer().text(), format!("/{number}"));
    }
}

#[test]
fn answers_without_a_body_and_of_older_servers() {
    let rig = Rig::start();
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        while let Some(seen) = conversation.request() {
            match seen.path() {
                "/head" => conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
                "/204" => conversation.send("HTTP/1.1 204 No Content\r\n\r\n"),
                "/304" => conversation.send("HTTP/1.1 304 X\r\nContent-Length: 7\r\n\r\n"),
                "/early" => conversation.send(
                    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                ),
                _ => {
                    conversation.send("HTTP/1.0 200 OK\r\n\r\nuntil the end");
                    return;
                }
            }
        }
    });
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    let head = client.send("HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n").answer_to("HEAD").unwrap();
    assert_eq!(head.header("content-length"), Some("1000"));
    assert_eq!(client.get("/204").status, 204);
    let unchanged = client.get("/304");
    assert_eq!((unchanged.status, unchanged.header("content-length")), (304, Some("7")));
    assert_eq!(client.get("/early").status, 200);
    // The end of the slot's connection is made visible in ours, which goes on.
    assert_eq!(client.get("/old").text(), "until the end");
    assert_eq!(client.get("/204").status, 204);
}

#[test]
fn clients_of_http_10_are_served() {
    let rig = Rig::start();
    let app = Upstream::start(&rig.path("app"), |_, conversation| {
        while let Some(seen) = conversation.request() {
            match seen.path() {
                "/chunked" => conversation.send(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                ),
                _ => conversation.ok("ok"),
            }
        }
    });
    let _agent = rig.route(vec![endpoint(0, &app.path)]);
    let mut client = rig.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().header("connection"), Some("close"));
    assert_eq!(client.rest(), (vec![], None));
    // A client that names no host gets the address that it came to.
    assert!(app.seen()[0].has(&format!("Host: {}", rig.address)));
    let mut kept = rig.client();
    kept.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(kept.answer().header("connection"), Some("keep-alive"));
    kept.send("GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let (rest, error) = kept.rest();
    assert_eq!(error, None);
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.ends_with("\r\n\r\nabc") && !rest.contains("chunked"), "{rest}");
}

#[test]
fn one_request_a_connection_where_the_server_wants_it() {
    let rig = Rig::start();
    let app = Upstream::answering(&rig.path("app"), "ok");
    let mut once = endpoint(0, &app.path);
    once.idle_ms = 0;
    let _agent = rig.route(vec![once]);
    let mut client = rig.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(app.connections(), 3);
    assert!(app.seen().iter().all(|seen| seen.has("Connection: close")));
}

#[test]
fn a_socket_path_may_be_long() {
    let rig = Rig::start();
    let directory = rig.path(&"d".repeat(150));
    std::fs::create_dir(&directory).unwrap();
    let path = directory.join("app");
    let listener =
        std::os::unix::net::UnixListener::from(disk::socket::bind_stream(&path, 0o600).unwrap());
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 4096];
        let _ = stream.read(&mut bytes).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlong").unwrap();
    });
    let _agent = rig.route(vec![endpoint(0, &path)]);
    assert_eq!(rig.client().get("/").text(), "long");
}

#[test]
fn an_endpoint_may_be_on_tcp() {
    let rig = Rig::start();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut on_tcp = endpoint(0, std::path::Path::new("/unused"));
    on_tcp.address = control::proxy::EndpointAddress::Tcp(listener.local_addr().unwrap());
    let (closed, wait) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        // The first connection is closed while it idles in the proxy's pool.
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 4096];
            let _ = stream.read(&mut bytes).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntcp").unwrap();
            drop(stream);
            closed.send(()).unwrap();
        }
    });
    let _agent = rig.route(vec![on_tcp]);
    let mut client = rig.client();
    assert_eq!(client.get("/").text(), "tcp");
    wait.recv().unwrap();
    assert_eq!(client.post("x").text(), "tcp");
    wait.recv().unwrap();
    server.join().unwrap();
}
