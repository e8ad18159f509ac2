//! The program is replaced under load: the agent that is started from the new one has another proxy
//! take the old one's place, and no request fails, also when the agent is killed at it, when the
//! machine restarts at it, and when the new proxy never serves.
#![expect(clippy::print_stdout, reason = "what was counted is part of the result")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use testkit::apps::{LedgerApp, Server};
use testkit::{Running, wait_for, wait_until};

use crate::support::site::{Owner, RECOVERS_WITHIN, Site};

/// How long an upgrade that failed may take to come about once its reason is gone: a pause of half a
/// minute, and what an upgrade takes.
const TRIED_AGAIN_WITHIN: Duration = Duration::from_secs(90);

/// Requests a second.
const RATE: f64 = 60.0;

#[test]
fn as_the_tester() {
    upgrades(Owner::Tester);
}

#[test]
fn as_an_ordinary_user() {
    upgrades(Owner::Ordinary);
}

fn upgrades(owner: Owner) {
    let mut stage = Stage::new(owner);
    let same = stage.proxy();
    stage.restart_agent();
    stage.site.settle();
    assert_eq!(stage.proxy(), same, "a proxy of the same build is left alone");

    let load = stage.site.load().rate(RATE).start();
    stage.replaces_the_proxy(&load, "an upgrade", |_| {});
    stage.replaces_the_proxy(&load, "an upgrade whose agent is killed at its start", |stage| {
        stage.site.agent().kill();
    });
    stage.replaces_the_proxy(&load, "an upgrade whose agent is killed beside two", |stage| {
        stage.wait_for_proxies(2);
        stage.site.agent().kill();
    });
    killed_while_one_leaves(&mut stage, &load);
    never_serves(&stage, &load);
    let report = load.stop();
    println!("{owner:?}: {report}");
    report.assert_no_failures();
    let verdict = stage.site.ledger().verify([&report]);
    println!("{verdict}");
    verdict.assert_exactly_once();
    restarts_with_the_machine(&mut stage);
}

/// Kills the agent twice while the old proxy waits for a client that is connected and idle.
fn killed_while_one_leaves(stage: &mut Stage, load: &Running) {
    let mut idle = Idle::connect(&stage.site);
    stage.replaces_the_proxy(load, "an upgrade with an idle client", |stage| {
        let two = stage.wait_for_proxies(2);
        for _ in 0..2 {
            stage.site.agent().kill();
            stage.site.settle();
            assert_eq!(stage.proxies(), two, "neither was ended, no third was started");
        }
        // It gets its answer from the one that leaves, and is told to come again.
        assert!(idle.ask().contains("connection: close"));
    });
}

/// Keeps the next proxy from being started, by something in the place of its socket.
fn never_serves(stage: &Stage, load: &Running) {
    load.note("an upgrade to a proxy that cannot start");
    let before = stage.proxy();
    let obstacle = stage.next_socket();
    fs::create_dir_all(obstacle.join("in the way")).unwrap();
    stage.install();
    stage.restart_agent();
    wait_for(RECOVERS_WITHIN, "the agent says what is wrong", || {
        let doctor = stage.site.skep(&["doctor"]);
        let told = doctor.stdout.contains("the proxy was not upgraded: the new one")
            && doctor.stdout.contains("goes on");
        if told { Ok(()) } else { Err(doctor.to_string()) }
    });
    assert_eq!(stage.proxies(), [before]);
    stage.site.assert_serves(&stage.site.app.release);
    // It is tried again by itself.
    fs::remove_dir_all(obstacle).unwrap();
    stage.wait_for_another_within(TRIED_AGAIN_WITHIN, before);
    stage.site.settle();
}

/// Loses power while one proxy is at its place and another leaves.
fn restarts_with_the_machine(stage: &mut Stage) {
    if !rustix::process::geteuid().is_root() {
        println!("not tried: laying a file over the kernel's boot id takes root");
        return;
    }
    let _idle = Idle::connect(&stage.site);
    stage.install();
    stage.restart_agent();
    stage.wait_for_proxies(2);
    println!("{} processes killed at once", stage.site.home.reboot().len());
    stage.site.skep(&["ps"]).expect(0);
    stage.site.settle();
    stage.wait_for_proxies(1);
    stage.site.assert_serves(&stage.site.app.release);
}

/// A site whose programs can be replaced.
struct Stage {
    site: Site,
    programs: TempDir,
}

impl Stage {
    fn new(owner: Owner) -> Self {
        let programs = tempfile::Builder::new().prefix("skep-programs.").tempdir_in("/var/tmp");
        let programs = programs.unwrap();
        fs::set_permissions(programs.path(), fs::Permissions::from_mode(0o755)).unwrap();
        install(programs.path());
        let app = LedgerApp {
            server: Server::GunicornSync,
            processes: 2,
            tables: "[deploy]\nwatch = \"0s\"".into(),
            ..LedgerApp::new("ledger")
        };
        let site = Site::with_program(owner, app, &programs.path().join("skep"));
        Self { site, programs }
    }

    /// Replaces the programs, as an installation does.
    fn install(&self) {
        install(self.programs.path());
    }

    fn restart_agent(&self) {
        self.site.skep(&["agent:stop"]).expect(0);
        self.site.skep(&["agent:start"]).expect(0);
    }

    /// Replaces the programs, starts the agent anew, and waits until another proxy is the only one;
    /// `meanwhile` is done in between.
    #[track_caller]
    fn replaces_the_proxy(&mut self, load: &Running, what: &str, meanwhile: impl FnOnce(&Self)) {
        load.note(what);
        let before = self.proxy();
        let sockets = self.site.sockets();
        self.install();
        self.restart_agent();
        meanwhile(self);
        let after = self.wait_for_another(before);
        self.site.settle();
        assert_eq!(self.site.sockets(), sockets, "other sockets after {what}");
        println!("{what}: proxy {after} follows {before}; {} failed", load.failed());
        // It is told of what is deployed from now on.
        self.site.deploy_edit();
        assert_eq!(self.proxy(), after, "replaced once");
    }

    /// Returns the one proxy.
    #[track_caller]
    fn proxy(&self) -> u32 {
        self.wait_for_proxies(1).remove(0)
    }

    #[track_caller]
    fn wait_for_another(&self, before: u32) -> u32 {
        self.wait_for_another_within(RECOVERS_WITHIN, before)
    }

    #[track_caller]
    fn wait_for_another_within(&self, patience: Duration, before: u32) -> u32 {
        wait_for(patience, "another proxy alone", || match self.proxies().as_slice() {
            [proxy] if *proxy != before => Ok(*proxy),
            proxies => Err(format!("{proxies:?}")),
        })
    }

    #[track_caller]
    fn wait_for_proxies(&self, count: usize) -> Vec<u32> {
        wait_until(RECOVERS_WITHIN, &format!("{count} proxies"), || {
            let proxies = self.proxies();
            (proxies.len() == count).then_some(proxies)
        })
    }

    /// Returns the process of every proxy that runs.
    fn proxies(&self) -> Vec<u32> {
        let found = self.site.home.processes().into_iter();
        let proxies = found.filter(|process| process.command.contains(" proxy --home "));
        let mut pids: Vec<u32> = proxies.map(|process| process.pid).collect();
        pids.sort_unstable();
        pids
    }

    /// Returns where the next proxy's control socket will be.
    fn next_socket(&self) -> PathBuf {
        let socket = |generation| self.site.home.home().slot_socket("skep.proxy", generation, 0);
        let newest = (1..100).rfind(|generation| socket(*generation).exists());
        socket(newest.expect("there is a proxy") + 1)
    }
}

/// Puts copies of the programs into a directory, each under its name at once.
fn install(directory: &Path) {
    let built = Path::new(env!("CARGO_BIN_EXE_skep"));
    for name in ["skep", "skep-shim"] {
        let new = directory.join(format!("{name}.new"));
        fs::copy(built.with_file_name(name), &new).unwrap();
        fs::rename(new, directory.join(name)).unwrap();
    }
}

/// A client that keeps its connection and says nothing.
struct Idle(TcpStream);

impl Idle {
    fn connect(site: &Site) -> Self {
        let stream = TcpStream::connect(site.address()).unwrap();
        stream.set_read_timeout(Some(RECOVERS_WITHIN)).unwrap();
        let mut idle = Self(stream);
        assert!(!idle.ask().contains("connection: close"));
        idle
    }

    /// Asks for a page; returns the head of the answer in lower case.
    fn ask(&mut self) -> String {
        self.0.write_all(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap().to_lowercase()
    }
}
