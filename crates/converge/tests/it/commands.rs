//! `execute`: when it runs, what it gets, and how it is ended.

use std::fs;
use std::time::{Duration, Instant};

use converge::{Event, Mark, Outcomes};
use report::Secret;
use resource::{Condition, Declaration, Value};

use crate::scene::{Declare, Scene, asked, declare, fate, is_root, problem};

fn execute(scene: &Scene, line: &str) -> Declaration {
    let line = line.replace("DIR", &scene.at(""));
    declare("execute", "command", "run").with("command", line.as_str())
}

#[test]
fn without_a_guard_there_is_no_plan() {
    let scene = Scene::new();
    let error = scene.try_plan(vec![execute(&scene, "true")], converge::Leaving::Undo).unwrap_err();
    assert!(error.to_string().contains("execute needs `creates`"), "{error}");
    scene.converge(vec![Declaration { action: "nothing".into(), ..execute(&scene, "true") }]);
}

#[test]
fn it_runs_until_its_path_is_there() {
    let scene = Scene::new();
    let make = |line: &str| vec![execute(&scene, line).with("creates", scene.at("made").as_str())];
    assert_eq!(scene.marks(make("touch DIR/made")), [Mark::Run]);
    let report = scene.run(make("true"));
    let text = problem(&report, &make("true")[0].id);
    assert!(text.starts_with("did not converge"), "{text}");
    scene.converge(make("touch DIR/made"));
    // Nothing takes a command back, and that is no change.
    assert!(scene.plan(vec![]).is_empty());
    let remove = vec![execute(&scene, "rm DIR/made").with("removes", scene.at("made").as_str())];
    scene.converge(remove);
    assert!(!scene.exists("made"));
}

#[test]
fn guards_decide() {
    let scene = Scene::new();
    let exists = || Condition::Exists(scene.at("there"));
    let run = || execute(&scene, "touch DIR/ran");
    for (guarded, mark) in [
        (run().guarded(true, exists()), Mark::Skipped),
        (run().guarded(false, exists()), Mark::Run),
        (run().guarded(true, asked("true", 5000)), Mark::Run),
        (run().guarded(true, asked("exit 3", 5000)), Mark::Skipped),
        (run().guarded(true, Condition::User("root".into())), Mark::Run),
        (run().guarded(false, asked("exit 3", 5000)).guarded(true, exists()), Mark::Skipped),
    ] {
        let text = format!("{:?}", guarded.guards);
        assert_eq!(scene.marks(vec![guarded]), [mark], "{text}");
    }
    let report = scene.run(vec![run().guarded(true, exists())]);
    let id = run().id;
    assert!(matches!(fate(&report, &id), Outcomes::Skipped { .. }));
    assert!(!scene.exists("ran"));
}

#[test]
fn a_guard_that_gives_no_answer_is_an_error() {
    let scene = Scene::new();
    for (line, how) in [
        ("exec sleep 60", "did not end within 200ms and was stopped"),
        ("kill -9 $$", "was ended by signal 9"),
    ] {
        let limit = if line.contains("sleep") { 200 } else { 5000 };
        let declared = execute(&scene, "touch DIR/ran").guarded(false, asked(line, limit));
        let plan = scene.plan(vec![declared.clone()]);
        assert!(plan.is_blocked(), "{plan:?}");
        let text = problem(&scene.run(vec![declared.clone()]), &declared.id);
        assert!(text.contains(how), "{text}");
        assert!(!scene.exists("ran"));
    }
}

#[test]
fn a_command_guard_waits_for_what_it_depends_on() {
    let scene = Scene::new();
    let file = scene.file("conf", "x");
    let line = format!("test -e {}", scene.at("conf"));
    let run = execute(&scene, "touch DIR/ran").guarded(true, asked(&line, 5000)).needing(&file);
    let all = vec![file, run];
    assert_eq!(scene.marks(all.clone()), [Mark::Create, Mark::Perhaps]);
    assert!(scene.run(all).is_good());
    assert!(scene.exists("ran"));
}

#[test]
fn the_environment_is_constructed() {
    let scene = Scene::new();
    let run = execute(&scene, "env > DIR/env; umask >> DIR/env; pwd >> DIR/env; cat >> DIR/env")
        .with("creates", scene.at("env").as_str())
        .with("cwd", scene.at("").as_str())
        .with("umask", "0077")
        .with("input", Value::Secret(Secret::new("typed in")))
        .with("environment", Value::Map([("APP".to_owned(), Value::text("shop"))].into()));
    let report = scene.run(vec![run]);
    assert!(report.is_good(), "{report:?}");
    let text = scene.read("env");
    let mut names: Vec<&str> =
        text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    // The shell itself adds `PWD`.
    names.retain(|name| !["PWD", "OLDPWD", "_", "SHLVL"].contains(name));
    let constructed = ["APP", "HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TMPDIR", "USER"];
    assert_eq!(names, constructed, "{text}");
    assert!(text.ends_with("typed in") && text.contains("0077\n"), "{text}");
    assert_eq!(scene.mode("env") & 0o077, 0);
}

#[test]
fn another_user_has_its_own_rights_and_groups() {
    let scene = Scene::new();
    let mut run = execute(&scene, "id -u; id -G; echo $HOME $USER; exit 7")
        .guarded(true, asked("true", 5000))
        .with("returns", Value::List(vec![Value::Integer(7)]));
    run.user = Some("daemon".into());
    let mut lines = Vec::new();
    let plan = scene.plan(vec![run.clone()]);
    let report = scene
        .apply_watched(&plan, &mut |event| {
            if let Event::Output { line, .. } = event {
                lines.push(line.to_owned());
            }
        })
        .unwrap();
    if is_root() {
        assert_eq!(lines, ["1", "1", "/usr/sbin daemon"]);
        assert!(report.is_good());
    } else {
        let text = problem(&report, &run.id);
        assert_eq!(text, "only root may run commands as `daemon`");
    }
}

#[test]
fn a_command_that_takes_too_long_ends_with_its_children() {
    let scene = Scene::new();
    let mut run = execute(&scene, "sleep 600 & echo $! > DIR/child; wait")
        .with("creates", scene.at("never").as_str());
    run.timeout_ms = Some(300);
    let report = scene.run(vec![run.clone()]);
    let text = problem(&report, &run.id);
    assert!(text.contains("did not end within 300ms and was stopped"), "{text}");
    let child = scene.read("child");
    testkit::wait_until(Duration::from_secs(10), "the child to be gone", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        // A zombie of somebody else's is gone as well.
        stat.map_or(Some(()), |stat| stat.contains(") Z ").then_some(()))
    });
}

#[test]
fn a_daemon_that_a_command_leaves_behind_is_not_waited_for() {
    let scene = Scene::new();
    let run =
        execute(&scene, "sleep 300 & echo $! > DIR/pid").with("creates", scene.at("pid").as_str());
    let begin = Instant::now();
    scene.converge(vec![run]);
    let pid: i32 = scene.read("pid").trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(200));
}

#[test]
fn retries_are_counted() {
    let scene = Scene::new();
    let line = "echo x >> DIR/tries; test $(wc -l < DIR/tries) -ge 3 && touch DIR/made";
    let mut run = execute(&scene, line).with("creates", scene.at("made").as_str());
    run.retries = 1;
    assert!(!scene.run(vec![run.clone()]).is_good());
    assert_eq!(scene.read("tries").lines().count(), 2);
    scene.converge(vec![run]);
}

#[test]
fn output_of_a_sensitive_command_is_kept_to_itself() {
    let scene = Scene::new();
    let secret = Value::Secret(Secret::new("hunter2"));
    let run = execute(&scene, "echo $TOKEN; echo $TOKEN >&2; exit 1")
        .with("creates", scene.at("x").as_str())
        .with("environment", Value::Map([("TOKEN".to_owned(), secret)].into()));
    let plan = scene.plan(vec![run]);
    let mut told = Vec::new();
    let mut tell = |event: Event<'_>| told.push(format!("{event:?}"));
    let report = scene.apply_watched(&plan, &mut tell).unwrap();
    assert!(!report.is_good());
    assert!(!format!("{told:?}{report:?}{plan:?}").contains("hunter2"), "{told:?}");
}

#[test]
fn a_tree_is_no_machine_to_run_commands_on() {
    let mut scene = Scene::new();
    scene.below = Some(scene.root().join("m"));
    let file = declare("file", "/motd", "create").with("content", "hello");
    scene.converge(vec![file.clone()]);
    assert_eq!(scene.read("motd"), "hello");
    let run = declare("execute", "true", "run").with("creates", "/x");
    let report = scene.run(vec![file, run.clone()]);
    assert!(problem(&report, &run.id).contains("would run on this machine"));
}
