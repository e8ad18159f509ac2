//! What an agent finds at its start that is not as it left it: it comes up all the same, says what is
//! wrong, serves everybody else, and puts in order what can be.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use api::{AppSummary, Overview};
use testkit::{wait_for, wait_until};

use rustix::process::{Pid, Signal, kill_process};

use crate::scene::{PATIENCE, Rest, Scene, TinyApp, assert_says, get_of_host};

/// Changes the store as nobody of Skep does. No agent may run.
#[track_caller]
fn damage(scene: &Scene, statement: &str) {
    const CODE: &str = "import sqlite3, sys\n\
                        store = sqlite3.connect(sys.argv[1])\n\
                        assert store.execute(sys.argv[2]).rowcount == 1\n\
                        store.commit()\n\
                        store.close()";
    let store = scene.home.home().store();
    let python = Command::new("python3").args(["-c", CODE]).arg(store).arg(statement).output();
    let python = python.unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
}

#[track_caller]
fn wait_for_problems(scene: &Scene, is_so: impl Fn(&[String]) -> bool) {
    wait_for(PATIENCE, "the agent's word on what is wrong", || {
        let problems = scene.json::<Overview>(&["agent:status"]).problems;
        if is_so(&problems) { Ok(()) } else { Err(format!("{problems:?}")) }
    });
}

#[test]
fn a_proxy_that_cannot_be_started_is_tried_again() {
    let scene = Scene::serving(&TinyApp::new("shop"));
    scene.run(&["agent:stop", "--all"]).expect(0);
    // No shim can be started there.
    let shim = scene.home.home().shim("skep.proxy");
    std::fs::remove_dir_all(&shim).unwrap();
    std::fs::write(&shim, "").unwrap();
    scene.run(&["agent:start"]).expect(0);
    let about_proxy = |text: &String| text.contains("the proxy could not be started");
    wait_for_problems(&scene, |problems| problems.iter().any(about_proxy));
    // Whatever needs no routes works.
    let apps: Vec<AppSummary> = scene.json(&["apps"]);
    assert_eq!(apps[0].release, Some(1), "{apps:?}");

    std::fs::remove_file(&shim).unwrap();
    wait_for_problems(&scene, <[String]>::is_empty);
    scene.get("/").expect(200, "release one");
    Rest::with(&scene, &[("shop", 1)]);
}

#[test]
fn an_app_that_cannot_be_read_is_named_and_left_alone() {
    let shop = TinyApp::new("shop").with_web("hosts = [\"shop.localhost\"]");
    let scene = Scene::serving(&shop);
    let directory = scene.home.directory("blog");
    TinyApp::new("blog").with_web("hosts = [\"blog.localhost\"]").write(&directory);
    let skep = scene.home.skep().in_directory(&directory);
    skep.run(["up", "--detach", "--listen", &scene.address()]).expect(0);
    let before: Vec<_> = scene.processes().into_iter().map(|row| row.pid).collect();

    scene.run(&["agent:stop"]).expect(0);
    let release = "WHERE key = 'apps/shop/releases/0000000001'";
    damage(
        &scene,
        &format!("UPDATE entry SET value = CAST('?' || CAST(value AS TEXT) AS BLOB) {release}"),
    );
    scene.run(&["agent:start"]).expect(0);
    let named = |text: &String| text.contains("shop is not routed to");
    wait_for_problems(&scene, |problems| problems.iter().any(named));
    get_of_host(scene.port.address(), "blog.localhost", "/").expect(200, "release one");
    let apps: Vec<AppSummary> = scene.json(&["apps"]);
    assert_eq!(apps.len(), 2, "{apps:?}");
    let after: Vec<_> = scene.processes().into_iter().map(|row| row.pid).collect();
    assert_eq!(after, before, "nothing was ended or started");

    scene.run(&["agent:stop"]).expect(0);
    damage(&scene, &format!("UPDATE entry SET value = substr(value, 2) {release}"));
    scene.run(&["agent:start"]).expect(0);
    wait_for_problems(&scene, <[String]>::is_empty);
    get_of_host(scene.port.address(), "shop.localhost", "/").expect(200, "release one");
    Rest::with(&scene, &[("shop", 1), ("blog", 1)]);
}

#[test]
fn what_runs_of_an_app_that_is_no_more_is_ended() {
    let scene = Scene::serving(&TinyApp::new("shop"));
    scene.run(&["agent:stop"]).expect(0);
    damage(&scene, "DELETE FROM entry WHERE key = 'app-records/shop'");
    scene.run(&["agent:start"]).expect(0);
    wait_until(PATIENCE, "the end of what nobody wants", || {
        let left = scene.home.processes();
        let is_of_app =
            |command: &str| command.contains("tiny.py") || command.contains("--service shop/");
        (!left.iter().any(|process| is_of_app(&process.command))).then_some(())
    });
    wait_for_problems(&scene, <[String]>::is_empty);
}

/// Removes everything in a directory.
fn empty(directory: &Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => std::fs::remove_dir_all(path).unwrap(),
            false => std::fs::remove_file(path).unwrap(),
        }
    }
}

/// Returns the only process of the installation that runs this.
#[track_caller]
fn process(scene: &Scene, command: &str) -> Pid {
    let found = scene.home.processes().into_iter().filter(|found| found.command.contains(command));
    let pids: Vec<u32> = found.map(|found| found.pid).collect();
    assert_eq!(pids.len(), 1, "{command}: {pids:?}");
    Pid::from_raw(i32::try_from(pids[0]).unwrap()).unwrap()
}

/// Asks until the app answers with this text.
#[track_caller]
fn wait_for_answer(scene: &Scene, text: &str) {
    wait_for(RECOVERS_WITHIN, "an answer", || {
        let answer = scene.get("/");
        if answer.text.contains(text) { Ok(()) } else { Err(answer.text) }
    });
}

/// How long an agent may take to put everything in order that nobody can reach: what it waits for in
/// vain, and what is started anew then.
const RECOVERS_WITHIN: Duration = Duration::from_secs(90);

#[test]
fn what_somebody_removed_below_run_is_made_again() {
    let shop = TinyApp::new("shop");
    let scene = Scene::serving(&shop);
    let proxy = process(&scene, " proxy --home ");
    empty(&scene.home.home().run());
    kill_process(process(&scene, " agent:run"), Signal::KILL).unwrap();
    // No command is needed for what serves.
    wait_for(RECOVERS_WITHIN, "another proxy alone", || {
        let found = scene.home.processes().into_iter();
        let pids: Vec<u32> = found
            .filter(|found| found.command.contains(" proxy --home "))
            .map(|found| found.pid)
            .collect();
        let old = u32::try_from(proxy.as_raw_nonzero().get()).unwrap();
        if pids.len() == 1 && pids[0] != old { Ok(()) } else { Err(format!("{pids:?}")) }
    });
    wait_for_answer(&scene, "release one");

    assert_says(&scene.run(&["doctor"]), &["api.sock` is gone", "skep agent:start"]);
    scene.run(&["agent:start"]).expect(0);
    wait_for_problems(&scene, <[String]>::is_empty);
    scene.deploy(&shop.released("two")).expect(0);
    scene.get("/").expect(200, "release two");
    Rest::with(&scene, &[("shop", 2)]);
}

#[test]
fn everything_that_was_removed_below_run_comes_back_with_all() {
    let scene = Scene::serving(&TinyApp::new("shop"));
    empty(&scene.home.home().run());
    // The agent that this starts anew may still wait for the proxy that nobody can reach.
    wait_for(RECOVERS_WITHIN, "a stop of everything", || {
        let stopped = scene.run(&["agent:stop", "--all"]);
        if stopped.code == Some(0) { Ok(()) } else { Err(stopped.to_string()) }
    });
    scene.run(&["ps"]).expect(0);
    wait_for_answer(&scene, "release one");
    Rest::with(&scene, &[("shop", 1)]);
}

#[test]
fn a_stop_of_everything_that_fails_is_taken_back() {
    let scene = Scene::serving(&TinyApp::new("shop"));
    // It acknowledges nothing.
    let proxy = process(&scene, " proxy --home ");
    kill_process(proxy, Signal::STOP).unwrap();
    let stopped = scene.run(&["agent:stop", "--all"]);
    kill_process(proxy, Signal::CONT).unwrap();
    assert_ne!(stopped.code, Some(0), "{stopped}");
    assert_says(&stopped, &["has not acknowledged"]);
    wait_for_answer(&scene, "release one");
    wait_for_problems(&scene, <[String]>::is_empty);
    Rest::with(&scene, &[("shop", 1)]);
}
