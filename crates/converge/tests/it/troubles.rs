//! Bad days: no space, two runs at once, files that somebody damaged.

use std::fs;

use converge::{ApplyError, LedgerError, StateError};

use crate::scene::{Scene, problem};

#[test]
fn two_runs_at_once_are_one_too_many() {
    let scene = Scene::new();
    let plan = scene.plan(vec![scene.file("a", "x")]);
    let mut second = None;
    scene
        .apply_watched(&plan, &mut |_| {
            if second.is_none() {
                second = Some(scene.apply_once(&plan, &mut |_| {}));
            }
        })
        .unwrap();
    let error = second.unwrap().unwrap_err();
    assert!(
        matches!(&error, ApplyError::State(StateError::Locked { holder: Some(pid), .. })
            if *pid == std::process::id()),
        "{error}"
    );
    scene.converge(vec![scene.file("a", "x")]);
}

#[test]
fn a_damaged_ledger_is_said_and_left_alone() {
    let scene = Scene::new();
    scene.converge(vec![scene.file("a", "x")]);
    let path = scene.root().join("state/ledger.json");
    let whole = fs::read(&path).unwrap();
    for (bytes, version) in [(&whole[..whole.len() / 2], false), (br#"{"version": 9}"#, true)] {
        fs::write(&path, bytes).unwrap();
        let error = scene.state().read().unwrap_err();
        assert_eq!(matches!(error, LedgerError::Version { found: 9, .. }), version, "{error}");
        assert!(matches!(error, LedgerError::Version { .. } | LedgerError::Malformed { .. }));
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    // A directory of a filesystem that is always full, where one can be had.
    let scene = Scene::new();
    let Some(mount) = FullDisk::below(&scene.at("full")) else { return };
    fs::write(scene.at("full/conf"), "old").unwrap();
    mount.fill();
    let file = scene.file("full/conf", &"new".repeat(100_000));
    let other = scene.file("other", "x");
    let report = scene.run(vec![file.clone(), other]);
    let text = problem(&report, &file.id);
    assert!(text.contains("No space left"), "{text}");
    assert_eq!(scene.read("full/conf"), "old");
    assert_eq!(scene.read("other"), "x");
    let names: Vec<_> = fs::read_dir(scene.at("full"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn without_space_for_the_journal_nothing_is_changed() {
    let scene = Scene::new();
    let state = scene.root().join("state");
    let Some(mount) = FullDisk::below(state.to_str().unwrap()) else { return };
    scene.converge(vec![scene.file("a", "1")]);
    mount.fill();
    let plan = scene.plan(vec![scene.file("a", "2"), scene.file("b", &"x".repeat(100))]);
    let error = scene.try_apply(&plan).unwrap_err();
    assert!(matches!(error, ApplyError::Record(_)), "{error}");
    assert_eq!(scene.read("a"), "1");
    assert!(!scene.exists("b"));
    mount.empty();
    scene.converge(vec![scene.file("a", "2")]);
}

/// A small filesystem in memory, gone with this value.
struct FullDisk {
    path: String,
}

impl FullDisk {
    /// Mounts one, if this process may.
    fn below(path: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let options = c"size=256k,mode=0755";
        let mounted = rustix::mount::mount(
            "tmpfs",
            path,
            "tmpfs",
            rustix::mount::MountFlags::empty(),
            Some(options),
        );
        mounted.is_ok().then(|| Self { path: path.to_owned() })
    }

    fn fill(&self) {
        use std::io::Write as _;
        let mut file = fs::File::create(format!("{}/filler", self.path)).unwrap();
        // To the last byte: a page at a time, then less.
        for size in [4096, 64, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn empty(&self) {
        fs::remove_file(format!("{}/filler", self.path)).unwrap();
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.path, rustix::mount::UnmountFlags::DETACH);
    }
}
