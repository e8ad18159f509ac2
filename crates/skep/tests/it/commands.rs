//! Every command, used as it is meant to be used, against a real agent.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use api::{
    AppState, AppSummary, DeployEvent, EnvExplain, EnvLayer, EnvList, LogLine, LogStream, Overview,
    PlanReply, ReleaseState, Removal, ScaleReply, SlotPhase, StepName, StepState,
};
use testkit::{Output, Program, wait_for};

use crate::scene::{
    PATIENCE, Rest, Scene, TinyApp, assert_says, get, get_of_host, is_root, wait_for_stderr,
};
use crate::support::port::Port;

/// An app with two services and variables of every kind.
fn shop() -> TinyApp {
    let app = TinyApp::new("shop").with_section(
        "[env]\nGREETING = \"hello\"\nTOKEN = { secret = true, value = \"from-file\" }\n\
         KEY = { generate = 16 }\n\n\
         [services.queue]\ncommand = \"python3 -u -c 'import os, time; \
         print(\\\"queue of\\\", os.environ[\\\"SKEP_RELEASE\\\"]); time.sleep(100000)'\"\n\
         ready = \"100ms\"",
    );
    TinyApp { release: "first".into(), ..app }
}

#[test]
fn releases_come_and_go_back() {
    let scene = Scene::new();
    shop().write(&scene.source);

    // Nothing is there yet, and nothing is started by asking.
    let plan = scene.run(&["deploy", "--plan"]).expect(2);
    assert_says(&plan, &["would change"]);
    let apps: Vec<AppSummary> = scene.json(&["apps"]);
    assert!(apps.is_empty(), "{apps:?}");

    let up = scene.up();
    assert_says(&up, &["live after", &scene.address()]);
    scene.get("/").expect(200, "release first");
    assert_eq!(scene.current("shop"), Some(1));

    // No change is known before anything is built.
    scene.run(&["deploy", "--plan"]).expect(0);
    let plan: PlanReply = scene.json(&["deploy", "--plan"]);
    assert!(!plan.changes && plan.from == Some(1), "{plan:?}");
    let nothing = scene.run(&["deploy"]).expect(0);
    assert_says(&nothing, &["no change since v1"]);
    assert_eq!(scene.releases("shop").len(), 1);

    shop().released("second").write(&scene.source);
    let output = scene.run(&["deploy", "--plan", "--json"]).expect(2);
    let plan: PlanReply = serde_json::from_str(&output.stdout).unwrap();
    assert!(plan.changes && !plan.lines.is_empty(), "{plan:?}");
    assert_eq!(scene.releases("shop").len(), 1, "a plan makes no release");

    // As JSON: one event a line, the first and the last are known.
    let events = events(&scene.run(&["deploy", "--json"]).expect(0));
    assert!(matches!(&events[0], DeployEvent::Begun { deploy } if deploy.app == "shop"));
    let live = events.iter().find_map(|event| match event {
        DeployEvent::Live(live) => Some(live),
        _ => None,
    });
    assert_eq!(live.unwrap().undo.as_deref(), Some("skep rollback shop"));
    match events.last().unwrap() {
        DeployEvent::Ended { deploy, failure: None } => assert_eq!(deploy.to, Some(2)),
        other => panic!("{other:?}"),
    }
    scene.get("/").expect(200, "release second");

    let back = scene.run(&["rollback"]).expect(0);
    assert_says(&back, &["undo: skep rollback shop --to v2"]);
    scene.get("/").expect(200, "release first");
    scene.run(&["rollback", "--to", "v2"]).expect(0);
    scene.get("/").expect(200, "release second");

    let releases = scene.releases("shop");
    let kinds: Vec<&str> = releases.iter().map(|release| release.kind.as_str()).collect();
    assert_eq!(kinds, ["rollback to v2", "rollback to v1", "deploy", "deploy"]);
    let states: Vec<ReleaseState> = releases.iter().map(|release| release.state).collect();
    use ReleaseState::{Current, Good};
    assert_eq!(states, [Current, Good, Good, Good]);
    assert!(releases[2].changed.contains(&"code".to_owned()), "{:?}", releases[2]);
    assert!(releases.iter().all(|release| release.kept && !release.who.is_empty()));
    assert_says(&scene.run(&["releases"]).expect(0), &["v4", "rollback to v2", "current"]);

    // A release that is not there, and one that is no number.
    assert_says(&scene.run(&["rollback", "--to", "v99"]).expect(64), &["no release v99"]);
    scene.run(&["rollback", "--to", "newest"]).expect(64);
    Rest::with(&scene, &[("shop", 4)]);
}

#[test]
fn a_rollback_does_not_wait_for_workers_to_stay_up() {
    let scene = Scene::new();
    let deploy = |release: &str| {
        let file = "app = \"queue\"\n[deploy]\nwatch = \"0s\"\n[services.worker]\n\
                    command = \"sleep 100000\"\noverlap = true\nready = \"100ms\"\n";
        std::fs::write(scene.source.join("skep.toml"), file).unwrap();
        std::fs::write(scene.source.join("release.txt"), release).unwrap();
        started(&events(&scene.run(&["deploy", "--json"]).expect(0)))
    };
    assert_eq!(deploy("first"), "stayed up for 100 ms");
    assert_eq!(deploy("second"), "stayed up for 100 ms");
    let back = events(&scene.run(&["rollback", "queue", "--json"]).expect(0));
    assert_eq!(started(&back), "runs");
}

#[test]
fn scale_restart_stop_and_start() {
    let scene = Scene::serving(&shop());
    let before = Rest::with(&scene, &[("shop", 1)]);

    let scaled = scene.run(&["scale", "web=3", "queue=2"]).expect(0);
    assert_says(&scaled, &["undo: skep scale shop queue=1 web=1"]);
    assert_eq!(slots(&scene, "shop/web").len(), 3);
    assert_eq!(slots(&scene, "shop/queue").len(), 2);
    // What it prints is what re-creates it.
    let printed = scene.run(&["scale"]).expect(0).stdout;
    assert_eq!(printed.trim(), "skep scale shop queue=2 web=3");
    let reply: ScaleReply = scene.json(&["scale"]);
    assert!(reply.entries.iter().all(|entry| entry.layer == "operator"), "{reply:?}");
    // It outlives a deploy.
    scene.deploy(&shop().released("second")).expect(0);
    assert_eq!(slots(&scene, "shop/web").len(), 3);
    scene.run(&["scale", "web=1", "queue=1"]).expect(0);
    assert_eq!(slots(&scene, "shop/web").len(), 1);
    for (words, says) in [
        (&["scale", "webb=2"][..], "did you mean `web`"),
        (&["scale", "web=many"], "many"),
        (&["scale", "web=100000"], "limit"),
    ] {
        assert_says(&scene.run(words).expect(64), &[says]);
    }

    // Every process is another one, and nothing else changed.
    let old = pids(&scene);
    scene.run(&["restart", "shop"]).expect(0);
    let new = pids(&scene);
    assert!(old.iter().all(|pid| !new.contains(pid)) && old.len() == new.len(), "{old:?} {new:?}");
    scene.run(&["restart", "shop/web"]).expect(0);
    assert_eq!(slots(&scene, "shop/queue"), [new[0]]);
    assert_ne!(slots(&scene, "shop/web"), [new[1]]);

    scene.run(&["stop", "shop/queue"]).expect(0);
    assert!(slots(&scene, "shop/queue").is_empty());
    scene.get("/").expect(200, "release second");
    scene.run(&["start", "shop/queue"]).expect(0);
    assert_eq!(slots(&scene, "shop/queue").len(), 1);

    let stopped = scene.run(&["stop", "shop"]).expect(0);
    assert_says(&stopped, &["undo: skep start shop"]);
    assert!(pids(&scene).is_empty());
    let apps: Vec<AppSummary> = scene.json(&["apps"]);
    assert_eq!(apps[0].state, AppState::Stopped);
    // Whoever asks is told, and not kept waiting for something that will not come.
    assert_eq!(scene.get("/").status, 503);
    scene.run(&["start", "shop"]).expect(0);
    scene.get("/").expect(200, "release second");
    let after = Rest::with(&scene, &[("shop", 2)]);
    assert_eq!(before.counts(), after.counts());

    // Everything down, and back with one command each.
    scene.run(&["down", "--all"]).expect(0);
    assert!(pids(&scene).is_empty());
    assert_says(&scene.run(&["down", "--all"]).expect(0), &["nothing runs"]);
    scene.run(&["start"]).expect(0);
    Rest::with(&scene, &[("shop", 2)]);
}

/// What did not change is started as it is: no release, no migration.
#[test]
fn what_is_down_and_unchanged_is_only_started() {
    let scene = Scene::new();
    let command = "sh -c 'echo migrated >> data/migrations'";
    let app = shop().with_section(&format!("[release]\ncommand = \"{command}\""));
    app.write(&scene.source);
    scene.up();
    let migrations = scene.home.home().data("shop").join("data/migrations");
    let migrated = || std::fs::read_to_string(&migrations).unwrap().lines().count();
    assert_eq!(migrated(), 1);

    scene.run(&["down"]).expect(0);
    assert_says(&scene.run(&["down"]).expect(0), &["shop: nothing runs that could be stopped"]);
    let deployed = scene.run(&["deploy"]).expect(0);
    assert_says(&deployed, &["no change since v1; starting it", "undo: skep stop shop"]);
    scene.get("/").expect(200, "release first");
    scene.run(&["down"]).expect(0);

    // In the foreground it is the session's, as what it had made itself would be.
    let mut up = scene.start(&["up"]);
    wait_for_stderr(&mut up, "Ctrl-C stops it");
    scene.get("/").expect(200, "release first");
    up.signal(2);
    assert_says(&up.finish(PATIENCE).expect(0), &["shop is down"]);
    assert!(pids(&scene).is_empty());
    assert_eq!((migrated(), scene.releases("shop").len()), (1, 1));

    // What did change is another release.
    scene.deploy(&app.released("second")).expect(0);
    assert_eq!((migrated(), scene.current("shop")), (2, Some(2)));
}

#[test]
fn what_processes_write_is_read_back() {
    let scene = Scene::serving(&shop());
    scene.get("/one").expect(200, "");
    let lines = |arguments: &[&str]| -> Vec<LogLine> {
        let output = scene.run(&[arguments, &["--json"]].concat()).expect(0);
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    wait_for(PATIENCE, "the line of a request", || {
        let lines = lines(&["logs"]);
        if lines.iter().any(requested("/one")) { Ok(()) } else { Err(format!("{lines:?}")) }
    });
    scene.deploy(&shop().released("second")).expect(0);
    scene.get("/two").expect(200, "");
    wait_for(PATIENCE, "the line of another request", || {
        let lines = lines(&["logs", "shop/web", "--release", "v2"]);
        let is_there = lines.iter().any(requested("/two"));
        assert!(!lines.iter().any(requested("/one")), "of v1: {lines:?}");
        if is_there { Ok(()) } else { Err(format!("{lines:?}")) }
    });
    let all = lines(&["logs"]);
    assert!(all.iter().any(|line| line.stream == LogStream::Shim), "starts are said: {all:?}");
    assert!(all.iter().any(|line| line.service == "shop/queue"));
    assert_eq!(lines(&["logs", "-n", "1"]).len(), 1);
    assert_says(&scene.run(&["logs", "shop/web", "-n", "1"]).expect(0), &["web.0 "]);

    // Followed across a deploy, to Ctrl-C.
    let mut following = scene.start(&["logs", "-f", "-n", "0"]);
    following.wait_for_stdout(PATIENCE, "");
    wait_for(PATIENCE, "a followed line", || {
        scene.get("/three").expect(200, "");
        let seen = following.stdout();
        if seen.contains("request /three") { Ok(()) } else { Err(seen) }
    });
    scene.deploy(&shop().released("third")).expect(0);
    following.wait_for_stdout(PATIENCE, "starting third");
    following.signal(2);
    let output = following.finish(PATIENCE);
    assert!(output.code == Some(130) || output.signal == Some(2), "{output}");
    assert_says(&scene.run(&["logs", "nothing"]).expect(64), &["no app `nothing`", "shop"]);
}

#[test]
fn variables_are_set_shown_and_explained() {
    let scene = Scene::serving(&shop());
    let environment = |name: &str| scene.get(&format!("/env/{name}")).text;

    // A change is a release through the same gate.
    let set = scene.run(&["env:set", "GREETING=good evening", "EXTRA=x"]).expect(0);
    assert_says(&set, &["undo: skep rollback shop"]);
    assert!(environment("GREETING").ends_with("good evening\n"));
    let newest = &scene.releases("shop")[0];
    assert_eq!(newest.kind, "environment");
    assert_eq!(newest.changed, ["env EXTRA", "env GREETING"]);

    // From standard input; what was typed is in no list.
    let set = with_input(&scene, &["env:set", "STRIPE_KEY=-"], "sk_live_123\n");
    assert_eq!(set.code, Some(0), "{set}");
    assert!(!set.stdout.contains("sk_live") && !set.stderr.contains("sk_live"), "{set}");
    assert!(environment("STRIPE_KEY").ends_with("sk_live_123\n"));

    let list = scene.run(&["env:list"]).expect(0);
    assert_says(&list, &["GREETING", "STRIPE_KEY", "••••••"]);
    for hidden in ["good evening", "sk_live", "from-file"] {
        assert!(!list.stdout.contains(hidden), "{list}");
    }
    let list: EnvList = scene.json(&["env:list"]);
    let entry = |name: &str| list.entries.iter().find(|entry| entry.name == name).unwrap();
    assert!(entry("STRIPE_KEY").secret && entry("STRIPE_KEY").value.is_none());
    assert!(entry("STRIPE_KEY").who.is_some() && entry("STRIPE_KEY").at.is_some());
    assert_eq!(entry("GREETING").layer, EnvLayer::Operator);
    assert_eq!(entry("KEY").layer, EnvLayer::Generated);
    assert!(entry("TOKEN").value.is_none());
    let revealed = scene.run(&["env:list", "--reveal"]).expect(0);
    assert_says(&revealed, &["good evening", "sk_live_123", "from-file"]);

    let explained: EnvExplain = scene.json(&["env:explain"]);
    assert_eq!(explained.service, "shop/web");
    assert_eq!(explained.entries.len(), explained.sources.len());
    let layers: Vec<EnvLayer> = explained
        .entries
        .iter()
        .filter(|entry| entry.name == "GREETING")
        .map(|entry| entry.layer)
        .collect();
    assert_eq!(layers, [EnvLayer::AppFile, EnvLayer::Operator]);
    let port = explained.entries.iter().find(|entry| entry.name == "PORT").unwrap();
    assert_eq!(port.layer, EnvLayer::Profile);
    let text = scene.run(&["env:explain"]).expect(0);
    assert_says(&text, &["PORT", "skep.toml [env]"]);
    assert!(!text.stdout.contains("sk_live"), "{text}");

    // Stored only: the next release has it.
    let staged = scene.run(&["env:set", "--stage", "LATER=1"]).expect(0);
    assert_says(&staged, &["next release"]);
    assert!(environment("LATER").ends_with("(not set)\n"));
    scene.run(&["env:unset", "EXTRA"]).expect(0);
    assert!(environment("LATER").ends_with("\n1\n"), "{}", environment("LATER"));
    assert!(environment("EXTRA").ends_with("(not set)\n"));

    // The same again is nothing, and so is what was never there.
    let same = scene.run(&["env:set", "LATER=1"]).expect(0);
    assert_says(&same, &["nothing to do"]);
    scene.run(&["env:unset", "NEVER"]).expect(0);

    // A rollback brings variables back too.
    let first = scene.run(&["rollback", "--to", "v1"]).expect(0);
    assert_says(&first, &["undo"]);
    assert!(environment("GREETING").ends_with("hello\n"));
    assert!(environment("STRIPE_KEY").ends_with("(not set)\n"));

    // Sealed where they lie.
    let store = std::fs::read(scene.home.home().store()).unwrap();
    let log = scene.home.home().root().join("store.db-wal");
    let log = std::fs::read(log).unwrap_or_default();
    for bytes in [store, log] {
        assert!(!bytes.windows(11).any(|window| window == b"sk_live_123"));
    }
}

#[test]
fn a_command_runs_as_the_app_does() {
    let scene = Scene::serving(&shop());
    let run = |words: &[&str]| scene.run(&[&["run", "--"], words].concat());
    let output = run(&["sh", "-c", "echo $GREETING in $(pwd); id -u; exit 7"]).expect(7);
    let lines: Vec<&str> = output.stdout.lines().collect();
    let home = scene.home.home();
    let inside = home.app_artifacts("shop").to_str().unwrap().to_owned();
    assert!(lines[0].starts_with(&format!("hello in {inside}")), "{output}");
    let owner = home.app_home("shop").metadata().unwrap().uid();
    assert_eq!(lines[1], owner.to_string());
    assert_ne!(owner, 0, "an app is never root");
    // Of the caller's own environment nothing arrives.
    let leaky = scene.skep().with("SECRET_OF_MINE", "1");
    let output = leaky.run(["run", "--", "env"]).expect(0);
    assert!(!output.stdout.contains("SECRET_OF_MINE"), "{output}");
    assert!(output.stdout.contains("GREETING=hello"), "{output}");
    // Standard input and signals are the command's own.
    let echoed = with_input(&scene, &["run", "--", "cat"], "typed\n");
    assert_eq!((echoed.code, echoed.stdout.as_str()), (Some(0), "typed\n"));
    let mut sleeping = scene.start(&["run", "--", "sh", "-c", "echo here; exec sleep 1000"]);
    sleeping.wait_for_stdout(PATIENCE, "here");
    sleeping.signal(15);
    assert_eq!(sleeping.finish(PATIENCE).signal, Some(15));
    assert_says(&run(&["no-such-program"]).expect(64), &["no program `no-such-program`"]);
    // Of one service, with its variables.
    let output = scene.run(&["run", "shop/queue", "--", "env"]).expect(0);
    assert!(output.stdout.contains("SKEP_SERVICE=queue"), "{output}");
}

#[test]
fn an_app_is_removed_and_restored() {
    let scene = Scene::serving(&shop());
    scene.run(&["env:set", "GREETING=kept"]).expect(0);
    let home = scene.home.home();
    let data = home.data("shop").join("data");
    scene.run(&["run", "--", "sh", "-c", "echo precious > data/file"]).expect(0);
    assert!(data.join("file").is_file());

    // Said first, and asked for.
    let plan = scene.run(&["app:remove", "shop", "--plan"]).expect(2);
    assert_says(&plan, &["stop 2 slots", "archive"]);
    assert_says(&scene.run(&["app:remove", "shop"]).expect(64), &["--yes"]);
    scene.get("/").expect(200, "");

    let output = scene.run(&["app:remove", "shop", "--yes", "--json"]).expect(0);
    let removal: Removal = serde_json::from_str(&output.stdout).unwrap();
    let archive = removal.archive.unwrap();
    assert_eq!(removal.undo.as_deref(), Some(format!("skep app:restore {archive}").as_str()));
    let apps: Vec<AppSummary> = scene.json(&["apps"]);
    assert!(apps.is_empty(), "{apps:?}");
    assert!(!home.app("shop").exists() && !home.app_artifacts("shop").exists());
    let shims = std::fs::read_dir(home.shims()).unwrap().flatten();
    let left: Vec<_> = shims
        .map(|entry| entry.file_name())
        .filter(|name| name.to_string_lossy().starts_with("shop."))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    wait_for(PATIENCE, "a closed port", || {
        match std::net::TcpStream::connect(scene.port.address()) {
            Ok(_) => Err("somebody listens"),
            Err(_) => Ok(()),
        }
    });

    scene.run(&["app:restore", &archive]).expect(0);
    assert_says(&scene.run(&["app:restore", &archive]), &["error"]);
    scene.run(&["start", "shop"]).expect(0);
    scene.get("/env/GREETING").expect(200, "kept");
    assert_eq!(std::fs::read_to_string(data.join("file")).unwrap(), "precious\n");
    assert_eq!(scene.releases("shop").len(), 2);
    scene.run(&["rollback"]).expect(0);
    scene.get("/env/GREETING").expect(200, "hello");
    Rest::with(&scene, &[("shop", 3)]);
}

#[test]
fn the_agent_stops_and_starts_and_services_do_not_notice() {
    let scene = Scene::serving(&shop());
    let before = pids(&scene);
    let status: Overview = scene.json(&["agent:status"]);
    assert!(status.ready && status.problems.is_empty(), "{status:?}");
    assert_eq!(status.not_enforced.is_empty(), is_root(), "{status:?}");

    scene.run(&["agent:stop"]).expect(0);
    scene.get("/").expect(200, "release first");
    assert_says(&scene.run(&["doctor"]), &["does not run"]);
    // Any command that needs it starts it.
    let apps: Vec<AppSummary> = scene.json(&["apps"]);
    assert_eq!(apps[0].state, AppState::Running);
    assert_eq!(pids(&scene), before);
    let again: Overview = scene.json(&["agent:status"]);
    assert_ne!(status.pid, again.pid);
    assert_eq!(status.installation, again.installation);

    // In the foreground, as an init system or a person would: to Ctrl-C.
    scene.run(&["agent:stop"]).expect(0);
    let mut foreground = scene.start(&["agent:run"]);
    wait_for(PATIENCE, "an agent in the foreground", || {
        let output = scene.run(&["agent:status", "--json"]);
        match serde_json::from_str::<Overview>(&output.stdout) {
            Ok(overview) if overview.ready => Ok(()),
            _ => Err(output),
        }
    });
    scene.get("/").expect(200, "release first");
    let second = scene.run(&["agent:run"]);
    assert_eq!(second.code, Some(6), "{second}");
    assert_eq!(pids(&scene), before);
    foreground.signal(2);
    foreground.finish(PATIENCE).expect(0);
    scene.get("/").expect(200, "release first");

    let checked = scene.run(&["doctor"]);
    assert!(matches!(checked.code, Some(0 | 1)), "{checked}");
    assert_says(&checked, &["home", "kernel", "cgroups"]);
    Rest::with(&scene, &[("shop", 1)]);
}

#[test]
fn installations_live_side_by_side() {
    // The same app, twice, and another one behind the same address in the second.
    let (first, second) = (Scene::serving(&shop()), Scene::serving(&shop().released("other")));
    first.get("/").expect(200, "release first");
    second.get("/").expect(200, "release other");
    let (before, port) = (Rest::with(&first, &[("shop", 1)]), Port::take());

    // Hosts share an address; names are their own.
    let directory = second.home.directory("blog");
    let hosts = "hosts = [\"blog.localhost\"]";
    TinyApp::new("blog").with_web(hosts).released("blog one").write(&directory);
    let skep = second.home.skep().in_directory(&directory);
    skep.run(["up", "--detach", "--listen", &second.address()]).expect(0);
    get_of_host(second.port.address(), "blog.localhost", "/").expect(200, "release blog one");
    second.get("/").expect(200, "release other");

    // An app moves to another address with a deploy, and keeps it.
    skep.run(["deploy", "--listen", &port.address().to_string()]).expect(0);
    get_of_host(port.address(), "blog.localhost", "/").expect(200, "release blog one");
    let elsewhere = get_of_host(second.port.address(), "blog.localhost", "/");
    elsewhere.expect(200, "release other");
    let apps: Vec<AppSummary> = second.json(&["apps"]);
    let blog = apps.iter().find(|app| app.name == "blog").unwrap();
    assert!(blog.addresses[0].ends_with(&format!(":{}", port.address().port())), "{blog:?}");

    // One of them goes, wholly; the other does not notice.
    assert!(second.home.stop().is_empty());
    assert!(std::net::TcpStream::connect(second.port.address()).is_err());
    drop(second);
    before.wait(&first);
    get(first.port.address(), "/").expect(200, "release first");
}

#[test]
fn up_in_the_foreground_serves_until_it_is_told() {
    let scene = Scene::new();
    shop().write(&scene.source);
    let mut up = scene.start(&["up", "--listen", &scene.address()]);
    wait_for_stderr(&mut up, "Ctrl-C stops it");
    scene.get("/hello").expect(200, "release first");
    // What the app writes is shown.
    up.wait_for_stdout(PATIENCE, "request /hello");
    up.signal(2);
    let output = up.finish(PATIENCE).expect(0);
    assert_says(&output, &["draining", "shop is down"]);
    let apps: Vec<AppSummary> = scene.json(&["apps"]);
    assert_eq!(apps[0].state, AppState::Stopped);
    assert!(pids(&scene).is_empty());
    // Releases and variables are kept: it comes back.
    scene.run(&["start"]).expect(0);
    scene.get("/").expect(200, "release first");
}

fn requested(path: &'static str) -> impl Fn(&LogLine) -> bool {
    move |line| line.text == format!("request {path}") && line.service == "shop/web"
}

/// Returns the processes of a service's ready slots, by slot.
fn slots(scene: &Scene, service: &str) -> Vec<u32> {
    let mut rows = scene.processes();
    rows.retain(|row| row.service == service && row.phase == SlotPhase::Ready);
    rows.sort_by_key(|row| row.slot);
    rows.iter().filter_map(|row| row.pid).collect()
}

/// Returns all slots' processes, by service and slot.
fn pids(scene: &Scene) -> Vec<u32> {
    let mut rows = scene.processes();
    rows.sort_by_key(|row| (row.service.clone(), row.slot));
    rows.iter().filter_map(|row| row.pid).collect()
}

/// Returns what a deploy remarked on its new slots.
fn started(events: &[DeployEvent]) -> String {
    let remark = events.iter().find_map(|event| match event {
        DeployEvent::Progress(progress)
            if progress.step == StepName::Start && progress.state == StepState::Done =>
        {
            progress.note.clone()
        }
        _ => None,
    });
    remark.unwrap_or_else(|| panic!("nothing was started: {events:?}"))
}

fn events(output: &Output) -> Vec<DeployEvent> {
    let parse = |line: &str| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("no event: {error}: {line}"))
    };
    output.stdout.lines().map(parse).collect()
}

/// Runs a command with this standard input.
fn with_input(scene: &Scene, arguments: &[&str], input: &str) -> Output {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut command = scene.skep().command(arguments);
    command.stdin(Stdio::from(reader));
    writer.write_all(input.as_bytes()).unwrap();
    drop(writer);
    Program::start(command).finish(PATIENCE)
}
