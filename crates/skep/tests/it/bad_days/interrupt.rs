//! Ctrl-C at any step, and clients that are killed.

use api::{AppState, AppSummary};
use testkit::{Output, Program, wait_for};

use crate::scene::{PATIENCE, Rest, Scene, TinyApp, assert_says, wait_for_stderr};

const CTRL_C: i32 = 2;
const KILL: i32 = 9;

/// Starts a deploy whose events are seen as they come, and waits for one that contains this text.
#[track_caller]
fn begin(scene: &Scene, arguments: &[&str], at: &str) -> Program {
    let mut deploy = scene.start(&[arguments, &["--json"]].concat());
    wait_for_event(&mut deploy, at);
    deploy
}

/// Waits until a program that prints events has printed one that contains this text.
#[track_caller]
fn wait_for_event(program: &mut Program, text: &str) {
    wait_for(PATIENCE, &format!("an event with {text:?}"), || {
        if program.stdout().contains(text) {
            return Ok(());
        }
        let said = format!("{}{}", program.stdout(), program.stderr());
        assert!(!program.has_ended(), "it ended without {text:?}:\n{said}");
        Err(said)
    });
}

/// Deploys, presses Ctrl-C at this text, and returns what was said.
#[track_caller]
fn interrupted(scene: &Scene, at: &str) -> Output {
    let mut deploy = begin(scene, &["deploy"], at);
    deploy.signal(CTRL_C);
    deploy.finish(PATIENCE).expect(130)
}

#[test]
fn before_the_switch_ctrl_c_undoes_a_deploy() {
    let good = TinyApp::new("shop");
    let scene = Scene::serving(&good);
    let rest = Rest::with(&scene, &[("shop", 1)]);
    let undone = |output: &Output| {
        assert_says(output, &["cancelled", "v1 serves as before"]);
        scene.get("/").expect(200, "release one");
        rest.wait(&scene);
    };

    good.with_section("[build]\nsteps = [\"echo building; sleep 1000\"]").write(&scene.source);
    undone(&interrupted(&scene, "building"));
    let command = "[release]\ncommand = \"sh -c 'echo migrating; exec sleep 1000'\"";
    good.with_section(command).released("two").write(&scene.source);
    undone(&interrupted(&scene, "sleep 1000"));
    let slow = TinyApp { web: "ready_timeout = \"100s\"".into(), ..good.behaving("slow:go") };
    slow.write(&scene.source);
    undone(&interrupted(&scene, "0 of 1 ready"));
    assert!(!scene.home.home().data("shop").join("data/go").exists());

    // A client that is killed has not said anything: the deploy goes on without it.
    let mut killed = begin(&scene, &["deploy"], "0 of 1 ready");
    killed.signal(KILL);
    assert_eq!(killed.finish(PATIENCE).signal, Some(KILL));
    std::fs::write(scene.home.home().data("shop").join("data/go"), "").unwrap();
    wait_for(PATIENCE, "the release of a deploy without a client", || {
        let number = scene.current("shop");
        if number == Some(4) { Ok(()) } else { Err(format!("{number:?}")) }
    });
    scene.get("/").expect(200, "release slow:go");
    Rest::with(&scene, &[("shop", 4)]);
}

#[test]
fn after_the_switch_ctrl_c_only_detaches() {
    let good = TinyApp::new("shop");
    let scene = Scene::serving(&good);
    let watched = TinyApp { sections: "[deploy]\nwatch = \"100s\"".into(), ..good.released("two") };
    watched.write(&scene.source);
    let mut deploy = scene.start(&["deploy"]);
    wait_for_stderr(&mut deploy, "acknowledged by the proxy");
    deploy.signal(CTRL_C);
    let output = deploy.finish(PATIENCE).expect(130);
    assert_says(&output, &["the deploy goes on", "skep app:watch shop"]);
    scene.get("/").expect(200, "release two");
    // Whoever attaches again sees the rest of it; another deploy does not wait for its watch.
    let watch = begin(&scene, &["app:watch", "shop"], r#""event":"live""#);
    scene.deploy(&good.released("three")).expect(0);
    watch.finish(PATIENCE).expect(0);
    scene.get("/").expect(200, "release three");
    Rest::with(&scene, &[("shop", 3)]);
}

#[test]
fn a_session_ends_with_its_client() {
    let good = TinyApp::new("shop");
    let scene = Scene::new();
    good.write(&scene.source);
    let address = scene.address();
    let up = || {
        let mut up = scene.start(&["up", "--listen", &address]);
        wait_for_stderr(&mut up, "Ctrl-C stops it");
        scene.get("/").expect(200, "release");
        up
    };
    let down = || {
        wait_for(PATIENCE, "the end of the session's app", || {
            let apps: Vec<AppSummary> = scene.json(&["apps"]);
            let rows = scene.processes();
            let is_down = apps[0].state == AppState::Stopped && rows.is_empty();
            if is_down { Ok(()) } else { Err(format!("{apps:?} {rows:?}")) }
        });
    };

    let mut session = up();
    session.signal(CTRL_C);
    let output = session.finish(PATIENCE).expect(0);
    assert_says(&output, &["draining", "kept"]);
    down();

    // Killed, or its terminal closed: the agent does it.
    for signal in [KILL, 1] {
        let mut session = up();
        session.signal(signal);
        assert!(session.finish(PATIENCE).code != Some(0));
        down();
    }

    // Killed while it builds: the build ends with it, and nothing was ever up.
    good.with_section("[build]\nsteps = [\"echo building; sleep 1000\"]").write(&scene.source);
    let mut session = begin(&scene, &["up"], "building");
    session.signal(KILL);
    session.finish(PATIENCE);
    wait_for(PATIENCE, "the end of the build", || {
        let now = Rest::of(&scene);
        let counts = now.counts();
        // Agent and proxy, and the proxy's private directory.
        if counts[0] == 0 && counts[1] == 2 && counts[3] == 0 { Ok(()) } else { Err(now) }
    });
    down();

    // A session whose deploy fails takes nothing with it that served before.
    good.write(&scene.source);
    scene.run(&["up", "--detach"]).expect(0);
    let number = scene.current("shop").unwrap();
    let rest = Rest::with(&scene, &[("shop", number)]);
    good.behaving("exits:3").write(&scene.source);
    let output = scene.run(&["up"]).expect(1);
    assert_says(&output, &["never became ready", "still serves"]);
    rest.wait(&scene);
    scene.get("/").expect(200, "release one");
}

#[test]
fn the_newest_waiting_deploy_replaces_older_ones() {
    let good = TinyApp::new("shop");
    let scene = Scene::serving(&good);
    let slow = TinyApp { web: "ready_timeout = \"100s\"".into(), ..good.behaving("slow:go") };
    let begin = |app: &TinyApp, at: &str| {
        app.write(&scene.source);
        begin(&scene, &["deploy"], at)
    };
    let first = begin(&slow, "0 of 1 ready");
    let second = begin(&good.released("second"), "behind");
    let third = begin(&good.released("third"), "behind");
    let output = second.finish(PATIENCE).expect(6);
    assert_says(&output, &["newer deploy of this app took its place"]);
    std::fs::write(scene.home.home().data("shop").join("data/go"), "").unwrap();
    first.finish(PATIENCE).expect(0);
    third.finish(PATIENCE).expect(0);
    scene.get("/").expect(200, "release third");
    Rest::with(&scene, &[("shop", 3)]);

    // One that waits can be called back.
    std::fs::remove_file(scene.home.home().data("shop").join("data/go")).unwrap();
    let mut first = begin(&slow.released("again"), "0 of 1 ready");
    let mut second = begin(&good.released("fourth"), "behind");
    second.signal(CTRL_C);
    assert_says(&second.finish(PATIENCE).expect(130), &["cancelled before it began"]);
    first.signal(CTRL_C);
    first.finish(PATIENCE).expect(130);
    scene.get("/").expect(200, "release third");
    Rest::with(&scene, &[("shop", 3)]);
}
