//! A run is killed at every point at which it has just written or done something; the next run has
//! to repair everything and to ring what was owed, and afterwards all of it can still be undone.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use converge::Event;
use resource::{Declaration, Timing};

use crate::scene::{Declare, Scene};

const ROOT: &str = "CONVERGE_KILLS_ROOT";
const AT: &str = "CONVERGE_KILLS_AT";

fn before(scene: &Scene) -> Vec<Declaration> {
    vec![scene.file("old", "o"), scene.file("hosts", "first")]
}

fn wanted(scene: &Scene) -> Vec<Declaration> {
    let (late, now) = (scene.bell("late"), scene.bell("now"));
    vec![
        scene.directory("d").with("mode", "0750"),
        scene.file("d/a", "a").notifies(&late, Timing::Delayed),
        scene.file("hosts", "second").notifies(&late, Timing::Delayed),
        scene.file("d/b", "b").notifies(&now, Timing::Immediate),
        late,
        now,
    ]
}

/// Not a test: the run that is killed.
#[test]
#[ignore = "started by the other tests"]
fn child() {
    run_until_killed(wanted);
}

/// In the child: applies, and ends this process at the point that it was told.
pub(crate) fn run_until_killed(declarations: fn(&Scene) -> Vec<Declaration>) {
    let (Some(root), Ok(at)) = (std::env::var_os(ROOT), std::env::var(AT)) else { return };
    let mut left: u32 = at.parse().unwrap();
    let scene = Scene::of(Path::new(&root));
    let plan = scene.plan(declarations(&scene));
    let mut kill = |event: Event<'_>| {
        if matches!(event, Event::At(_)) {
            if left == 0 {
                let own = rustix::process::getpid();
                rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
            }
            left = left.saturating_sub(1);
        }
    };
    scene.apply_watched(&plan, &mut kill).unwrap();
}

/// Returns whether the run of the child was killed.
pub(crate) fn run_and_kill(scene: &Scene, child: &str, at: u32) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", child, "--ignored"]).stdout(Stdio::null());
    let status = command.env(ROOT, scene.root()).env(AT, at.to_string()).status().unwrap();
    assert!(status.success() || status.signal() == Some(9), "{status}");
    !status.success()
}

#[test]
fn a_killed_run_is_repaired_by_the_next_one() {
    /// More points than any run of this list has.
    const MANY: u32 = 100;
    for at in 0..MANY {
        let scene = Scene::new();
        fs::write(scene.at("hosts"), "found").unwrap();
        let untouched = scene.snapshot();
        scene.converge(before(&scene));
        let killed = run_and_kill(&scene, "kills::child", at);
        let report = scene.converge(wanted(&scene));
        assert!(report.is_good());
        assert_eq!(scene.read("hosts"), "second");
        assert_eq!((scene.read("d/a"), scene.read("d/b")), ("a".into(), "b".into()));
        assert!(!scene.exists("old") && scene.mode("d") == 0o750, "killed at {at}");
        let rung = scene.rung();
        for bell in ["late", "now"] {
            let count = rung.iter().filter(|rung| *rung == bell).count();
            let allowed = if killed { 1..=2 } else { 1..=1 };
            assert!(allowed.contains(&count), "killed at {at}: {rung:?}");
        }
        assert!(scene.state().read().unwrap().owed().is_empty(), "killed at {at}");
        scene.converge(vec![]);
        fs::remove_file(scene.at("log")).unwrap();
        assert_eq!(scene.snapshot(), untouched, "killed at {at}");
        if !killed {
            assert!(at > 20, "only {at} points were passed");
            return;
        }
    }
    panic!("a run of {MANY} points");
}

#[test]
fn what_a_killed_run_made_can_be_undone_at_once() {
    for at in 0..40 {
        let scene = Scene::new();
        fs::write(scene.at("hosts"), "found").unwrap();
        let untouched = scene.snapshot();
        scene.converge(before(&scene));
        let killed = run_and_kill(&scene, "kills::child", at);
        scene.converge(vec![]);
        let _ = fs::remove_file(scene.at("log"));
        assert_eq!(scene.snapshot(), untouched, "killed at {at}");
        if !killed {
            return;
        }
    }
}
