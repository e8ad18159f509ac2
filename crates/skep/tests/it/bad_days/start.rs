//! Releases that never become ready, or that do not end.

use testkit::apps::{LedgerApp, StartUp};
use testkit::{Output, wait_for};

use crate::scene::{PATIENCE, Rest, Scene, TinyApp, assert_says};
use crate::support::port::Port;

/// Deploys a release that cannot become ready, and returns what was said.
#[track_caller]
fn fails(scene: &Scene, rest: &Rest, app: &TinyApp) -> Output {
    let output = scene.deploy(app).expect(1);
    assert_says(&output, &["never became ready", "v1 still serves", "next"]);
    scene.assert_newest_failed("shop");
    scene.get("/").expect(200, "release one");
    rest.wait(scene);
    output
}

#[test]
fn what_never_gets_ready_never_serves() {
    let good = TinyApp::new("shop");
    let scene = Scene::serving(&good);
    let rest = Rest::with(&scene, &[("shop", 1)]);
    let quick =
        TinyApp { web: "ready_timeout = \"2s\"\nstop_grace = \"1s\"".into(), ..good.clone() };

    // Where, why, and the command to type.
    let output = fails(&scene, &rest, &good.behaving("raises"));
    assert_says(&output, &["KeyError: 'STRIPE_KEY' at tiny.py:", "exit 1", "4 starts"]);
    assert_says(&output, &["skep env:set shop STRIPE_KEY", "not set for shop"]);
    let output = fails(&scene, &rest, &good.behaving("exits:3"));
    assert_says(&output, &["web.0: exit 3", "this cannot work", "skep logs shop/web --release v"]);
    let output = fails(&scene, &rest, &quick.behaving("silent"));
    assert_says(&output, &["not ready after 2 s", "GET / (Host localhost)", "nothing listens"]);
    let elsewhere = Port::take();
    let port = elsewhere.address().port();
    let output = fails(&scene, &rest, &quick.behaving(&format!("elsewhere:{port}")));
    assert_says(&output, &[&format!("port {port}, not on $PORT"), "listen = \"tcp:PORT\""]);
    let output = fails(&scene, &rest, &quick.behaving("answers:500"));
    assert_says(&output, &["500", "fails"]);

    // A health path wants 2xx, and says by name what is in the way.
    let health = quick.with_web("health = \"/health\"\nhosts = [\"shop.example.com\"]");
    for (behaviour, says) in [
        ("answers:500", &["500", "fails"][..]),
        ("answers:302 https://shop.example.com/health", &["302", "https", "X-Forwarded-Proto"]),
        ("answers:301 /login", &["301", "redirects to /login"]),
        ("answers:400", &["400", "ALLOWED_HOSTS", "shop.example.com"]),
        ("answers:404", &["404", "no such path"]),
    ] {
        let output = fails(&scene, &rest, &health.behaving(behaviour));
        assert_says(&output, says);
        assert_says(&output, &["GET /health (Host shop.example.com)"]);
    }

    // Only data is the app's to write.
    let output = fails(&scene, &rest, &good.behaving("writes"));
    assert_says(&output, &["cache.txt", "data = [", "tiny.py:"]);

    // Nothing that it forked away stays.
    let forks = TinyApp { release: "forks".into(), ..quick.behaving("double-forks") };
    forks.with_web("health = \"/health\"").write(&scene.source);
    std::fs::write(scene.source.join("tiny.py"), code_with("sys.exit(9)")).unwrap();
    let output = scene.run(&["deploy"]).expect(1);
    assert_says(&output, &["exit 9", "v1 still serves"]);
    rest.wait(&scene);

    // A program that is not there.
    good.write(&scene.source);
    let file = scene.source.join("skep.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("python3 tiny.py", "no-such-program tiny.py")).unwrap();
    let output = scene.run(&["deploy"]).expect(1);
    assert_says(&output, &["no-such-program"]);
    rest.wait(&scene);
}

/// Returns the app's code with this in place of serving.
fn code_with(end: &str) -> String {
    include_str!("../scene/tiny.py").replace("server.serve_forever()", end)
}

/// The same with a real server, whose workers fail in their own way.
#[test]
fn a_worker_that_raises_is_explained() {
    let scene = Scene::new();
    let mut app = LedgerApp {
        web_settings: "ready_timeout = \"20s\"\n[deploy]\nwatch = \"0s\"".into(),
        ..LedgerApp::new("shop")
    };
    app.write(&scene.source);
    scene.up();
    scene.get("/").expect(200, "release one");
    let rest = wait_for(PATIENCE, "agent, proxy, gunicorn's master and both its workers", || {
        let now = Rest::with(&scene, &[("shop", 1)]);
        if now.counts()[1] == 5 { Ok(now) } else { Err(now) }
    });
    app.release = "two".into();
    app.start_up = StartUp::Raises;
    app.write(&scene.source);
    let output = scene.run(&["deploy"]).expect(1);
    assert_says(&output, &["KeyError: 'STRIPE_KEY' at numbered.py:", "4 starts"]);
    assert_says(&output, &["skep env:set shop STRIPE_KEY", "v1 still serves"]);
    rest.wait(&scene);

    // A variable is a release through the same gate: a bad value never replaces a good one.
    let output = scene.run(&["env:set", "LEDGER_START=raises"]).expect(1);
    assert_says(&output, &["never became ready", "v1 still serves"]);
    rest.wait(&scene);
    scene.get("/").expect(200, "release one");
    let listed = scene.run(&["env:list", "--reveal"]).expect(0);
    assert!(!listed.stdout.contains("raises"), "a value that failed is not kept: {listed}");
}

#[test]
fn what_does_not_end_is_ended_and_what_crashes_is_swapped_back() {
    let good = TinyApp::new("shop");
    let stubborn = TinyApp { web: "stop_grace = \"1s\"".into(), ..good.behaving("stubborn") };
    let scene = Scene::serving(&stubborn);

    // Ignores SIGTERM: replaced, killed at the end of its grace.
    let forks = TinyApp { web: "stop_grace = \"1s\"".into(), ..good.behaving("double-forks") };
    scene.deploy(&forks).expect(0);
    Rest::with(&scene, &[("shop", 2)]);

    // Left its session and ignores SIGTERM: the whole tree goes with its slot.
    let stray = scene.home.home().data("shop").join("data/stray");
    let stray: u32 = wait_for(PATIENCE, "the stray's id", || {
        std::fs::read_to_string(&stray).unwrap_or_default().trim().parse()
    });
    assert!(is_alive(stray));
    scene.deploy(&good).expect(0);
    let rest = Rest::with(&scene, &[("shop", 3)]);
    assert!(!is_alive(stray), "a process of v2 has outlived it");

    // Ready, and down a moment later, again and again: the old release comes back.
    let watched = TinyApp { sections: "[deploy]\nwatch = \"20s\"".into(), ..good.clone() };
    let output = scene.deploy(&watched.behaving("crashes:150")).expect(1);
    assert_says(&output, &["v4 was swapped back", "crash loop", "v3 serves again"]);
    scene.get("/").expect(200, "release one");
    scene.assert_newest_failed("shop");
    rest.wait(&scene);
}

fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}
