//! `skep run`: the program is all there is.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use disk::Lock;

use crate::context::Context;
use crate::scripted::Agent;

/// An agent whose plan runs `script` with /bin/sh.
fn running(context: &Context, script: &'static str) -> Agent {
    std::fs::create_dir_all(context.home()).unwrap();
    let lease = context.home().join("lease");
    std::fs::write(&lease, "").unwrap();
    let plan = serde_json::json!({
        "release": 3,
        "program": "/bin/sh",
        "arguments": ["sh", "-c", script],
        "directory": "/usr",
        "environment": [["A", "1"], ["PATH", "/usr/bin:/bin"]],
        "credentials": null,
        "lease": lease,
        "umask": 0o027,
    });
    Agent::start(context, move |request, answer| match request.line.as_str() {
        "GET /v1/apps" => {
            answer.send(200, r#"[{"name":"shop","state":"running","addresses":[]}]"#);
        }
        _ => answer.send(200, &plan.to_string()),
    })
}

#[test]
fn it_gets_exactly_what_the_plan_says_and_its_exit_code_is_ours() {
    let context = Context::new();
    let agent =
        running(&context, "pwd; umask; env | grep -v '^_=\\|^PWD=\\|^SHLVL=' | sort; exit 7");
    assert_eq!(
        context.run(&["run", "shop/web", "--", "any", "--thing"]),
        "exit 7\n--- stdout\n/usr\n0027\nA=1\nPATH=/usr/bin:/bin"
    );
    let asked: serde_json::Value =
        serde_json::from_str(&agent.seen.all("POST /v1/apps/shop/run")[0].body).unwrap();
    assert_eq!(asked, serde_json::json!({ "command": ["any", "--thing"], "service": "web" }));
}

#[test]
fn its_release_is_held_while_it_runs() {
    let context = Context::new();
    let _agent = running(&context, "echo up; read line; exit 0");
    let mut child =
        context.command(&["run", "shop", "--", "x"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    let lease = context.home().join("lease");
    assert!(Lock::try_exclusive(&lease).unwrap().is_none(), "the lease is not held");
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert!(Lock::try_exclusive(&lease).unwrap().is_some(), "the lease is still held");
}

#[test]
fn a_release_that_is_being_removed_is_not_entered() {
    let context = Context::new();
    let _agent = running(&context, "echo never");
    let _removing = Lock::try_exclusive(&context.home().join("lease")).unwrap().unwrap();
    let text = context.run(&["run", "shop", "--", "x"]);
    assert!(text.starts_with("exit 75\n--- stderr\nerror: v3 is just being removed"), "{text}");
}
