//! Everything that an operator does and everything that dies by itself, under a load that never
//! forgives: no request fails, none is executed twice, no log line is lost, and the worker that
//! must be alone is.
#![expect(clippy::print_stdout, reason = "what was counted is part of the result")]

use api::StepName;
use testkit::apps::{LedgerApp, Server, StartUp};
use testkit::{Running, wait_until};

use crate::support::site::{Owner, RECOVERS_WITHIN, STEP_WITHIN, Site, wait_for_step};

/// Deploys of edited code.
const DEPLOYS: usize = 20;

/// Requests a second: what two cores bear beside builds.
const RATE: f64 = 100.0;

/// What was done to the installation.
#[derive(Debug, Default)]
struct Done {
    deploys: usize,
    rollbacks: usize,
    bad_releases: usize,
    main_processes_killed: usize,
    forked_children_killed: usize,
    agents_killed: usize,
    deploys_interrupted: usize,
    restarts: usize,
    scalings: usize,
}

#[test]
fn gunicorn_as_the_tester() {
    everything_under_load(Owner::Tester, Server::GunicornSync);
}

#[test]
fn uvicorn_as_an_ordinary_user() {
    everything_under_load(Owner::Ordinary, Server::UvicornWorkers);
}

fn everything_under_load(owner: Owner, server: Server) {
    let app = LedgerApp {
        server,
        processes: 2,
        worker: true,
        tables: "[deploy]\nwatch = \"0s\"".into(),
        ..LedgerApp::new("ledger")
    };
    let mut site = Site::new(owner, app);
    let load = site.load().rate(RATE).start();
    let mut done = Done::default();
    for round in 0..DEPLOYS {
        let interrupted = match round {
            6 => Some(StepName::Start),
            13 => Some(StepName::Build),
            _ => None,
        };
        match interrupted {
            None => deploy(&mut site, &load, &mut done),
            Some(step) => interrupted_deploy(&mut site, &load, &mut done, step),
        }
        if round % 2 == 0 {
            kill_main_process(&site, &load, &mut done, round / 2 % 2);
        } else {
            kill_forked_child(&site, &load, &mut done, round / 2 % 2);
        }
        match round {
            3 | 7 | 11 | 15 | 19 => roll_back(&site, &load, &mut done),
            2 => kill_agent(&site, &load, &mut done),
            5 => release_badly(&mut site, &load, &mut done),
            8 | 16 => restart(&site, &load, &mut done),
            10 => scale(&site, &load, &mut done, "web=3"),
            14 => scale(&site, &load, &mut done, "web=2"),
            _ => {}
        }
    }
    site.settle();
    let report = load.stop();
    println!("{server:?}, {owner:?}: {done:#?}\n{report}");
    report.assert_no_failures();
    let verdict = site.ledger().verify([&report]);
    println!("{verdict}");
    verdict.assert_exactly_once();
    assert_eq!(verdict.executed_but_failed, Vec::<String>::new());
    let starts = site.starts();
    println!("worker: {} starts, {} orderly ends", starts.good, starts.stops);
    assert_eq!(starts.double, Vec::<String>::new(), "the worker ran twice at once");
    println!("{} numbered log lines, none lost", site.assert_complete_log());
}

fn deploy(site: &mut Site, load: &Running, done: &mut Done) {
    load.note("deploy");
    site.deploy_edit();
    done.deploys += 1;
}

/// Kills the agent in the middle of a deploy, which goes on or is undone; in that case the same
/// code is deployed again.
fn interrupted_deploy(site: &mut Site, load: &Running, done: &mut Done, step: StepName) {
    load.note(format!("deploy, and kill -9 of the agent at {step:?}"));
    let before = site.app.release.clone();
    site.edit();
    let program = site.start(&["deploy", "--json"]);
    wait_for_step(&program, step);
    site.agent().kill();
    let output = program.finish(STEP_WITHIN);
    load.note(format!("it ended with {:?}", output.code));
    done.agents_killed += 1;
    done.deploys_interrupted += 1;
    match output.code {
        Some(0) => site.assert_serves(&site.app.release),
        Some(1) => {
            site.assert_serves(&before);
            site.settle();
            site.skep(&["deploy"]).expect(0);
            site.assert_serves(&site.app.release);
        }
        _ => panic!("neither done nor undone: {output}"),
    }
    done.deploys += 1;
    site.settle();
}

/// Kills an idle slot's main process. Its other processes end before the load goes on: what they
/// would be given meanwhile is not caught by an idle slot's death but in the middle of a request.
fn kill_main_process(site: &Site, load: &Running, done: &mut Done, slot: usize) {
    let tree = site.tree(&site.web()[slot]);
    load.note(format!("kill -9 of main process {}", tree[0]));
    load.between_requests(|| {
        tree[0].kill();
        tree.iter().for_each(testkit::Found::wait);
    });
    load.note("the load goes on");
    site.settle();
    done.main_processes_killed += 1;
}

fn kill_forked_child(site: &Site, load: &Running, done: &mut Done, slot: usize) {
    let row = &site.web()[slot];
    // Its processes for helping the others (a resource tracker) serve no requests.
    let child = wait_until(RECOVERS_WITHIN, "a forked child", || {
        let mut tree = site.tree(row);
        tree.retain(|process| {
            process.parent() == row.pid && !process.command.contains("resource_tracker")
        });
        tree.pop()
    });
    load.note(format!("kill -9 of forked child {child}"));
    load.between_requests(|| child.kill());
    load.note("the load goes on");
    site.settle();
    done.forked_children_killed += 1;
}

fn kill_agent(site: &Site, load: &Running, done: &mut Done) {
    load.note("kill -9 of the agent");
    site.agent().kill();
    site.settle();
    done.agents_killed += 1;
}

fn roll_back(site: &Site, load: &Running, done: &mut Done) {
    load.note("rollback");
    let before = site.served();
    site.skep(&["rollback"]).expect(0);
    assert_ne!(site.served(), before, "it still serves");
    done.rollbacks += 1;
}

fn release_badly(site: &mut Site, load: &Running, done: &mut Done) {
    load.note("deploy of a bad release");
    let good = site.served();
    site.app.start_up = StartUp::Exits(3);
    site.edit();
    site.skep(&["deploy"]).expect(1);
    site.assert_serves(&good);
    site.settle();
    site.app.start_up = StartUp::Good;
    done.bad_releases += 1;
}

fn restart(site: &Site, load: &Running, done: &mut Done) {
    load.note("restart");
    let before: Vec<_> = site.web().into_iter().map(|row| row.pid).collect();
    site.skep(&["restart"]).expect(0);
    site.settle();
    let kept = site.web().into_iter().filter(|row| before.contains(&row.pid)).count();
    assert_eq!(kept, 0, "slots that were not replaced");
    done.restarts += 1;
}

fn scale(site: &Site, load: &Running, done: &mut Done, target: &str) {
    load.note(format!("scale {target}"));
    site.skep(&["scale", target]).expect(0);
    site.settle();
    assert_eq!(format!("web={}", site.web().len()), target);
    done.scalings += 1;
}
