//! `--plan`: what is said is what is done then, and saying it does nothing. And what a caller's shell
//! has to do with a variable that is missing.

use api::{PlanReply, PlannedService, VariableChange};
use testkit::Output;

use crate::context::Context;
use crate::scene::{Rest, Scene, TinyApp, assert_says};
use crate::scripted::Agent;

/// A value that no output, no request and no file of ours may have.
const PRIVATE: &str = "a-value-of-the-shell-that-stays-there";

/// An app whose `web` is started beside the old one, and whose `queue` is not.
fn shop() -> TinyApp {
    TinyApp::new("shop")
        .with_section("[services.queue]\ncommand = \"sleep 100000\"\nready = \"100ms\"")
}

/// Asks for a plan that finds changes.
#[track_caller]
fn plan(scene: &Scene, arguments: &[&str]) -> PlanReply {
    let plan = read(&scene.run(&[arguments, &["--plan", "--json"]].concat()).expect(2));
    assert!(plan.changes && !plan.lines.is_empty(), "{arguments:?}: {plan:?}");
    plan
}

/// Asks for a plan that finds none.
#[track_caller]
fn no_plan(scene: &Scene, arguments: &[&str]) {
    let plan = read(&scene.run(&[arguments, &["--plan", "--json"]].concat()).expect(0));
    assert!(!plan.changes && plan.lines.is_empty() && plan.services.is_empty(), "{plan:?}");
}

fn read(output: &Output) -> PlanReply {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{output}"))
}

/// Returns one service's numbers: started, replaced, retired.
fn numbers(plan: &PlanReply, service: &str) -> (u32, u32, u32) {
    let found = plan.services.iter().find(|planned| planned.service == service);
    found.map_or((0, 0, 0), |PlannedService { started, replaced, retired, .. }| {
        (*started, *replaced, *retired)
    })
}

#[test]
fn every_change_has_a_plan_that_changes_nothing() {
    let scene = Scene::new();
    shop().write(&scene.source);
    let first = plan(&scene, &["deploy"]);
    assert_eq!((first.from, first.to), (None, Some(1)));
    assert_eq!(numbers(&first, "web"), (1, 0, 0));
    scene.up();
    let rest = Rest::with(&scene, &[("shop", 1)]);
    let before = scene.processes();

    let scaled = plan(&scene, &["scale", "web=3"]);
    assert_eq!((numbers(&scaled, "web"), numbers(&scaled, "queue")), ((2, 0, 0), (0, 0, 0)));
    assert_eq!(scaled.to, None, "a scale makes no release");
    no_plan(&scene, &["scale", "web=1"]);
    let gone = plan(&scene, &["scale", "web=0"]);
    assert_eq!(numbers(&gone, "web"), (0, 0, 1));
    assert_eq!(gone.services[0].drain_ms, Some(30_000));

    let restarted = plan(&scene, &["restart"]);
    assert_eq!((numbers(&restarted, "web"), numbers(&restarted, "queue")), ((1, 0, 1), (0, 1, 0)));
    assert_eq!(numbers(&plan(&scene, &["restart", "shop/queue"]), "web"), (0, 0, 0));
    let stopped = plan(&scene, &["stop"]);
    assert_eq!((numbers(&stopped, "web"), numbers(&stopped, "queue")), ((0, 0, 1), (0, 0, 1)));
    plan(&scene, &["down"]);
    no_plan(&scene, &["start"]);
    no_plan(&scene, &["deploy"]);
    no_plan(&scene, &["env:unset", "NOTHING"]);

    let set = plan(&scene, &["env:set", &format!("TOKEN={PRIVATE}")]);
    assert_eq!((set.from, set.to), (Some(1), Some(2)));
    assert_eq!((numbers(&set, "web"), numbers(&set, "queue")), ((1, 0, 1), (0, 1, 0)));
    assert_eq!(set.variables[0].name, "TOKEN");
    assert_eq!(set.variables[0].change, VariableChange::Set);
    let text = scene.run(&["env:set", &format!("TOKEN={PRIVATE}"), "--plan"]).expect(2);
    assert_says(
        &text,
        &["shop v1 → v2: would change", "TOKEN is set", "1 new slot beside the old", "up to 30 s"],
    );
    assert!(!text.to_string().contains(PRIVATE), "a plan has names only\n{text}");
    let staged = plan(&scene, &["env:set", "TOKEN=x", "--stage"]);
    assert!(staged.services.is_empty() && staged.to.is_none(), "{staged:?}");

    // What would be refused is refused.
    assert_says(&scene.run(&["rollback", "--plan"]).expect(64), &["no earlier good release"]);
    assert_says(&scene.run(&["scale", "wbe=2", "--plan"]).expect(64), &["its services are"]);
    assert_says(&scene.run(&["env:set", "PORT=1", "--plan"]).expect(64), &["PORT"]);
    scene.run(&["restart", "crm", "--plan"]).expect(64);

    let after = scene.processes();
    let ids = |rows: &[api::ProcessRow]| rows.iter().map(|row| row.pid).collect::<Vec<_>>();
    assert_eq!(ids(&before), ids(&after), "a plan changed something");
    assert_eq!(scene.releases("shop").len(), 1);
    rest.wait(&scene);

    // And a plan says what then happens.
    scene.run(&["env:set", "TOKEN=x"]).expect(0);
    let back = plan(&scene, &["rollback"]);
    assert_eq!((back.from, back.to), (Some(2), Some(3)));
    scene.run(&["rollback"]).expect(0);
    assert_eq!(scene.current("shop"), Some(3));
    scene.run(&["stop", "shop/web"]).expect(0);
    let started = plan(&scene, &["start"]);
    assert_eq!((numbers(&started, "web"), numbers(&started, "queue")), ((1, 0, 0), (0, 0, 0)));
    // Everything is down: whoever deploys it wants it up.
    scene.run(&["down"]).expect(0);
    let up = plan(&scene, &["deploy"]);
    assert_eq!((numbers(&up, "web"), up.to), ((1, 0, 0), None));
    assert_eq!(up.lines[0].text, "no change since v3; it is started");
}

#[test]
fn a_missing_variable_that_the_shell_has_is_told_and_never_taken() {
    let scene = Scene::new();
    let app = shop().with_section("[env]\nSTRIPE_KEY = { required = true, secret = true }");
    app.write(&scene.source);
    let with_shell = |arguments: &[&str]| scene.skep().with("STRIPE_KEY", PRIVATE).run(arguments);
    let has_it = "Your shell has it";
    let up = ["up", "--detach", "--listen", &scene.address()];

    // Known before anything is built.
    let output = with_shell(&up).expect(1);
    assert_says(&output, &["`STRIPE_KEY` is not set for shop", has_it, "nothing was built"]);
    let planned = with_shell(&["deploy", "--plan"]).expect(1);
    assert_says(&planned, &["`STRIPE_KEY` is not set for shop", has_it]);
    let without = scene.run(&up).expect(1);
    assert!(!without.stderr.contains(has_it), "{without}");
    assert!(scene.current("shop").is_none(), "nothing was made of it");

    // Known when the app has failed over it.
    shop().write(&scene.source);
    scene.up();
    shop().behaving("raises").write(&scene.source);
    let output = with_shell(&["deploy"]).expect(1);
    assert_says(&output, &["KeyError: 'STRIPE_KEY'", "not set for shop", has_it]);
    assert!(!output.to_string().contains(PRIVATE), "{output}");
    scene.get("/env/STRIPE_KEY").expect(200, "(not set)");
}

#[test]
fn a_request_has_names_of_the_shell_and_no_value() {
    let context = Context::new().with_app("shop");
    let agent = Agent::start(&context, |request, answer| match request.line.as_str() {
        "GET /v1/apps" => answer.send(200, "[]"),
        "POST /v1/deploys" => answer.send(200, r#"{"app":"shop","message":"no change"}"#),
        line if line.starts_with("PATCH") => answer.send(200, r#"{"app":"shop"}"#),
        other => answer.send(404, other),
    });
    for arguments in [&["deploy"][..], &["env:set", "A=1"]] {
        let output = context
            .command(arguments)
            .env("STRIPE_KEY", PRIVATE)
            .env("A_VERY_LONG_NAME_".repeat(9), "x")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    for line in ["POST /v1/deploys", "PATCH /v1/apps/shop/env"] {
        let body = &agent.seen.all(line)[0].body;
        let asked: serde_json::Value = serde_json::from_str(body).unwrap();
        let names: Vec<&str> =
            asked["shell"].as_array().unwrap().iter().filter_map(|name| name.as_str()).collect();
        assert!(names.contains(&"STRIPE_KEY") && names.contains(&"USER"), "{names:?}");
        assert!(names.iter().all(|name| name.len() <= api::SHELL_NAME_MAX_BYTES), "{names:?}");
        assert!(!body.contains(PRIVATE), "{body}");
    }
}

#[test]
fn a_bare_name_of_a_directory_is_told_how_to_be_one() {
    let context = Context::new();
    std::fs::create_dir_all(context.work().join("guestbook")).unwrap();
    insta::assert_snapshot!(context.run(&["up", "guestbook"]), @r"
    exit 64
    --- stderr
    error: there is no app `guestbook`
    hint: did you mean the directory `./guestbook`?
    hint: there is no app yet: skep up DIR
    ");
    assert!(!context.home().exists(), "nothing was installed on the way");
}
