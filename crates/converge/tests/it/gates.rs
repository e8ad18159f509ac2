//! `wait_for` and `http_check`: real sockets, and a deadline.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use converge::Mark;

use crate::scene::{Declare, Scene, declare, problem};

/// Answers every request on a port of its own for as long as the process lives.
fn server(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            // A connection that only looks whether the port is open sends nothing.
            if stream.read(&mut request).is_ok_and(|count| count > 0) {
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
    port
}

#[test]
fn what_is_there_needs_no_waiting() {
    let scene = Scene::new();
    let port = server("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes");
    let socket = scene.root().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let url = format!("http://127.0.0.1:{port}/up");
    let all = vec![
        declare("http_check", &url, "check").with("contains", "yes"),
        declare("wait_for", "port", "present").with("port", i64::from(port)),
        declare("wait_for", "socket", "present").with("socket", socket.to_str().unwrap()),
        declare("wait_for", "path", "absent").with("path", scene.at("none").as_str()),
    ];
    assert!(scene.plan(all.clone()).is_empty());
    scene.converge(all);
}

#[test]
fn what_comes_in_time_is_waited_for() {
    let scene = Scene::new();
    std::fs::write(scene.at("not-yet"), "").unwrap();
    let (late, gone) = (scene.at("late"), scene.at("not-yet"));
    let line = format!("rm {gone}; (sleep 0.3; touch {late}) >/dev/null 2>&1 &");
    let make = declare("execute", "late", "run")
        .with("command", line.as_str())
        .with("removes", gone.as_str());
    let wait = declare("wait_for", "late", "present")
        .with("path", scene.at("late").as_str())
        .with("deadline", "30s")
        .needing(&make);
    assert_eq!(scene.marks(vec![make.clone(), wait.clone()]), [Mark::Run, Mark::Run]);
    scene.converge(vec![make, wait]);
}

#[test]
fn what_does_not_come_is_an_error_that_says_what_was_there() {
    let scene = Scene::new();
    let port = server("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let url = format!("http://127.0.0.1:{port}/");
    let check = declare("http_check", &url, "check").with("deadline", "50ms");
    let wait = declare("wait_for", "path", "present")
        .with("path", scene.at("none").as_str())
        .with("deadline", "50ms");
    let after = scene.file("after", "").needing(&wait);
    let report = scene.run(vec![check.clone(), wait.clone(), after]);
    assert!(problem(&report, &check.id).ends_with("it answers 503, not 200"), "{report:?}");
    assert!(problem(&report, &wait.id).ends_with("is not there after 50ms"), "{report:?}");
    assert!(!scene.exists("after"));
}
