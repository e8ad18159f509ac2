//! Notifications: once for each target, after all or at once, and never lost.

use std::fs;

use converge::{Mark, Outcomes, RenderOptions, Role};
use resource::{Condition, Timing};

use crate::scene::{Declare, Scene, declare, fate};

#[test]
fn delayed_ones_collapse_and_immediate_ones_do_not_wait() {
    let scene = Scene::new();
    let (late, now) = (scene.bell("late"), scene.bell("now"));
    let all = || {
        vec![
            scene.file("a", "1").notifies(&late, Timing::Delayed).notifies(&now, Timing::Immediate),
            scene.file("b", "1").notifies(&late, Timing::Delayed),
            late.clone(),
            now.clone(),
        ]
    };
    let plan = scene.plan(all());
    let marks: Vec<Mark> = plan.steps().iter().map(|step| step.mark).collect();
    let expected = [
        Mark::Create,
        Mark::Notified,
        Mark::Create,
        Mark::Unchanged,
        Mark::Unchanged,
        Mark::Notified,
    ];
    assert_eq!(marks, expected, "{}", plan.render(RenderOptions::default()));
    scene.converge(all());
    assert_eq!(scene.rung(), ["now", "late"]);
    fs::write(scene.at("b"), "drift").unwrap();
    scene.converge(all());
    assert_eq!(scene.rung(), ["now", "late", "late"]);
}

#[test]
fn a_broken_group_keeps_its_target_waiting_and_the_next_run_delivers() {
    let scene = Scene::new();
    let bell = scene.bell("bell");
    let all = || {
        vec![
            scene.file("a", "1").notifies(&bell, Timing::Delayed),
            scene.file("blocked", "1").notifies(&bell, Timing::Delayed),
            scene.file("other", "1"),
            bell.clone(),
        ]
    };
    fs::create_dir(scene.at("blocked")).unwrap();
    let report = scene.run(all());
    assert!(matches!(fate(&report, &bell.id), Outcomes::Unchanged));
    let waits = report.outcomes.iter().find(|o| matches!(o.result, Outcomes::Pending { .. }));
    assert!(waits.is_some_and(|outcome| outcome.id == bell.id), "{report:#?}");
    assert_eq!(fate(&report, &scene.file("other", "").id), &Outcomes::Changed);
    assert!(scene.rung().is_empty());
    assert_eq!(scene.state().read().unwrap().owed().len(), 1);

    // Still broken: still owed.
    scene.run(all());
    assert_eq!(scene.state().read().unwrap().owed().len(), 1);

    // Mended by hand to just what is declared: nothing changes, and the bell still rings.
    fs::remove_dir(scene.at("blocked")).unwrap();
    fs::write(scene.at("blocked"), "1").unwrap();
    let plan = scene.plan(all());
    let first = &plan.steps()[0];
    assert_eq!((first.role, first.mark), (Role::Owed, Mark::Notified));
    assert!(first.reason.as_ref().unwrap().contains("a run that did not end owes it"));
    scene.converge(all());
    assert_eq!(scene.rung(), ["bell"]);
}

#[test]
fn a_target_that_fails_is_tried_once_in_each_run() {
    let scene = Scene::new();
    let line = format!("echo try >> {}; test -e {}", scene.at("log"), scene.at("allowed"));
    let bell = declare("execute", "bell", "nothing").with("command", line.as_str());
    let all = || vec![scene.file("a", "1").notifies(&bell, Timing::Delayed), bell.clone()];
    assert!(!scene.run(all()).is_good());
    assert_eq!(scene.rung(), ["try"]);
    assert!(!scene.run(all()).is_good());
    assert_eq!(scene.rung(), ["try", "try"]);
    fs::write(scene.at("allowed"), "").unwrap();
    scene.converge(all());
    assert_eq!(scene.rung(), ["try", "try", "try"]);
}

#[test]
fn what_is_owed_to_nobody_is_forgotten() {
    let scene = Scene::new();
    let bell = declare("execute", "false", "nothing");
    let file = scene.file("a", "1");
    scene.run(vec![file.clone().notifies(&bell, Timing::Delayed), bell]);
    assert_eq!(scene.state().read().unwrap().owed().len(), 1);
    scene.converge(vec![file]);
    assert!(scene.state().read().unwrap().owed().is_empty());
}

#[test]
fn nobody_is_notified_of_what_did_not_happen() {
    let scene = Scene::new();
    let bell = scene.bell("bell");
    let run = declare("execute", "false", "run")
        .with("creates", scene.at("x").as_str())
        .notifies(&bell, Timing::Delayed);
    let skipped = scene
        .file("a", "1")
        .guarded(true, Condition::Exists(scene.at("none")))
        .notifies(&bell, Timing::Immediate);
    let report = scene.run(vec![run, skipped, bell]);
    assert!(!report.is_good());
    assert!(scene.rung().is_empty());
    assert!(scene.state().read().unwrap().owed().is_empty());
}

#[test]
fn a_target_without_a_change_to_make_does_nothing() {
    let scene = Scene::new();
    let bell = scene.bell("bell").with("creates", scene.at("log").as_str());
    let all = |text| vec![scene.file("a", text).notifies(&bell, Timing::Delayed), bell.clone()];
    scene.converge(all("1"));
    scene.converge(all("2"));
    assert_eq!(scene.rung(), ["bell"]);
}

#[test]
fn who_is_notified_may_notify() {
    let scene = Scene::new();
    let last = scene.bell("last");
    let middle = scene.bell("middle").notifies(&last, Timing::Delayed);
    let now = scene.bell("now").notifies(&middle, Timing::Immediate);
    let all = || {
        vec![
            last.clone(),
            middle.clone(),
            now.clone(),
            scene.file("a", "1").notifies(&last, Timing::Delayed).notifies(&now, Timing::Immediate),
        ]
    };
    let plan = scene.plan(all());
    let notified = plan.steps().iter().filter(|step| step.mark == Mark::Notified);
    let names: Vec<&str> = notified.map(|step| step.id.name.as_str()).collect();
    assert_eq!(names, ["now", "middle", "last"]);
    scene.converge(all());
    assert_eq!(scene.rung(), ["now", "middle", "last"]);
}

#[test]
fn a_circle_of_notifications_is_no_plan() {
    let scene = Scene::new();
    let (one, other) = (scene.bell("one"), scene.bell("other"));
    let all = vec![
        one.clone().notifies(&other, Timing::Delayed),
        other.notifies(&one, Timing::Delayed),
        scene.file("a", "").notifies(&one, Timing::Delayed),
    ];
    let error = scene.try_plan(all, converge::Leaving::Undo).unwrap_err();
    assert!(matches!(error, converge::PlanError::Circle(..)), "{error}");
}

#[test]
fn what_is_notified_changes_as_if_it_were_declared() {
    let scene = Scene::new();
    fs::write(scene.at("cache"), "found").unwrap();
    let cache = declare("file", &scene.at("cache"), "create");
    let mut conf = scene.file("conf", "1").notifies(&cache, Timing::Delayed);
    conf.notifies[0].action = "delete".into();
    scene.run(vec![conf.clone(), cache.clone()]);
    assert!(!scene.exists("cache"));
    scene.converge(vec![]);
    assert_eq!(scene.read("cache"), "found");
}

#[test]
fn a_target_that_lacks_something_acts_later() {
    let scene = Scene::new();
    let tool = scene.directory("tool");
    let line = format!("test -d {} && echo bell >> {}", scene.at("tool"), scene.at("log"));
    let bell = declare("execute", "bell", "nothing").with("command", line.as_str()).needing(&tool);
    let all = vec![scene.file("a", "1").notifies(&bell, Timing::Immediate), tool, bell];
    scene.converge(all);
    assert_eq!(scene.rung(), ["bell"]);
}

#[test]
fn a_part_of_the_list_forgets_nothing_that_is_owed() {
    let scene = Scene::new();
    let bell = declare("execute", "false", "nothing");
    scene.run(vec![scene.file("a", "1").notifies(&bell, Timing::Delayed), bell]);
    let part = scene.try_plan(vec![scene.file("b", "1")], converge::Leaving::Keep).unwrap();
    scene.try_apply(&part).unwrap();
    assert_eq!(scene.state().read().unwrap().owed().len(), 1);
}
