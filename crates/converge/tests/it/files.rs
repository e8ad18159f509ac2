//! Files, templates, directories and links: made, left alone, brought back, changed, undone.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use converge::{Change, Mark, Outcomes, RenderOptions};
use proptest::prelude::*;
use report::Secret;
use resource::{Declaration, Value};

use crate::scene::{Scene, declare, is_root, problem};

fn set_mode(path: &str, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_lives_its_life() {
    let scene = Scene::new();
    let file = || vec![scene.file("motd", "hello\n").with("mode", "0640")];
    assert_eq!(scene.marks(file()), [Mark::Create]);
    scene.converge(file());
    assert_eq!((scene.read("motd"), scene.mode("motd")), ("hello\n".into(), 0o640));

    // Drift of content, then of permissions.
    fs::write(scene.at("motd"), "bye\n").unwrap();
    let plan = scene.plan(file());
    let text = plan.render(RenderOptions { diff: true, ..RenderOptions::default() });
    assert!(text.contains("    -bye\n    +hello\n"), "{text}");
    scene.converge(file());
    set_mode(&scene.at("motd"), 0o666);
    let plan = scene.plan(file());
    let change =
        Change::Attribute { name: "mode".into(), old: Some("0666".into()), new: "0640".into() };
    assert_eq!(plan.steps()[0].changes, [change]);
    scene.converge(file());
    assert_eq!((scene.read("motd"), scene.mode("motd")), ("hello\n".into(), 0o640));

    scene.converge(vec![scene.file("motd", "new\n")]);
    // Not said any more: stays.
    assert_eq!((scene.read("motd"), scene.mode("motd")), ("new\n".into(), 0o640));
    assert_eq!(scene.marks(vec![]), [Mark::Delete]);
    scene.converge(vec![]);
    assert!(!scene.exists("motd"));
}

#[test]
fn what_was_found_comes_back() {
    let scene = Scene::new();
    fs::write(scene.at("hosts"), "by hand\n").unwrap();
    set_mode(&scene.at("hosts"), 0o604);
    let before = scene.snapshot();
    scene.converge(vec![scene.file("hosts", "1\n")]);
    scene.converge(vec![scene.file("hosts", "2\n").with("mode", "0600")]);
    assert_eq!(scene.read("hosts"), "2\n");
    scene.converge(vec![]);
    assert_eq!(scene.snapshot(), before);
    assert_eq!(fs::read_dir(scene.root().join("state/kept")).unwrap().count(), 0);
}

#[test]
fn what_was_found_as_it_should_be_is_nobodys_to_undo() {
    let scene = Scene::new();
    fs::write(scene.at("motd"), "hello\n").unwrap();
    scene.converge(vec![scene.file("motd", "hello\n")]);
    assert!(!scene.root().join("state/ledger.json").exists(), "nothing changed, nothing written");
    scene.converge(vec![]);
    assert_eq!(scene.read("motd"), "hello\n");
}

#[test]
fn a_deleted_file_comes_back_when_nobody_wants_it_gone() {
    let scene = Scene::new();
    fs::write(scene.at("default"), "site\n").unwrap();
    let gone = || vec![declare("file", &scene.at("default"), "delete")];
    assert_eq!(scene.marks(gone()), [Mark::Delete]);
    scene.converge(gone());
    assert!(!scene.exists("default"));
    scene.converge(vec![]);
    assert_eq!(scene.read("default"), "site\n");
}

#[test]
fn a_secret_is_shown_nowhere_and_readable_by_nobody_else() {
    let scene = Scene::new();
    let secret = |text: &str| {
        let content = Value::Secret(Secret::new(text));
        vec![declare("template", &scene.at("key"), "create").with("content", content)]
    };
    scene.converge(secret("hunter2"));
    assert_eq!(scene.mode("key"), 0o600);
    let plan = scene.plan(secret("hunter3"));
    assert_eq!(plan.steps()[0].changes, [Change::Sensitive]);
    let saved = String::from_utf8(plan.save().unwrap()).unwrap();
    let shown = serde_json::to_string(&plan.shown()).unwrap();
    let rendered = plan.render(RenderOptions { diff: true, ..RenderOptions::default() });
    assert!(rendered.contains("content changed (sensitive)"), "{rendered}");
    scene.try_apply(&plan).unwrap();
    let ledger = fs::read_to_string(scene.root().join("state/ledger.json")).unwrap();
    for text in [saved, shown, rendered, format!("{plan:?}"), ledger] {
        assert!(!text.contains("hunter"), "{text}");
    }
}

#[test]
fn a_new_content_is_checked_before_it_is_in_place() {
    let scene = Scene::new();
    fs::write(scene.at("conf"), "good\n").unwrap();
    let file = |content: &str| {
        let command = ["grep", "-q", "good", "{path}"].map(Value::text);
        vec![scene.file("conf", content).with("verify", Value::List(command.into()))]
    };
    scene.converge(file("good too\n"));
    let before = scene.snapshot();
    let bad = file("bad\n");
    let report = scene.run(bad.clone());
    let text = problem(&report, &bad[0].id);
    assert!(text.contains("ended with exit 1"), "{text}");
    assert_eq!(scene.snapshot(), before, "nothing is left of it");
    let other = scene.at("other");
    fs::write(&other, "found").unwrap();
    let refused = scene.file("other", "bad\n").with("verify", "exit 1");
    let plan = scene.try_plan(vec![refused], converge::Leaving::Keep).unwrap();
    assert!(!scene.try_apply(&plan).unwrap().is_good());
    fs::remove_file(other).unwrap();
    let kept = fs::read_dir(scene.root().join("state/kept")).unwrap().count();
    assert_eq!(kept, 1, "of what did not happen nothing is kept");
    scene.converge(vec![]);
    assert_eq!(scene.read("conf"), "good\n");
}

#[test]
fn other_things_at_the_path_are_not_replaced_unasked() {
    let scene = Scene::new();
    fs::create_dir(scene.at("directory")).unwrap();
    symlink("elsewhere", scene.at("link")).unwrap();
    for (name, force, hint) in [
        ("directory", false, "is a directory, not a regular file"),
        ("directory", true, "is a directory, not a regular file"),
        ("link", false, "is a link, not a regular file; `force = True` replaces it"),
    ] {
        let file = vec![scene.file(name, "x").with("force", force)];
        let plan = scene.plan(file.clone());
        assert!(plan.is_blocked());
        let reason = plan.steps()[0].reason.clone().unwrap();
        assert!(reason.ends_with(hint), "{reason}");
        assert!(!scene.run(file).is_good());
    }
    scene.converge(vec![scene.file("link", "x").with("force", true)]);
    assert_eq!(scene.read("link"), "x");
    scene.converge(vec![]);
    assert_eq!(fs::read_link(scene.at("link")).unwrap(), Path::new("elsewhere"));
}

#[test]
fn owners_are_compared_by_number_and_shown_by_name() {
    if !is_root() {
        let scene = Scene::new();
        let report = scene.run(vec![scene.file("x", "").with("owner", "root")]);
        assert!(!report.is_good() && !scene.exists("x"), "{report:?}");
        return;
    }
    let scene = Scene::new();
    let file = || {
        vec![scene.file("x", "x").with("owner", "daemon").with("group", "2").with("mode", "4755")]
    };
    scene.converge(file());
    assert_eq!(scene.mode("x"), 0o4755, "the owner is changed before the set-id bits are set");
    std::os::unix::fs::chown(scene.at("x"), Some(0), Some(0)).unwrap();
    let text = scene.plan(file()).render(RenderOptions::default());
    assert!(text.contains("owner: root → daemon, group: root → 2"), "{text}");
    scene.converge(file());
    let nobody = vec![scene.file("y", "").with("owner", "nobody-at-all")];
    let plan = scene.plan(nobody);
    let reason = plan.steps()[1].reason.clone().unwrap();
    assert_eq!(reason, "there is no user `nobody-at-all`, and no resource makes it");
}

#[test]
fn directories_are_made_from_above_and_removed_from_below() {
    let scene = Scene::new();
    let before = scene.snapshot();
    let all = || {
        vec![
            // Declared below first: order is that of needs.
            scene.file("a/b/c/file", "x"),
            scene.directory("a/b/c").with("recursive", true).with("mode", "0700"),
        ]
    };
    assert_eq!(scene.marks(all()), [Mark::Create, Mark::Create]);
    scene.converge(all());
    assert_eq!((scene.mode("a/b"), scene.mode("a/b/c")), (0o755, 0o700));
    set_mode(&scene.at("a/b/c"), 0o777);
    scene.converge(all());
    assert_eq!(scene.mode("a/b/c"), 0o700);
    scene.converge(vec![]);
    assert_eq!(scene.snapshot(), before);
}

#[test]
fn a_directory_with_something_of_others_stays() {
    let scene = Scene::new();
    scene.converge(vec![scene.directory("a")]);
    fs::write(scene.at("a/theirs"), "").unwrap();
    scene.converge(vec![]);
    assert!(scene.exists("a/theirs"));
}

#[test]
fn permissions_of_a_found_directory_come_back() {
    let scene = Scene::new();
    fs::create_dir(scene.at("a")).unwrap();
    set_mode(&scene.at("a"), 0o711);
    scene.converge(vec![scene.directory("a").with("mode", "0700")]);
    scene.converge(vec![]);
    assert_eq!(scene.mode("a"), 0o711);
}

#[test]
fn a_full_directory_is_deleted_only_if_that_is_said() {
    let scene = Scene::new();
    fs::create_dir_all(scene.at("a/b")).unwrap();
    let delete = declare("directory", &scene.at("a"), "delete");
    assert!(!scene.run(vec![delete.clone()]).is_good());
    scene.converge(vec![delete.with("recursive", true)]);
    assert!(!scene.exists("a"));
    fs::write(scene.at("a"), "").unwrap();
    let plan = scene.plan(vec![scene.directory("a")]);
    assert!(plan.is_blocked());
}

#[test]
fn a_link_lives_its_life() {
    let scene = Scene::new();
    let link = |to: &str| vec![declare("link", &scene.at("l"), "create").with("to", to)];
    scene.converge(link("one"));
    let text = scene.plan(link("two")).render(RenderOptions::default());
    assert!(text.contains("to: one → two"), "{text}");
    scene.converge(link("two"));
    scene.converge(vec![]);
    assert!(!scene.exists("l"));
    symlink("found", scene.at("l")).unwrap();
    scene.converge(link("two"));
    scene.converge(vec![]);
    assert_eq!(fs::read_link(scene.at("l")).unwrap(), Path::new("found"));
    fs::remove_file(scene.at("l")).unwrap();
    fs::create_dir(scene.at("l")).unwrap();
    assert!(scene.plan(link("two")).is_blocked());
}

#[test]
fn without_a_directory_nothing_can_be_made_in_it() {
    let scene = Scene::new();
    let plan = scene.plan(vec![scene.file("none/file", "")]);
    let expected =
        format!("there is no directory `{}`, and no resource makes it", scene.at("none"));
    assert_eq!(plan.steps()[0].reason.as_deref(), Some(expected.as_str()));
}

#[test]
fn create_if_missing_looks_no_further() {
    let scene = Scene::new();
    let file =
        || vec![Declaration { action: "create_if_missing".into(), ..scene.file("x", "first") }];
    scene.converge(file());
    fs::write(scene.at("x"), "theirs").unwrap();
    scene.converge(file());
    assert_eq!(scene.read("x"), "theirs");
}

#[test]
fn a_new_file_is_never_there_half_or_wide() {
    // What a reader can open at any moment of a change is the old file or the new one.
    let scene = Scene::new();
    fs::write(scene.at("x"), "old").unwrap();
    set_mode(&scene.at("x"), 0o600);
    let plan = scene.plan(vec![scene.file("x", "new").with("mode", "0644")]);
    let mut seen = Vec::new();
    let mut look = |_: converge::Event<'_>| {
        for entry in fs::read_dir(scene.root().join("m")).unwrap() {
            let path = entry.unwrap().path();
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            seen.push((fs::read_to_string(&path).unwrap(), mode));
        }
    };
    let report = scene.apply_watched(&plan, &mut look).unwrap();
    assert_eq!(report.count(|result| *result == Outcomes::Changed), 1);
    for (content, mode) in seen {
        assert!(matches!((content.as_str(), mode), ("old", 0o600) | ("new", 0o644)));
    }
}

#[test]
fn what_a_killed_run_left_beside_is_removed() {
    let scene = Scene::new();
    for name in [".x.skep-new", ".d.skep-new"] {
        fs::write(scene.at(name), "half").unwrap();
    }
    scene.converge(vec![scene.file("x", "whole")]);
    assert!(!scene.exists(".x.skep-new"));
    fs::remove_file(scene.at(".d.skep-new")).unwrap();
    fs::create_dir(scene.at(".d.skep-new")).unwrap();
    scene.converge(vec![scene.directory("d")]);
    scene.converge(vec![]);
    assert!(!scene.exists(".d.skep-new") && !scene.exists("x"));
}

/// A resource of three paths, in one of several forms.
fn any_resources() -> impl Strategy<Value = Vec<(u8, u8, String)>> {
    proptest::collection::vec((0_u8..4, 0_u8..3, "[a-c]{0,2}"), 0..6)
}

fn declared(scene: &Scene, drawn: &[(u8, u8, String)]) -> Vec<Declaration> {
    let mut declarations: Vec<Declaration> = Vec::new();
    for (path, form, text) in drawn {
        let name = ["a", "b", "d/a", "d/b"][usize::from(*path)];
        let mode = if text.len() == 1 { "0600" } else { "0644" };
        let declaration = match form {
            0 => scene.file(name, text).with("mode", mode).with("force", true),
            1 => declare("link", &scene.at(name), "create")
                .with("to", format!("x{text}").as_str())
                .with("force", true),
            _ => declare("template", &scene.at(name), "delete"),
        };
        let taken = |other: &Declaration| other.id.name == declaration.id.name;
        if !declarations.iter().any(taken) {
            declarations.push(declaration);
        }
    }
    declarations.push(scene.directory("d"));
    declarations
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_was_applied_needs_nothing_and_leaves_nothing(
        first in any_resources(),
        second in any_resources(),
        found in any::<bool>(),
    ) {
        let scene = Scene::new();
        if found {
            fs::write(scene.at("a"), "found").unwrap();
            symlink("found", scene.at("b")).unwrap();
        }
        let before = scene.snapshot();
        scene.converge(declared(&scene, &first));
        scene.converge(declared(&scene, &second));
        scene.converge(vec![]);
        prop_assert_eq!(scene.snapshot(), before);
    }
}
