//! One line of somebody else's file.

use std::fs;

use converge::{Mark, PlanError};
use resource::Declaration;

use crate::scene::{Scene, declare};

fn line(scene: &Scene, line: &str, action: &str) -> Declaration {
    declare("line_in_file", line, action).with("path", scene.at("sshd_config").as_str())
}

#[test]
fn a_line_is_added_replaced_and_taken_back() {
    let scene = Scene::new();
    fs::write(scene.at("sshd_config"), "Port 22\n#PermitRootLogin yes\nX11 no").unwrap();
    let root = |value: &str| {
        let line = line(&scene, &format!("PermitRootLogin {value}"), "ensure");
        vec![line.with("match", "^#?PermitRootLogin ")]
    };
    scene.converge(root("no"));
    assert_eq!(scene.read("sshd_config"), "Port 22\nPermitRootLogin no\nX11 no");
    // The rest of the file is somebody else's, also later.
    fs::write(scene.at("sshd_config"), "Port 2222\nPermitRootLogin no\nX11 no").unwrap();
    scene.converge(vec![]);
    assert_eq!(scene.read("sshd_config"), "Port 2222\n#PermitRootLogin yes\nX11 no");

    scene.converge(vec![line(&scene, "Banner none", "ensure"), line(&scene, "X11 no", "absent")]);
    assert_eq!(scene.read("sshd_config"), "Port 2222\n#PermitRootLogin yes\nBanner none\n");
    scene.converge(vec![]);
    assert_eq!(scene.read("sshd_config"), "Port 2222\n#PermitRootLogin yes\nX11 no\n");
}

#[test]
fn a_pattern_that_does_not_fit_its_line_is_refused() {
    let scene = Scene::new();
    for pattern in ["^Port", "("] {
        let declared = line(&scene, "PermitRootLogin no", "ensure").with("match", pattern);
        let error = scene.try_plan(vec![declared], converge::Leaving::Undo).unwrap_err();
        assert!(matches!(error, PlanError::Refused { .. }), "{error}");
    }
}

#[test]
fn there_has_to_be_a_file() {
    let scene = Scene::new();
    let all = || vec![line(&scene, "a", "ensure")];
    assert_eq!(scene.marks(all()), [Mark::Blocked]);
    let mut with_file = all();
    with_file.push(declare("file", &scene.at("sshd_config"), "create"));
    assert_eq!(scene.marks(with_file.clone()), [Mark::Create, Mark::Perhaps]);
    scene.converge(with_file);
    assert_eq!(scene.read("sshd_config"), "a\n");
}
