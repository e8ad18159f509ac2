//! Everything that can be killed is killed with -9: the app's processes in the middle of requests,
//! every part of Skep alone and together with others, and the whole machine.
//!
//! After each death there is one copy of everything, on the sockets it had, under control, and the
//! next deploy works.
#![expect(clippy::print_stdout, reason = "what was counted is part of the result")]

use std::time::Duration;

use api::{ReleaseRow, ReleaseState, StepName};
use rustix::process::Signal;
use testkit::apps::{LedgerApp, Server, StartUp};
use testkit::{Found, Kind, Running, Writes, wait_until};

use crate::support::site::{Owner, RECOVERS_WITHIN, STEP_WITHIN, Site, wait_for_step};

/// Deaths in the middle of requests, of main processes and forked children in turn.
const KILLS_IN_REQUESTS: usize = 10;

/// How long each request takes that is to be caught.
const REQUEST_MS: u32 = 60;

fn app(server: Server) -> LedgerApp {
    LedgerApp {
        server,
        processes: 2,
        worker: true,
        tables: "[deploy]\nwatch = \"0s\"".into(),
        ..LedgerApp::new("ledger")
    }
}

#[test]
fn in_requests_of_gunicorn_as_the_tester() {
    in_the_middle_of_requests(Owner::Tester, Server::GunicornThreads);
}

#[test]
fn in_requests_of_uvicorn_as_an_ordinary_user() {
    in_the_middle_of_requests(Owner::Ordinary, Server::UvicornWorkers);
}

/// No GET fails. A POST may, once: it is executed at most once, and who sent it is told why (502, or
/// 500 where the app closed the connection without a word, which its death looks like).
fn in_the_middle_of_requests(owner: Owner, server: Server) {
    let site = Site::new(owner, app(server));
    let post = |body_bytes, writes| Kind::Post {
        path: format!("/append?ms={REQUEST_MS}"),
        body_bytes,
        writes,
    };
    let two = Writes::Two { pause: Duration::from_millis(5) };
    let get = || Kind::get(format!("/slow?ms={REQUEST_MS}"));
    let mix = [
        get(),
        post(100, Writes::One),
        get(),
        post(100, two),
        get(),
        post(20_000, Writes::One),
        get(),
        post(20_000, two),
    ];
    let load = site.load().rate(80.0).mix(mix).start();
    for round in 0..KILLS_IN_REQUESTS {
        let row = &site.web()[round / 2 % 2];
        let tree = site.tree(row);
        let victim = match round % 2 {
            0 => &tree[0],
            _ => tree.iter().rfind(|process| serves(process, row.pid)).expect("a forked child"),
        };
        let answered = load.answered() + load.failed();
        wait_until(RECOVERS_WITHIN, "requests under way", || {
            (load.answered() + load.failed() > answered).then_some(())
        });
        load.note(format!("kill -9 of {victim}"));
        victim.kill();
        site.settle();
    }
    let report = load.stop();
    let caught = under_way(&report, "kill -9");
    println!("{server:?}, {owner:?}: {caught} requests were under way at the deaths\n{report}");
    assert!(caught > 0, "nothing was caught in the middle");
    for sample in report.failures() {
        assert!(sample.id.is_some(), "a GET failed\n{report}");
        let honest = matches!(sample.status, Some(500 | 502)) && sample.reason.is_some();
        assert!(honest, "a POST failed and nobody says why\n{report}");
    }
    let verdict = site.ledger().verify([&report]);
    println!("{verdict}");
    verdict.assert_exactly_once();
    assert_eq!(site.starts().double, Vec::<String>::new());
}

/// Returns how many requests were under way when something of this name was noted.
fn under_way(report: &testkit::Report, what: &str) -> usize {
    let noted = report.notes.iter().filter(|(_, note)| note.contains(what)).map(|(at, _)| *at);
    let samples = |at: Duration| {
        let spans =
            |sample: &&testkit::Sample| (sample.at..sample.at + sample.latency).contains(&at);
        report.samples.iter().filter(spans).count()
    };
    noted.map(samples).sum()
}

/// Returns whether a process is a child that serves requests: those that help the others (a
/// resource tracker) do not.
fn serves(process: &Found, main: Option<u32>) -> bool {
    process.parent() == main && !process.command.contains("resource_tracker")
}

#[test]
fn of_skep_itself_as_the_tester() {
    of_skep_itself(Owner::Tester);
}

#[test]
fn of_skep_itself_as_an_ordinary_user() {
    of_skep_itself(Owner::Ordinary);
}

/// A site under load whose keepers are killed.
struct Keepers {
    site: Site,
    load: Running,
}

impl Keepers {
    /// Kills somebody, and holds what must be true afterwards.
    #[track_caller]
    fn after(&mut self, what: &str, kill: impl FnOnce(&Site, &Running)) {
        let Self { site, load } = self;
        let sockets = site.sockets();
        load.note(format!("kill -9 of {what}"));
        kill(site, load);
        let took = site.settle();
        load.note("under control");
        assert_eq!(site.sockets(), sockets, "other sockets after kill -9 of {what}");
        assert_eq!(site.starts().double, Vec::<String>::new(), "after kill -9 of {what}");
        println!("{what}: under control after {:.2} s", took.as_secs_f64());
        site.deploy_edit();
        site.settle();
        load.note(format!("deployed; {} have failed so far", load.failed()));
    }
}

fn of_skep_itself(owner: Owner) {
    let site = Site::new(owner, app(Server::GunicornSync));
    let load = site.load().rate(60.0).start();
    let mut keepers = Keepers { site, load };
    keepers.after("the web service's shim", |site, _| site.shim("ledger/web").kill());
    keepers.after("the worker's shim", |site, _| site.shim("ledger/worker").kill());
    keepers.after("the agent", |site, _| site.agent().kill());
    keepers.after("the agent's shim", |site, _| site.shim("skep/agent").kill());
    keepers.after("the agent and its shim", |site, _| {
        kill_together(&[site.agent(), site.shim("skep/agent")]);
    });
    keepers.after("the agent and the web service's shim", |site, _| {
        kill_together(&[site.agent(), site.shim("ledger/web")]);
    });
    keepers.after("a shim, and a process of it that nobody adopted yet", |site, load| {
        let (agent, shim) = (site.agent(), site.shim("ledger/web"));
        let tree = site.tree(&site.web()[0]);
        agent.signal(Signal::STOP);
        load.between_requests(|| {
            shim.kill();
            kill_together(&tree);
        });
        agent.signal(Signal::CONT);
    });
    keepers.after("the proxy, between requests", |site, load| {
        let proxy = site.proxy();
        load.between_requests(|| proxy.kill());
    });
    keepers.after("the proxy's shim", |site, _| site.shim("skep/proxy").kill());
    keepers.after("the proxy and its shim, between requests", |site, load| {
        let both = [site.proxy(), site.shim("skep/proxy")];
        load.between_requests(|| kill_together(&both));
    });
    keepers.after("all shims", |site, _| kill_together(&site.shims()));
    keepers.after("the agent and all shims", |site, _| {
        let mut all = site.shims();
        all.push(site.agent());
        kill_together(&all);
    });
    let Keepers { mut site, load } = keepers;
    in_the_middle_of_a_deploy(&mut site, &load);
    let report = load.stop();
    println!("{owner:?}: {report}");
    println!("{}", slowest_after(&report, "the proxy, between requests"));
    report.assert_no_failures();
    let verdict = site.ledger().verify([&report]);
    println!("{verdict}");
    verdict.assert_exactly_once();
    println!("{} numbered log lines, none lost", site.assert_complete_log());
}

/// Kills all of Skep but the proxy while a deploy has ended the old worker and waits for the new
/// one: what comes back must not be both.
fn in_the_middle_of_a_deploy(site: &mut Site, load: &Running) {
    let what = "the agent and all shims, in the middle of a deploy";
    load.note(format!("kill -9 of {what}"));
    site.edit();
    let program = site.start(&["deploy", "--json"]);
    wait_until(STEP_WITHIN, "a deploy that has replaced the worker", || {
        program.stdout().contains("2 of 3 ready").then_some(())
    });
    let mut all = site.shims();
    all.push(site.agent());
    kill_together(&all);
    println!("{what}: under control after {:.2} s", site.settle().as_secs_f64());
    assert_eq!(site.starts().double, Vec::<String>::new(), "after kill -9 of {what}");
    site.deploy_edit();
    site.settle();
}

/// Returns how long requests waited that were due in the second after something was noted.
fn slowest_after(report: &testkit::Report, what: &str) -> String {
    let noted = report.notes.iter().find(|(_, note)| note.contains(what)).map(|(at, _)| *at);
    let noted = noted.unwrap_or_default();
    let due = noted..noted + Duration::from_secs(1);
    let waits = report.samples.iter().filter(|sample| due.contains(&sample.at));
    let longest = waits.map(|sample| sample.latency).max().unwrap_or_default();
    format!("after kill -9 of {what} the longest wait was {:.0} ms", longest.as_secs_f64() * 1e3)
}

/// Kills them so that none lives to see another's death.
fn kill_together(processes: &[Found]) {
    for process in processes {
        process.signal(Signal::STOP);
    }
    for process in processes {
        process.signal(Signal::KILL);
    }
    processes.iter().for_each(Found::wait);
}

#[test]
fn of_the_machine_as_the_tester() {
    of_the_machine(Owner::Tester);
}

#[test]
fn of_the_machine_as_an_ordinary_user() {
    of_the_machine(Owner::Ordinary);
}

/// Loses power twice: while nothing goes on, and in the middle of a deploy.
fn of_the_machine(owner: Owner) {
    if !rustix::process::geteuid().is_root() {
        println!("not tried: laying a file over the kernel's boot id takes root");
        return;
    }
    let mut site = Site::new(owner, app(Server::GunicornSync));
    site.deploy_edit();
    site.deploy_edit();
    site.skep(&["rollback"]).expect(0);
    site.skep(&["scale", "web=3"]).expect(0);
    site.settle();
    let release = site.served();
    let starts = site.starts().good;

    println!("{} processes killed at once", site.home.reboot().len());
    assert_eq!(site.home.processes().len(), 0);
    // Any command brings everything back.
    site.skep(&["ps"]).expect(0);
    println!("all back after {:.2} s", site.settle().as_secs_f64());
    site.assert_serves(&release);
    assert_eq!(site.web().len(), 3, "the scale is kept");
    assert_eq!((site.starts().good, site.starts().double.len()), (starts + 1, 0));

    site.app.start_up = StartUp::TakesMs(3000);
    site.edit();
    let program = site.start(&["deploy", "--json"]);
    wait_for_step(&program, StepName::Start);
    println!("{} processes killed at once", site.home.reboot().len());
    site.skep(&["agent:start"]).expect(0);
    println!("all back after {:.2} s", site.settle().as_secs_f64());
    site.assert_serves(&release);
    assert_eq!(site.web().len(), 3, "the scale is kept");
    let releases: Vec<ReleaseRow> = site.json(&["releases"]);
    let newest = releases.iter().max_by_key(|release| release.number).expect("releases");
    assert_eq!(newest.state, ReleaseState::Failed, "{newest:?}");
    assert_eq!(site.starts().double, Vec::<String>::new());

    site.app.start_up = StartUp::Good;
    site.deploy_edit();
    println!("{} numbered log lines, none lost", site.assert_complete_log());
}
