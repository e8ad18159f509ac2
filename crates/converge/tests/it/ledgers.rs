//! Whose is what: recipes that leave, resources that move, and order on the way back.

use std::fs;

use converge::{Event, Leaving, Mark, Outcomes, Role};
use resource::RecipeName;

use crate::scene::{Declare, Scene, declare};

#[test]
fn a_recipe_that_leaves_takes_its_own_along_and_nothing_else() {
    let scene = Scene::new();
    let shared = || scene.directory("shared");
    let web = || vec![shared(), scene.file("shared/web", "w"), scene.file("own", "w")];
    let both = || {
        let mut all = web();
        all.push(shared().of("log"));
        all.push(scene.file("shared/log", "l").of("log"));
        all
    };
    scene.converge(both());
    let owners = |name: &str| {
        let ledger = scene.state().read().unwrap();
        let made = ledger.made().find(|made| made.id.name == scene.at(name)).unwrap().clone();
        made.owners
    };
    let recipe = |name| RecipeName::new(name, "default");
    assert_eq!(owners("shared"), [recipe("web"), recipe("log")]);
    let log = || vec![shared().of("log"), scene.file("shared/log", "l").of("log")];
    scene.converge(log());
    assert_eq!(owners("shared"), [recipe("log")]);
    assert!(scene.exists("shared/log") && !scene.exists("shared/web") && !scene.exists("own"));
    scene.converge(vec![]);
    assert!(!scene.exists("shared"));
}

#[test]
fn the_way_back_is_the_other_way_round() {
    let scene = Scene::new();
    let all = vec![
        scene.directory("a"),
        scene.directory("a/b"),
        scene.file("a/b/file", ""),
        scene.file("z", "").needing(&scene.file("a/b/file", "")),
    ];
    scene.converge(all);
    let plan = scene.plan(vec![scene.file("new", "")]);
    let names: Vec<(Role, String)> = plan
        .steps()
        .iter()
        .map(|step| (step.role, step.id.name.replace(&scene.at(""), "")))
        .collect();
    let leaving = |name: &str| (Role::Leaving, name.to_owned());
    let expected = [
        leaving("z"),
        leaving("a/b/file"),
        leaving("a/b"),
        leaving("a"),
        (Role::Declared, "new".into()),
    ];
    assert_eq!(names, expected);
    let report = scene.try_apply(&plan).unwrap();
    assert_eq!(report.count(|result| *result == Outcomes::Undone), 4);
    assert!(!scene.exists("a"));
}

#[test]
fn a_part_of_what_is_wanted_takes_nothing_back() {
    let scene = Scene::new();
    scene.converge(vec![scene.file("a", "")]);
    let plan = scene.try_plan(vec![scene.file("b", "")], Leaving::Keep).unwrap();
    scene.try_apply(&plan).unwrap();
    assert!(scene.exists("a") && scene.exists("b"));
    assert_eq!(scene.state().read().unwrap().made().count(), 2);
    // Whose it is in the rest of the list is not forgotten either.
    let part = scene.try_plan(vec![scene.file("a", "x").of("log")], Leaving::Keep).unwrap();
    scene.try_apply(&part).unwrap();
    let ledger = scene.state().read().unwrap();
    let made = ledger.made().find(|made| made.id.name == scene.at("a")).unwrap();
    assert_eq!(made.owners, [RecipeName::new("log", "default"), RecipeName::new("web", "default")]);
}

#[test]
fn another_resource_at_the_same_path_takes_over() {
    let scene = Scene::new();
    fs::write(scene.at("conf"), "found").unwrap();
    scene.converge(vec![scene.file("conf", "file")]);
    let template = || {
        let template = declare("template", &scene.at("conf"), "create");
        vec![template.with("content", "template")]
    };
    assert_eq!(scene.marks(template()), [Mark::Update]);
    scene.converge(template());
    assert_eq!(scene.read("conf"), "template");
    scene.converge(vec![]);
    assert_eq!(scene.read("conf"), "found");
    // Of another kind: what was made is taken back before.
    scene.converge(vec![scene.file("place", "file")]);
    scene.converge(vec![scene.directory("place")]);
    scene.converge(vec![declare("link", &scene.at("place"), "create").with("to", "x")]);
    scene.converge(vec![]);
    assert!(!scene.exists("place"));
}

#[test]
fn what_is_gone_already_is_forgotten_without_a_word() {
    let scene = Scene::new();
    scene.converge(vec![scene.file("a", "")]);
    fs::remove_file(scene.at("a")).unwrap();
    assert!(scene.plan(vec![]).steps().is_empty());
    scene.converge(vec![]);
    let ledger = scene.state().read().unwrap();
    assert_eq!(ledger.made().count(), 0);
    scene.converge(vec![scene.file("b", "")]);
}

#[test]
fn what_went_with_its_directory_is_not_brought_back() {
    let scene = Scene::new();
    fs::create_dir(scene.at("d")).unwrap();
    fs::write(scene.at("d/a"), "found").unwrap();
    scene.converge(vec![scene.file("d/a", "ours")]);
    fs::remove_dir_all(scene.at("d")).unwrap();
    scene.converge(vec![]);
    assert!(!scene.exists("d"));
}

#[test]
fn a_failed_undo_is_tried_again() {
    let scene = Scene::new();
    fs::write(scene.at("a"), "found").unwrap();
    scene.converge(vec![scene.file("a", "ours")]);
    fs::remove_file(scene.at("a")).unwrap();
    fs::create_dir(scene.at("a")).unwrap();
    let report = scene.run(vec![]);
    assert!(!report.is_good(), "{report:?}");
    fs::remove_dir(scene.at("a")).unwrap();
    scene.converge(vec![]);
    assert_eq!(scene.read("a"), "found");
}

#[test]
fn a_run_without_a_change_writes_nothing() {
    let scene = Scene::new();
    let all = || vec![scene.directory("a"), scene.file("a/b", "x"), scene.bell("bell")];
    scene.converge(all());
    let stat = || {
        let directory = fs::read_dir(scene.root().join("state")).unwrap();
        let mut found: Vec<_> = directory
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name(), entry.metadata().unwrap().modified().unwrap())
            })
            .collect();
        found.sort();
        found
    };
    let before = stat();
    let plan = scene.plan(all());
    let mut points = Vec::new();
    let mut watch = |event: Event<'_>| {
        if let Event::At(point) = event {
            points.push(point);
        }
    };
    scene.apply_watched(&plan, &mut watch).unwrap();
    assert_eq!(stat(), before);
    assert_eq!(points, [converge::Point::Settled]);
}
