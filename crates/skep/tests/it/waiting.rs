//! What the agent was asked for and has not done yet when it is killed with -9: requests that wait
//! behind a deploy, what their callers gave along, foreground sessions.

use std::path::Path;

use api::{AppState, AppSummary};
use testkit::{Program, wait_for, wait_until};

use crate::scene::{PATIENCE, Rest, Scene, TinyApp, assert_says, is_root, wait_for_stderr};

const CTRL_C: i32 = 2;
const KILL: i32 = 9;

/// Starts a command that prints events and waits for one that contains this text.
#[track_caller]
fn begin(scene: &Scene, arguments: &[&str], at: &str) -> Program {
    let mut program = scene.start(&[arguments, &["--json"]].concat());
    wait_for(PATIENCE, &format!("an event with {at:?}"), || {
        if program.stdout().contains(at) {
            return Ok(());
        }
        let said = format!("{}{}", program.stdout(), program.stderr());
        assert!(!program.has_ended(), "it ended without {at:?}:\n{said}");
        Err(said)
    });
    program
}

/// Kills the agent and waits until its shim has started another one.
#[track_caller]
fn kill_the_agent(scene: &Scene) {
    let agent = || {
        let mut found = scene.home.processes();
        found.retain(|process| process.command.ends_with(" agent:run"));
        found.pop()
    };
    let old = wait_until(PATIENCE, "the agent's process", agent);
    old.kill();
    wait_until(PATIENCE, "another agent", || agent().filter(|new| new.pid != old.pid));
}

/// Lets slots of a release that behaves as `slow:go` get ready.
fn go(scene: &Scene) {
    std::fs::write(scene.home.home().data("shop").join("data/go"), "").unwrap();
}

fn slow(app: &TinyApp) -> TinyApp {
    TinyApp { web: "ready_timeout = \"100s\"".into(), ..app.behaving("slow:go") }
}

#[track_caller]
fn wait_for_down(scene: &Scene) {
    wait_for(PATIENCE, "an app that is down", || {
        let apps: Vec<AppSummary> = scene.json(&["apps"]);
        let rows = scene.processes();
        let is_down = apps.iter().all(|app| app.state == AppState::Stopped) && rows.is_empty();
        if is_down { Ok(()) } else { Err(format!("{apps:?} {rows:?}")) }
    });
}

#[test]
fn requests_that_wait_outlive_the_agent() {
    let good = TinyApp::new("shop");
    let scene = Scene::serving(&good);
    slow(&good).write(&scene.source);
    let first = begin(&scene, &["deploy"], "0 of 1 ready");
    good.released("second").write(&scene.source);
    let second = begin(&scene, &["deploy"], "behind");
    let restart = begin(&scene, &["restart", "shop"], "behind");
    kill_the_agent(&scene);
    // It replaces one that another agent had taken on, and waits behind a deploy that goes on.
    good.released("third").write(&scene.source);
    let third = begin(&scene, &["deploy"], r#""step":"queue""#);
    assert_says(&second.finish(PATIENCE).expect(6), &["newer deploy of this app took its place"]);
    kill_the_agent(&scene);
    let plan = scene.run(&["app:remove", "shop", "--plan"]).expect(2);
    assert_says(&plan, &["cancel 2 requests that wait"]);
    go(&scene);
    first.finish(PATIENCE).expect(0);
    restart.finish(PATIENCE).expect(0);
    third.finish(PATIENCE).expect(0);
    scene.get("/").expect(200, "release third");
    Rest::with(&scene, &[("shop", 3)]);
}

#[test]
fn a_waiting_request_can_be_called_back_from_the_next_agent() {
    let good = TinyApp::new("shop");
    let scene = Scene::serving(&good);
    slow(&good).write(&scene.source);
    let mut first = begin(&scene, &["deploy"], "0 of 1 ready");
    let mut second = begin(&scene, &["deploy", "--force"], "behind");
    kill_the_agent(&scene);
    wait_until(PATIENCE, "a client that is attached again", || {
        second.stdout().contains("the agent was restarted while this waited").then_some(())
    });
    second.signal(CTRL_C);
    assert_says(&second.finish(PATIENCE).expect(130), &["cancelled before it began"]);
    // Nobody begins it any more, the agent after the next one neither.
    let goes_on = |first: &Program, times: usize| {
        wait_until(PATIENCE, "a client of a deploy that goes on", || {
            (first.stdout().matches("it goes on where it was").count() == times).then_some(())
        });
    };
    goes_on(&first, 1);
    kill_the_agent(&scene);
    goes_on(&first, 2);
    first.signal(CTRL_C);
    first.finish(PATIENCE).expect(130);
    scene.get("/").expect(200, "release one");
    Rest::with(&scene, &[("shop", 1)]);
}

/// The first deploy of an app has no app to belong to yet. It is built again, with what its caller
/// gave along; nothing of that can be read in the store.
#[test]
fn a_first_build_is_built_again_with_its_callers_variables() {
    const INDEX: &str = "http://anna:s3cret@127.0.0.1:9/simple";
    let flags = tempfile::tempdir().unwrap();
    let flag = flags.path().join("go");
    let scene = Scene::new();
    let step = format!(
        "sh -c 'echo building; while [ ! -e {} ]; do sleep 0.05; done; \
         printf %s \"$PIP_INDEX_URL\" > index.txt'",
        flag.display()
    );
    std::fs::set_permissions(flags.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let built = TinyApp::new("shop").with_section(&format!("[build]\nsteps = [{step:?}]"));
    built.write(&scene.source);
    let up = scene.skep().with("PIP_INDEX_URL", INDEX).start([
        "up",
        "--detach",
        "--listen",
        &scene.address(),
        "--json",
    ]);
    let builds = |times: usize| {
        wait_until(PATIENCE, "a build that is going on", || {
            (up.stdout().matches("\"building\"").count() == times).then_some(())
        });
    };
    builds(1);
    for secret in ["s3cret", "PIP_INDEX_URL"] {
        assert!(!is_in_store(&scene, secret), "{secret} can be read in the store");
    }
    kill_the_agent(&scene);
    builds(2);
    std::fs::write(&flag, "").unwrap();
    up.finish(PATIENCE).expect(0);
    let index = scene.home.home().app("shop").join("current").canonicalize().unwrap();
    let index = [index.join("index.txt"), index.join("code/index.txt")];
    let built = index.iter().find_map(|path| std::fs::read_to_string(path).ok());
    assert_eq!(built.as_deref(), Some(INDEX));
    assert!(!is_in_store(&scene, "s3cret"));
    scene.get("/").expect(200, "release one");
}

/// An app whose first release is being built has no record yet, and is no less going on.
#[test]
fn not_everything_is_stopped_while_a_first_build_is_going_on() {
    let flags = tempfile::tempdir().unwrap();
    let flag = flags.path().join("go");
    std::fs::set_permissions(flags.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let scene = Scene::new();
    let step =
        format!("sh -c 'echo building; while [ ! -e {} ]; do sleep 0.05; done'", flag.display());
    let built = TinyApp::new("shop").with_section(&format!("[build]\nsteps = [{step:?}]"));
    built.write(&scene.source);
    let up = begin(&scene, &["up", "--detach", "--listen", &scene.address()], "building");
    let refused = scene.run(&["agent:stop", "--all"]).expect(6);
    assert_says(&refused, &["deploy d1 of shop is going on", "wait for its end"]);
    std::fs::write(&flag, "").unwrap();
    up.finish(PATIENCE).expect(0);
    scene.get("/").expect(200, "release one");
    // What was refused has left nothing held.
    scene.run(&["restart", "shop"]).expect(0);
    Rest::with(&scene, &[("shop", 1)]);
}

/// Returns whether a text is in the store's file or in its log.
fn is_in_store(scene: &Scene, text: &str) -> bool {
    let store = scene.home.home().store();
    let log = format!("{}-wal", store.display());
    [store.as_path(), Path::new(&log)].iter().any(|path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

/// Serves the app in the foreground.
#[track_caller]
fn session(scene: &Scene) -> Program {
    let mut up = scene.start(&["up", "--listen", &scene.address()]);
    wait_for_stderr(&mut up, "Ctrl-C stops it");
    up
}

#[test]
fn a_session_is_held_again_after_the_agents_death() {
    let good = TinyApp::new("shop");
    let scene = Scene::new();
    good.write(&scene.source);
    let mut up = session(&scene);
    for times in 1..=2 {
        kill_the_agent(&scene);
        wait_for(PATIENCE, "a client that holds its session again", || {
            let said = up.stderr();
            let held = said.matches("the session goes on").count() == times;
            if held { Ok(()) } else { Err(said) }
        });
    }
    scene.get("/").expect(200, "release one");
    up.signal(CTRL_C);
    assert_says(&up.finish(PATIENCE).expect(0), &["draining", "kept"]);
    wait_for_down(&scene);

    // Killed while it builds: held again, and still the session's when it serves.
    let flags = tempfile::tempdir().unwrap();
    std::fs::set_permissions(flags.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let flag = flags.path().join("go");
    let step =
        format!("sh -c 'echo building; while [ ! -e {} ]; do sleep 0.05; done'", flag.display());
    good.with_section(&format!("[build]\nsteps = [{step:?}]")).write(&scene.source);
    let mut up = begin(&scene, &["up"], "building");
    kill_the_agent(&scene);
    std::fs::write(&flag, "").unwrap();
    wait_until(PATIENCE, "a session that serves", || {
        up.stdout().contains(r#""event":"live""#).then_some(())
    });
    up.signal(KILL);
    up.finish(PATIENCE);
    wait_for_down(&scene);
}

/// The session's release serves and its deploy is not over: the app is the session's all the same.
#[test]
fn a_session_may_end_while_its_release_is_watched() {
    let good = TinyApp::new("shop");
    let scene = Scene::serving(&good);
    let watched = TinyApp { sections: "[deploy]\nwatch = \"100s\"".into(), ..good.released("two") };
    watched.write(&scene.source);
    let mut up = session(&scene);
    kill_the_agent(&scene);
    wait_for_stderr(&mut up, "the session goes on");
    up.signal(CTRL_C);
    assert_says(&up.finish(PATIENCE).expect(0), &["draining", "kept"]);
    wait_for_down(&scene);
}

#[test]
fn a_session_that_nobody_holds_again_is_ended_by_the_next_agent() {
    let good = TinyApp::new("shop");
    let scene = Scene::new();
    good.write(&scene.source);
    let mut up = session(&scene);
    // First the client: else it would be there again.
    up.signal(rustix::process::Signal::STOP.as_raw());
    kill_the_agent(&scene);
    up.signal(KILL);
    assert_eq!(up.finish(PATIENCE).signal, Some(KILL));
    wait_for_down(&scene);
    // Whoever starts it now wants it to stay.
    scene.run(&["start", "shop"]).expect(0);
    kill_the_agent(&scene);
    scene.get("/").expect(200, "release one");
    let apps: Vec<AppSummary> = scene.json(&["apps"]);
    assert_eq!(apps[0].state, AppState::Running);
}

#[test]
fn whoever_deploys_it_makes_a_sessions_app_permanent() {
    let good = TinyApp::new("shop");
    let scene = Scene::new();
    good.write(&scene.source);
    let stays = |times: usize| {
        wait_until(PATIENCE, "the agent's word on the session", || {
            let said = scene.run(&["logs", "skep/agent", "-n", "1000"]);
            (said.stdout.matches("what serves is not the session's").count() == times).then_some(())
        });
        scene.get("/").expect(200, "release");
    };
    let mut up = session(&scene);
    // There is nothing to build, and yet it is somebody's wish.
    assert_says(&scene.run(&["deploy"]).expect(0), &["no change"]);
    up.signal(KILL);
    up.finish(PATIENCE);
    stays(1);

    good.released("two").write(&scene.source);
    let mut up = session(&scene);
    scene.deploy(&good.released("three")).expect(0);
    up.signal(CTRL_C);
    assert_says(&up.finish(PATIENCE).expect(0), &["not this session's any more"]);
    stays(2);

    good.released("four").write(&scene.source);
    let up = session(&scene);
    scene.deploy(&good.released("five")).expect(0);
    kill_the_agent(&scene);
    assert_says(&up.finish(PATIENCE).expect(6), &["nothing that runs belongs to it"]);
    scene.get("/").expect(200, "release five");
}

#[test]
fn a_reboot_ends_sessions_and_no_request_that_waits() {
    if !is_root() {
        // Laying a file over the kernel's boot id takes root.
        return;
    }
    let good = TinyApp::new("shop");
    let mut scene = Scene::new();
    good.write(&scene.source);
    let up = session(&scene);
    scene.home.reboot();
    drop(up);
    scene.run(&["agent:start"]).expect(0);
    wait_for_down(&scene);
    scene.run(&["start", "shop"]).expect(0);
    scene.get("/").expect(200, "release one");

    slow(&good).write(&scene.source);
    let first = begin(&scene, &["deploy"], "0 of 1 ready");
    good.released("second").write(&scene.source);
    let second = begin(&scene, &["deploy"], "behind");
    scene.home.reboot();
    drop((first, second));
    scene.run(&["agent:start"]).expect(0);
    wait_for(PATIENCE, "the release of a deploy that waited", || {
        let number = scene.current("shop");
        if number == Some(3) { Ok(()) } else { Err(format!("{number:?}")) }
    });
    scene.get("/").expect(200, "release second");
    Rest::with(&scene, &[("shop", 3)]);
}

#[test]
fn removing_an_app_cancels_what_is_asked_of_it() {
    let good = TinyApp::new("shop");
    let scene = Scene::serving(&good);
    slow(&good).write(&scene.source);
    let first = begin(&scene, &["deploy"], "0 of 1 ready");
    let second = begin(&scene, &["restart", "shop"], "behind");
    scene.run(&["app:remove", "shop", "--yes"]).expect(0);
    assert_says(&first.finish(PATIENCE).expect(130), &["cancelled"]);
    assert_says(&second.finish(PATIENCE).expect(130), &["cancelled before it began"]);
    assert_eq!(scene.processes().len(), 0);
    let apps: Vec<AppSummary> = scene.json(&["apps"]);
    assert!(apps.is_empty(), "{apps:?}");
    // An agent that comes later finds nothing of it, and a new app of the name begins afresh.
    kill_the_agent(&scene);
    good.released("new").write(&scene.source);
    scene.up();
    scene.get("/").expect(200, "release new");
    Rest::with(&scene, &[("shop", 1)]);
}
