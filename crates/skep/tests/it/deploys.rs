//! Following deploys: good ones, bad ones, interrupted ones.

use std::io::{BufReader, Read};
use std::process::Child;

use insta::assert_snapshot;
use rustix::process::{Pid, Signal, kill_process};

use crate::context::Context;
use crate::scripted::{Agent, Answer, Request, read_until};

const APPS: &str = r#"[{"name":"shop","state":"running","release":14,"addresses":[],
    "directory":"/srv/shop","deploy":null}]"#;
const STARTED: &str = r#"{"id":"d1","app":"shop"}"#;
const BEGUN: &str = r#"{"event":"begun","deploy":{"id":"d1","app":"shop","kind":"deploy","from":14,"to":null,"source":null,"who":"anna","at":"2026-03-05T12:00:00Z","state":"running"}}"#;
const NUMBERED: &str = r#"{"event":"numbered","deploy":{"id":"d1","app":"shop","kind":"deploy","from":14,"to":15,"source":"8c1f2e9","who":"anna","at":"2026-03-05T12:00:00Z","state":"running"}}"#;
const BUILD: &str = r#"{"event":"progress","step":"build","state":"done","text":"environment unchanged","elapsed_ms":400}"#;
const LIVE: &str = r#"{"event":"live","after_ms":4100,"addresses":["http://shop.localhost:8000"],"failed":0,"held":2,"held_max_ms":40,"cut":0,"undo":"skep rollback shop"}"#;

const DRAINED: &str =
    r#"{"event":"progress","step":"drain","state":"done","text":"v15","elapsed_ms":20}"#;

fn ended(state: &str, failure: &str) -> String {
    NUMBERED
        .replace("\"numbered\"", "\"ended\"")
        .replace("\"running\"", &format!("\"{state}\""))
        .replace("}}", &format!("}},\"failure\":{failure}}}"))
}

fn deploying(
    events: impl Fn(&mut Answer<'_>) + Send + Sync + 'static,
) -> impl Fn(&Request, &mut Answer<'_>) {
    move |request, answer| match request.line.as_str() {
        "GET /v1/apps" => answer.send(200, APPS),
        line if line.starts_with("DELETE /v1/up/") => {
            answer.send(200, r#"{"id":"d2","app":"shop"}"#);
        }
        "POST /v1/deploys" => answer.send(200, STARTED),
        "GET /v1/deploys/d2/events" => {
            let stop =
                |line: &str| line.replace("\"d1\"", "\"d2\"").replace("\"deploy\",", "\"stop\",");
            answer.begin();
            for line in [&stop(BEGUN), DRAINED, &stop(&ended("done", "null"))] {
                answer.line(line);
            }
        }
        "POST /v1/deploys/d1/cancel" => answer.send(200, "{}"),
        "GET /v1/deploys/d1/events" | "POST /v1/up" => {
            answer.begin();
            events(answer);
        }
        other => answer.send(404, &format!("nothing at {other}")),
    }
}

fn interrupt(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
}

/// Waits for the child's end; returns its exit code and what was left to read.
fn end(mut child: Child, mut stderr: impl Read) -> (i32, String) {
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    (child.wait().unwrap().code().unwrap(), rest)
}

#[test]
fn a_deploy_is_told_step_by_step_and_data_stays_out_of_it() {
    let context = Context::new().with_app("shop");
    let agent = Agent::start(
        &context,
        deploying(|answer| {
            for line in [BEGUN, NUMBERED, BUILD, LIVE, &ended("done", "null")] {
                answer.line(line);
            }
        }),
    );
    assert_snapshot!(context.run(&["deploy"]), @r"
    exit 0
    --- stderr
    shop → this machine   v14 → …
     ✓ build    environment unchanged                   0.4 s   v15 · 8c1f2e9
    live after 4.1 s · 0 failed, 2 held ≤ 40 ms · undo: skep rollback shop
    ");
    let asked = &agent.seen.all("POST /v1/deploys")[0].body;
    let asked: serde_json::Value = serde_json::from_str(asked).unwrap();
    assert_eq!(asked["kind"], "deploy");
    assert_eq!(asked["who"], "anna");
    assert_eq!(asked["app"], "shop");
    assert_eq!(asked["directory"], context.work().canonicalize().unwrap().to_str().unwrap());
    assert!(context.run(&["deploy", "-q"]).ends_with("exit 0"), "quiet is quiet");
}

#[test]
fn json_is_the_agents_events_as_they_are() {
    let context = Context::new().with_app("shop");
    let unknown = r#"{"event":"something_of_a_later_version","x":1}"#;
    let lines = [BEGUN.to_owned(), unknown.to_owned(), LIVE.to_owned(), ended("done", "null")];
    let sent = lines.clone();
    let _agent = Agent::start(
        &context,
        deploying(move |answer| {
            for line in &sent {
                answer.line(line);
            }
        }),
    );
    assert_eq!(
        context.run(&["deploy", "--json"]),
        format!("exit 0\n--- stdout\n{}", lines.join("\n"))
    );
}

#[test]
fn a_failed_deploy_is_a_report_and_its_kind_the_exit_code() {
    let context = Context::new().with_app("shop");
    let failure = r#"{"kind":"failed","message":"shop v15 never became ready","causes":["exit 3"],
        "details":[["log","last 1 of 9 lines\nKeyError: 'STRIPE_KEY'"]],
        "hints":["skep env:set STRIPE_KEY"]}"#
        .replace('\n', "");
    let _agent = Agent::start(
        &context,
        deploying(move |answer| {
            for line in [BEGUN, NUMBERED, BUILD, &ended("failed", &failure)] {
                answer.line(line);
            }
        }),
    );
    assert_snapshot!(context.run(&["deploy"]), @r"
    exit 1
    --- stderr
    shop → this machine   v14 → …
     ✓ build    environment unchanged                   0.4 s   v15 · 8c1f2e9
    error: shop v15 never became ready
      cause    exit 3
      log      last 1 of 9 lines
               KeyError: 'STRIPE_KEY'
      next     skep env:set STRIPE_KEY
    ");
}

#[test]
fn nothing_to_do_is_said() {
    let context = Context::new().with_app("shop");
    let _agent = Agent::start(&context, |request, answer| match request.line.as_str() {
        "POST /v1/deploys" => answer.send(200, r#"{"app":"shop","message":"no change since v14"}"#),
        "POST /v1/plan" => answer.send(
            200,
            r#"{"app":"shop","from":14,"changes":true,"build_environment":["PIP_INDEX_URL"],
                "lines":[{"step":"build","text":"code changed"},{"step":"start","text":"web 2"}]}"#,
        ),
        other => answer.send(404, other),
    });
    assert_snapshot!(context.run(&["deploy"]), @r"
    exit 0
    --- stderr
    shop: no change since v14
    ");
    assert_snapshot!(context.run(&["deploy", "--plan"]), @r"
    exit 2
    --- stdout
    shop v14: would change
       build    code changed
       start    web 2
    ");
}

#[test]
fn ctrl_c_before_the_switch_cancels_and_waits() {
    let context = Context::new().with_app("shop");
    let agent = Agent::start(
        &context,
        deploying(|answer| {
            answer.line(BEGUN);
            answer.wait("POST /v1/deploys/d1/cancel");
            let failure = r#"{"kind":"interrupted","message":"cancelled; v14 serves as before"}"#;
            answer.line(&ended("cancelled", failure));
        }),
    );
    let mut child = context.command(&["deploy"]).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    read_until(&mut stderr, "v14 → …");
    interrupt(&child);
    let (code, rest) = end(child, stderr);
    assert_eq!(code, 130);
    assert_snapshot!(rest, @r"
    cancelling; nothing is switched yet
    cancelled; v14 serves as before
    ");
    assert_eq!(agent.seen.all("POST /v1/deploys/d1/cancel").len(), 1);
}

#[test]
fn ctrl_c_after_the_switch_only_leaves() {
    let context = Context::new().with_app("shop");
    let agent = Agent::start(
        &context,
        deploying(|answer| {
            for line in [BEGUN, LIVE, r#"{"event":"notice","text":"now live"}"#] {
                answer.line(line);
            }
            answer.wait_hang_up();
        }),
    );
    let mut child = context.command(&["deploy"]).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    read_until(&mut stderr, "now live");
    interrupt(&child);
    let (code, rest) = end(child, stderr);
    assert_eq!(code, 130);
    assert_snapshot!(rest, @r"
    live after 4.1 s · 0 failed, 2 held ≤ 40 ms · undo: skep rollback shop
    left; the deploy goes on: skep app:watch shop
    ");
    assert!(agent.seen.all("POST /v1/deploys/d1/cancel").is_empty());
}

#[test]
fn a_lost_agent_is_attached_to_again_and_nothing_is_said_twice() {
    let context = Context::new().with_app("shop");
    let times = std::sync::atomic::AtomicU32::new(0);
    let _agent = Agent::start(
        &context,
        deploying(move |answer| {
            for line in [BEGUN, NUMBERED, BUILD] {
                answer.line(line);
            }
            if times.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0 {
                answer.line(LIVE);
                answer.line(&ended("done", "null"));
            }
        }),
    );
    assert_snapshot!(context.run(&["deploy"]), @r"
    exit 0
    --- stderr
    shop → this machine   v14 → …
     ✓ build    environment unchanged                   0.4 s   v15 · 8c1f2e9
    ! the agent went away; attaching again
    live after 4.1 s · 0 failed, 2 held ≤ 40 ms · undo: skep rollback shop
    ");
}

#[test]
fn an_agent_that_is_lost_again_and_again_ends_it() {
    let context = Context::new().with_app("shop");
    let agent = Agent::start(
        &context,
        deploying(|answer| {
            answer.line(BEGUN);
        }),
    );
    let text = context.run(&["deploy", "--json"]);
    assert!(text.starts_with("exit 69\n"), "{text}");
    assert!(text.contains("skep app:watch shop"), "{text}");
    assert_eq!(agent.seen.all("GET /v1/deploys/d1/events").len(), 5);
}

#[test]
fn up_outlives_its_deploy_and_stops_the_app_on_ctrl_c() {
    let context = Context::new().with_app("shop");
    let agent = Agent::start(
        &context,
        deploying(|answer| {
            for line in [BEGUN, NUMBERED, LIVE, DRAINED, &ended("done", "null")] {
                answer.line(line);
            }
            answer.line(r#"{"event":"notice","text":"the deploy is over"}"#);
            answer.wait_hang_up();
        }),
    );
    let mut child = context.command(&["up"]).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let shown = read_until(&mut stderr, "the deploy is over");
    assert!(shown.contains("shop v15 is at http://shop.localhost:8000 after 4.1 s"), "{shown}");
    interrupt(&child);
    let (code, rest) = end(child, stderr);
    assert_eq!(code, 0);
    assert_snapshot!(rest, @r"
    draining; Ctrl-C again leaves it to the agent
     ✓ drain    v15                                     20 ms
    shop is down; releases, data and variables are kept
    ");
    agent.seen.wait_gone("POST /v1/up");
}

#[test]
fn up_that_is_killed_hangs_up() {
    let context = Context::new().with_app("shop");
    let agent = Agent::start(
        &context,
        deploying(|answer| {
            answer.line(BEGUN);
            answer.line(LIVE);
            answer.wait_hang_up();
        }),
    );
    let mut child = context.command(&["up"]).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    read_until(&mut stderr, "Ctrl-C stops it");
    child.kill().unwrap();
    child.wait().unwrap();
    agent.seen.wait_gone("POST /v1/up");
}

#[test]
fn a_second_ctrl_c_leaves_at_once() {
    let context = Context::new().with_app("shop");
    let _agent = Agent::start(&context, |request, answer| match request.line.as_str() {
        "POST /v1/up" => {
            answer.begin();
            answer.line(BEGUN);
            answer.line(LIVE);
            answer.wait_hang_up();
        }
        line if line.starts_with("DELETE /v1/up/") => answer.send(200, STARTED),
        _ => {
            answer.begin();
            answer.wait_hang_up();
        }
    });
    let mut child = context.command(&["up"]).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    read_until(&mut stderr, "Ctrl-C stops it");
    interrupt(&child);
    read_until(&mut stderr, "draining");
    interrupt(&child);
    let (code, rest) = end(child, stderr);
    assert_eq!((code, rest.as_str()), (130, "left; the agent goes on draining\n"));
}
