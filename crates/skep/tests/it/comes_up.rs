//! What an agent finds at its start that is not as it left it: it comes up all the same, says what is
//! wrong, serves everybody else, and puts in order what can be.

use std::process::Command;

use api::{AppSummary, Overview};
use testkit::{wait_for, wait_until};

use crate::scene::{PATIENCE, Rest, Scene, TinyApp, get_of_host};

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
