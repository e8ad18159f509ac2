//! The load generator against a server whose faults are known: it must count each of them.

use std::time::Duration;

use super::server::{Fault, Server};
use crate::{Kind, Ledger, Load, Report, TempHome, Verdict, Writes};

const REQUESTS: u64 = 800;
/// Every hundredth.
const FAULTY: usize = 8;

fn load(server: &Server) -> Load {
    let two = Writes::Two { pause: Duration::from_millis(1) };
    let mix = [
        Kind::get("/"),
        Kind::post(100, Writes::One),
        Kind::post(100, two),
        Kind::post(20_000, Writes::One),
        Kind::post(20_000, two),
    ];
    Load::new(server.address()).rate(2000.0).connections(8).requests(REQUESTS).mix(mix)
}

fn run(fault: Fault) -> (Report, Verdict) {
    let home = TempHome::bare();
    let server = Server::start(fault);
    let report = load(&server).run();
    assert_eq!(report.samples.len() as u64, REQUESTS);
    server.write_ledger(&home.path("ledger"));
    let verdict = Ledger::read(&home.path("ledger")).verify([&report]);
    (report, verdict)
}

fn fails(check: impl FnOnce() + std::panic::UnwindSafe) -> bool {
    std::panic::catch_unwind(check).is_err()
}

#[test]
fn a_good_server_has_no_failures_and_a_clean_ledger() {
    let (report, verdict) = run(Fault::None);
    report.assert_no_failures();
    verdict.assert_exactly_once();
    assert_eq!(verdict.exactly_once as u64, REQUESTS / 5 * 4);
    assert_eq!(report.statuses()[&200] as u64, REQUESTS);
    assert_eq!(report.releases()["one"] as u64, REQUESTS);
    assert_eq!((report.connects, report.idle_closes), (8, 0));
    assert!(report.latency(50.0) <= report.latency(99.0));
    assert!(report.latency(99.0) <= report.latency(100.0));
}

#[test]
fn a_dropped_request_is_a_failure_though_its_connection_was_reused() {
    let (report, verdict) = run(Fault::Drop);
    assert_eq!(report.failures().count(), FAULTY, "{report}");
    assert_eq!(report.idle_closes, 0);
    for sample in report.failures() {
        let what = sample.failure.as_deref().unwrap();
        assert!(what.contains("closed without an answer"), "{what}");
    }
    verdict.assert_exactly_once();
    assert!(verdict.executed_but_failed.is_empty());
    assert!(fails(|| report.assert_no_failures()));
}

#[test]
fn a_request_that_was_executed_and_dropped_is_told_apart() {
    let (report, verdict) = run(Fault::ExecuteAndDrop);
    assert_eq!(report.failures().count(), FAULTY);
    let posts = report.failures().filter(|sample| sample.id.is_some()).count();
    assert_eq!(verdict.executed_but_failed.len(), posts);
    verdict.assert_exactly_once();
}

#[test]
fn the_ledger_finds_what_was_executed_twice() {
    let (report, verdict) = run(Fault::ExecuteTwice);
    report.assert_no_failures();
    assert!(!verdict.more_than_once.is_empty());
    assert!(verdict.more_than_once.values().all(|times| *times == 2));
    assert!(fails(|| verdict.assert_exactly_once()));
}

#[test]
fn the_ledger_finds_what_was_answered_but_not_executed() {
    let (report, verdict) = run(Fault::Forget);
    report.assert_no_failures();
    assert!(!verdict.never.is_empty());
    assert!(fails(|| verdict.assert_exactly_once()));
}

#[test]
fn the_ledger_finds_what_nobody_sent() {
    let home = TempHome::bare();
    std::fs::write(home.path("ledger"), "stray\n").unwrap();
    let verdict = Ledger::read(&home.path("ledger")).verify([&Report::default()]);
    assert_eq!(verdict.unknown, ["stray"]);
    assert!(fails(|| verdict.assert_exactly_once()));
    assert!(Ledger::read(&home.path("missing")).is_empty());
}

#[test]
fn an_answer_that_belongs_to_another_request_is_a_failure() {
    let (report, _) = run(Fault::Confuse);
    let posts = report.failures().count();
    assert!((1..=FAULTY).contains(&posts), "{report}");
    assert!(report.failures().all(|sample| sample.status == Some(200)));
}

#[test]
fn a_refusal_is_listed_with_its_reason_and_id() {
    let (report, verdict) = run(Fault::Refuse);
    assert_eq!(report.failures().count(), FAULTY);
    assert_eq!(report.statuses()[&503], FAULTY);
    verdict.assert_exactly_once();
    let text = report.to_string();
    assert!(text.contains("request id r7, reason none-ready"), "{text}");
}

#[test]
fn a_broken_answer_is_a_failure() {
    for (fault, expected) in
        [(Fault::CutAnswer, "closed after 20 bytes"), (Fault::SayMore, "answer")]
    {
        let (report, _) = run(fault);
        assert_eq!(report.failures().count(), FAULTY, "{fault:?}: {report}");
        let what = report.failures().next().unwrap().failure.clone().unwrap();
        assert!(what.contains(expected), "{fault:?}: {what}");
    }
}

#[test]
fn an_idle_connection_that_was_closed_is_replaced_and_counted() {
    let (report, verdict) = run(Fault::CloseIdle);
    // A close that arrives after the check, while the request is written, is a failure and not an
    // idle close; which of both it is, is the server's luck.
    let failed = report.failures().count();
    let replaced = report.idle_closes as usize;
    assert!((FAULTY - 1..=FAULTY).contains(&(failed + replaced)), "{report}");
    assert!(replaced > 0, "{report}");
    assert!(verdict.more_than_once.is_empty());
}

#[test]
fn nobody_listening_is_a_failure_of_every_request() {
    let address = {
        let server = Server::start(Fault::None);
        server.address()
    };
    let report = Load::new(address).rate(1000.0).connections(2).requests(10).run();
    assert_eq!(report.failures().count(), 10);
    assert!(report.to_string().contains("failed to connect"), "{report}");
}

#[test]
fn a_silent_server_is_a_failure_and_the_wait_counts_for_all_that_were_due() {
    // Accepts by its backlog alone.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let report = Load::new(listener.local_addr().unwrap())
        .rate(100.0)
        .connections(1)
        .requests(3)
        .timeout(Duration::from_millis(200))
        .run();
    assert_eq!(report.failures().count(), 3);
    // One connection: the third was due after 20 ms, but could only begin after 400 ms.
    assert!(report.samples[2].latency >= Duration::from_millis(500), "{report}");
}

#[test]
fn a_load_without_an_end_goes_on_until_it_is_stopped() {
    let server = Server::start(Fault::None);
    let running = Load::new(server.address()).rate(500.0).connections(4).start();
    crate::wait_until(Duration::from_secs(30), "60 answers", || {
        (running.answered() >= 60).then_some(())
    });
    running.note("deploy");
    assert_eq!(running.failed(), 0);
    let report = running.stop();
    report.assert_no_failures();
    assert!(report.samples.len() >= 60);
    assert!(report.to_string().contains("-- deploy"));
}
