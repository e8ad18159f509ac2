//! Plans: what they say of a bare machine, and when a saved one is still true.

use std::fs;
use std::time::Duration;

use converge::{How, Leaving, Mark, PlanError, RenderOptions, SavedPlan, SavedPlanError};
use resource::{Condition, Timing};

use crate::scene::{Declare, Scene, asked, declare};

#[test]
fn a_plan_reads() {
    let scene = Scene::new();
    fs::write(scene.at("hosts"), "a\n").unwrap();
    let bell = scene.bell("reload");
    let plan = scene.plan(vec![
        scene.directory("etc").with("mode", "0750"),
        scene.file("etc/conf", "x\n").notifies(&bell, Timing::Delayed),
        scene.file("hosts", "b\n"),
        scene.file("skipped", "").guarded(true, Condition::Exists(scene.at("none"))),
        scene.file("none/file", ""),
        bell,
    ]);
    let options =
        RenderOptions { read_in: Some(Duration::from_millis(38)), ..RenderOptions::default() };
    let text = plan.render(options).replace(&scene.at(""), "/");
    assert_eq!(
        text,
        "+ directory[/etc]  mode: 0750\n\
         + file[/etc/conf]  content: +1 -0\n\
         ~ file[/hosts]  content: +1 -1\n\
         · file[/skipped]  (only_if `/none` exists)\n\
         x file[/none/file]  (there is no directory `/none`, and no resource makes it)\n\
         ↻ execute[reload] run  (notified by file[/etc/conf])\n\
         2 to create, 1 to update, 1 to notify, 1 blocked, 1 skipped, 1 unchanged; read in 38 ms\n"
    );
    let shown = serde_json::to_string(&plan.shown()).unwrap();
    assert_eq!(serde_json::from_str::<converge::ShownPlan>(&shown).unwrap(), plan.shown());
}

#[test]
fn the_shadow_knows_what_will_be_there() {
    let scene = Scene::new();
    let make = declare("execute", "make", "run").with("creates", scene.at("made").as_str());
    let exists = |name: &str| Condition::Exists(scene.at(name));
    let perhaps = asked("false", 5000);
    let marks = scene.marks(vec![
        scene.directory("d"),
        scene.file("d/a", "x").guarded(true, exists("d")),
        scene.file("d/b", "x").guarded(false, exists("d/a")),
        declare("directory", &scene.at("none"), "delete"),
        make.clone(),
        scene.file("c", "").guarded(true, exists("made")),
        // A command may have made it by then.
        scene.file("e", "").guarded(true, exists("whatever")),
        scene.file("f", "").guarded(true, perhaps).needing(&make),
    ]);
    let expected = [
        Mark::Create,
        Mark::Create,
        Mark::Skipped,
        Mark::Unchanged,
        Mark::Run,
        Mark::Create,
        Mark::Perhaps,
        Mark::Perhaps,
    ];
    assert_eq!(marks, expected);
}

#[test]
fn a_guard_as_somebody_who_is_only_planned_is_not_asked() {
    let scene = Scene::new();
    let user = declare("user", "planned-test", "create");
    let condition = Condition::Command {
        arguments: vec!["true".into()],
        user: Some("planned-test".into()),
        directory: None,
        timeout_ms: 5000,
    };
    let file = scene.file("a", "").guarded(true, condition);
    assert_eq!(scene.marks(vec![user, file.clone()]), [Mark::Create, Mark::Perhaps]);
    assert_eq!(scene.marks(vec![file]), [Mark::Blocked]);
}

#[test]
fn what_needs_something_impossible_is_blocked_and_the_rest_goes_on() {
    let scene = Scene::new();
    let bad = scene.file("none/file", "");
    let all = vec![
        bad.clone(),
        scene.file("a", "").needing(&bad),
        scene.file("b", "").needing(&scene.file("a", "")),
        scene.file("c", ""),
    ];
    assert_eq!(
        scene.marks(all.clone()),
        [Mark::Blocked, Mark::Blocked, Mark::Blocked, Mark::Create]
    );
    let report = scene.run(all.clone());
    assert!(scene.exists("c") && !scene.exists("a") && !scene.exists("b"), "{report:?}");
    let mut ignored = all;
    ignored[0].ignore_failure = true;
    assert!(scene.run(ignored).is_good());
    assert!(scene.exists("b"));
}

#[test]
fn declarations_that_fit_no_kind_are_no_plan() {
    let scene = Scene::new();
    let plan = |declaration| scene.try_plan(vec![declaration], Leaving::Undo).unwrap_err();
    assert!(matches!(plan(declare("fiel", "/x", "create")), PlanError::Kind(_)));
    let typo = scene.file("x", "").with("contents", "");
    assert!(matches!(plan(typo), PlanError::Property { .. }));
    assert!(matches!(plan(declare("link", "/x", "create")), PlanError::Refused { .. }));
}

#[test]
fn a_saved_plan_is_applied_only_while_it_is_true() {
    let scene = Scene::new();
    fs::write(scene.at("b"), "found").unwrap();
    let all = || vec![scene.file("a", "1"), scene.file("b", "2")];
    let saved = SavedPlan::parse(&scene.plan(all()).save().unwrap()).unwrap();
    saved.check(&scene.plan(all())).unwrap();
    let moved = |declarations| match saved.check(&scene.plan(declarations)).unwrap_err() {
        SavedPlanError::Stale(moved) => {
            moved.into_iter().map(|m| (m.id.name.replace(&scene.at(""), ""), m.how)).collect()
        }
        other => panic!("{other}"),
    };
    let moved: &dyn Fn(_) -> Vec<(String, How)> = &moved;

    fs::write(scene.at("b"), "moved").unwrap();
    assert_eq!(moved(all()), [("b".into(), How::Machine)]);
    fs::write(scene.at("b"), "found").unwrap();
    let other = vec![scene.file("a", "!"), scene.file("c", "")];
    let expected = [("a".into(), How::Recipe), ("c".into(), How::New), ("b".into(), How::Gone)];
    assert_eq!(moved(other), expected);
    scene.converge(all());
    let error = saved.check(&scene.plan(all())).unwrap_err();
    assert!(matches!(error, SavedPlanError::OtherRun), "{error}");
}

#[test]
fn a_plan_that_another_run_overtook_is_not_applied() {
    let scene = Scene::new();
    let old = scene.plan(vec![scene.file("a", "old")]);
    scene.converge(vec![scene.file("a", "new")]);
    let error = scene.try_apply(&old).unwrap_err();
    assert!(matches!(error, converge::ApplyError::Moved), "{error}");
    assert_eq!(scene.read("a"), "new");
}
