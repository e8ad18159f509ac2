//! Homes that leave nothing behind.

use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{TempHome, wait_for, wait_until};

fn sleeper(home: &TempHome) -> std::process::Child {
    // Ignores what asks nicely, and has a child that names the home only in its environment.
    Command::new("sh")
        .args(["-c", "trap '' TERM; sleep 1000 & wait; wait"])
        .env("SKEP_HOME", home.home().root())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_home_is_reachable_by_others_and_gone_when_it_is_dropped() {
    let home = TempHome::bare();
    let directory = home.directory("source");
    let root = directory.parent().unwrap().to_owned();
    assert_eq!(root.metadata().unwrap().mode() & 0o777, 0o711);
    assert_eq!(directory.metadata().unwrap().mode() & 0o777, 0o755);
    assert!(home.home().root().starts_with(&root));
    let other = TempHome::bare();
    assert_ne!(home.path(""), other.path(""));
    drop(home);
    assert!(!root.exists());
    assert!(other.path("").exists());
}

#[test]
fn only_processes_of_the_home_are_killed_with_it() {
    let (home, other) = (TempHome::bare(), TempHome::bare());
    let mut inside = sleeper(&home);
    let mut outside = sleeper(&other);
    for home in [&home, &other] {
        wait_until(Duration::from_secs(30), "the shell and its child", || {
            (home.processes().len() == 2).then_some(())
        });
    }
    drop(home);
    let status = inside.wait().unwrap();
    assert!(!status.success());
    assert!(outside.try_wait().unwrap().is_none(), "a stranger was killed");
    assert_eq!(other.processes().len(), 2);
    drop(other);
    outside.wait().unwrap();
}

#[test]
fn a_wait_that_ends_says_what_it_waited_for_and_what_it_saw() {
    let waiting = || wait_for(Duration::from_millis(20), "the moon", || Err::<(), _>("clouds"));
    let panic = std::panic::catch_unwind(waiting).unwrap_err();
    let text = panic.downcast::<String>().unwrap();
    assert!(text.contains("the moon") && text.contains("clouds"), "{text}");
}
