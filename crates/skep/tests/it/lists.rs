//! Asking for one thing and printing it.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use insta::assert_snapshot;

use crate::context::Context;
use crate::scripted::{Agent, Answer, Request};

fn script(request: &Request, answer: &mut Answer<'_>) {
    let app = |name: &str, directory: &str| {
        format!(
            r#"{{"name":"{name}","state":"running","release":3,"addresses":["http://{name}.localhost:8000"],"directory":"{directory}"}}"#
        )
    };
    match request.line.as_str() {
        "GET /v1/apps" => {
            answer.send(200, &format!("[{},{}]", app("blog", "/srv/blog"), app("shop", "/srv/shop")));
        }
        "GET /v1" => answer.send(
            200,
            r#"{"build":"0.1.0","installation":"abcdef012345","home":"/h","pid":7,"ready":true,
                "since":"2026-03-05T12:00:00Z","not_enforced":["own user"],"problems":[]}"#,
        ),
        "GET /v1/processes?app=shop" | "GET /v1/processes" => answer.send(
            200,
            r#"[{"service":"shop/queue","slot":0,"generation":7,"release":3,"phase":"ready","pid":11,"restarts":0},
                {"service":"shop/web","slot":0,"generation":7,"release":3,"phase":"crash_loop","restarts":9,"note":"exit 3"}]"#,
        ),
        "GET /v1/apps/shop/scale" => answer.send(
            200,
            r#"{"app":"shop","entries":[{"service":"web","slots":4,"layer":"operator"}]}"#,
        ),
        "PATCH /v1/apps/shop/env" => {
            answer.send(200, r#"{"app":"shop","message":"stored; takes effect with the next release"}"#);
        }
        "DELETE /v1/apps/shop?plan=true" => {
            answer.send(200, r#"{"app":"shop","lines":["3 releases","data, 12M"]}"#);
        }
        "DELETE /v1/apps/shop" => answer.send(
            200,
            r#"{"app":"shop","lines":["3 releases"],"archive":"/h/archives/shop.tar.zst","undo":"skep app:restore shop"}"#,
        ),
        line if line.starts_with("GET /v1/logs") => {
            answer.begin();
            let line = r#"{"at":"2026-03-05T10:42:06.8Z","service":"shop/web","slot":0,"pid":1,"release":"v3","stream":"stdout","text":"order 8812"}"#;
            while line_wanted(request, answer.line(line)) {}
        }
        other => {
            let failure = r#"{"kind":"locked","message":"refused by the script"}"#;
            answer.send(if other.is_empty() { 500 } else { 409 }, failure);
        }
    }
}

/// One line, or lines for as long as somebody reads.
fn line_wanted(request: &Request, was_read: bool) -> bool {
    was_read && request.line.contains("follow=true")
}

fn context() -> (Context, Agent) {
    let context = Context::new();
    let agent = Agent::start(&context, script);
    (context, agent)
}

#[test]
fn an_unknown_app_is_guessed() {
    let (context, _agent) = context();
    assert_snapshot!(context.run(&["releases", "shpo"]), @r"
    exit 64
    --- stderr
    error: there is no app `shpo`
    hint: did you mean `shop`?
    hint: the apps here are: blog, shop
    ");
    assert_snapshot!(context.run(&["stop", "crm/web"]), @r"
    exit 64
    --- stderr
    error: there is no app `crm`
    hint: the apps here are: blog, shop
    ");
    assert_snapshot!(context.run(&["rollback"]), @r"
    exit 64
    --- stderr
    error: which app? `[TMP]/project` has no skep.toml and no Procfile
    hint: name one of: blog, shop
    ");
    let context = context.with_app("crm");
    assert_snapshot!(context.run(&["rollback"]), @r"
    exit 64
    --- stderr
    error: there is no app `crm`
    hint: the app of this directory is not deployed: skep up
    ");
}

#[test]
fn the_agents_failures_are_printed_as_ours() {
    let (context, _agent) = context();
    assert_snapshot!(context.run(&["releases", "shop"]), @r"
    exit 6
    --- stderr
    error: refused by the script
    ");
    assert_snapshot!(context.run(&["releases", "shop", "--json"]), @r#"
    exit 6
    --- stderr
    {"kind":"locked","message":"refused by the script"}
    "#);
}

#[test]
fn ps_says_what_runs_and_what_is_not_enforced() {
    let (context, _agent) = context();
    assert_snapshot!(context.run(&["ps", "shop"]), @r"
    exit 0
    --- stdout
    SERVICE     RELEASE  STATE       PROCS  RESTARTS  NOTE
    shop/queue  v3       ready       1      0         -
    shop/web    v3       crash loop  0      9         exit 3
    --- stderr
    ! not enforced: own user   skep doctor
    ");
    assert_snapshot!(context.run(&["ps", "shop/queue", "--slots", "-q"]), @r"
    exit 0
    --- stdout
    SLOT          RELEASE  STATE  PID  RESTARTS
    shop/queue.0  v3       ready  11   0
    ");
}

#[test]
fn scale_without_arguments_re_creates_itself() {
    let (context, _agent) = context();
    assert_eq!(context.run(&["scale", "shop"]), "exit 0\n--- stdout\nskep scale shop web=4");
    assert!(context.run(&["scale", "shop", "--json"]).contains("\"slots\": 4"));
}

#[test]
fn a_variable_is_read_from_standard_input_and_not_printed() {
    let (context, agent) = context();
    let mut child = context
        .command(&["env:set", "shop", "STRIPE_KEY=-", "DEBUG=0", "--stage"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"sk_live_1\n").unwrap();
    let text = context.show(&child.wait_with_output().unwrap());
    assert_eq!(text, "exit 0\n--- stderr\nshop: stored; takes effect with the next release");
    let asked: serde_json::Value = serde_json::from_str(&agent.seen.all("PATCH")[0].body).unwrap();
    assert_eq!(
        asked,
        serde_json::json!({
            "changes": [
                { "name": "STRIPE_KEY", "value": "sk_live_1" },
                { "name": "DEBUG", "value": "0" }
            ],
            "who": "anna",
            "stage": true,
            "shell": ["HOME", "PATH", "SKEP_HOME", "USER"]
        })
    );
}

#[test]
fn removing_an_app_is_planned_and_asked_for() {
    let (context, agent) = context();
    assert_snapshot!(context.run(&["app:remove", "shop", "--plan"]), @r"
    exit 2
    --- stdout
    3 releases
    data, 12M
    ");
    assert_snapshot!(context.run(&["app:remove", "shop"]), @r"
    exit 64
    --- stderr
      3 releases
      data, 12M
    error: removing `shop` needs a yes, and nobody can be asked here
    hint: skep app:remove shop --yes
    ");
    assert!(
        agent.seen.all("DELETE /v1/apps/shop").iter().all(|one| one.line.ends_with("plan=true"))
    );
    assert_snapshot!(context.run(&["app:remove", "shop", "-y"]), @r"
    exit 0
    --- stderr
    shop is removed
    archive: /h/archives/shop.tar.zst
    undo: skep app:restore shop
    ");
}

#[test]
fn logs_end_quietly_with_their_reader() {
    let (context, agent) = context();
    assert_eq!(
        context.run(&["logs", "shop", "-n", "1"]),
        "exit 0\n--- stdout\n10:42:06.800 web.0 order 8812"
    );
    let mut child = context.command(&["logs", "-f"]).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "10:42:06.800 shop/web.0 order 8812\n");
    drop(reader);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    agent.seen.wait_gone("GET /v1/logs?lines=100&follow=true");
}
