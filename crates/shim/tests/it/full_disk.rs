//! A disk that takes nothing more, and then does again: services go on, what was lost is counted.
//!
//! Tried with a limit on the shim's file sizes, which fails writes as a full disk does and needs no
//! privilege; and as root with a disk that is full: a small tmpfs in a mount namespace of the
//! shim's own.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use control::SlotId;
use control::shim::{AdoptSlot, Containment, Outcome, Phase, Request, RestartPolicy, SlotSpec};
use logs::{Filter, Reader, Start};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::client::Client;
use crate::fixture::{SLOT, Shim, is_root, session, start, take_held, wait_for};

/// More lines than fit the buffers of the shim and the little that is left of a page of the disk.
const FLOOD: usize = 20_000;

/// A shim whose directory can be made full.
enum Disk {
    Limited(Shim),
    Tmpfs(Shim),
}

impl Disk {
    fn limited() -> Self {
        Self::Limited(session())
    }

    /// Returns a shim in a mount namespace, whose directory is a tmpfs there.
    fn tmpfs() -> Self {
        let mut shim = Shim::place_for(Containment::Session).unwrap();
        fs::create_dir(shim.directory()).unwrap();
        let mount = format!(
            "mount -t tmpfs -o size=256k,mode=700 none {} && exec \"$0\" \"$@\"",
            shim.directory().display()
        );
        let command = shim.command_behind("unshare", &["--mount", "sh", "-c", &mount]);
        shim.launch_as(command);
        Self::Tmpfs(shim)
    }

    fn shim(&self) -> &Shim {
        match self {
            Self::Limited(shim) | Self::Tmpfs(shim) => shim,
        }
    }

    /// Returns the shim's directory as it is seen from here.
    fn directory(&self) -> PathBuf {
        match self {
            Self::Limited(shim) => shim.directory(),
            Self::Tmpfs(shim) => {
                let inside = shim.directory();
                let root = PathBuf::from(format!("/proc/{}/root", shim.pid()));
                root.join(inside.strip_prefix("/").unwrap())
            }
        }
    }

    fn fill(&self) {
        match self {
            Self::Limited(shim) => limit_files(shim, Some(1)),
            Self::Tmpfs(_) => {
                let mut filler = File::create(self.directory().join("filler")).unwrap();
                let error = filler.write_all(&vec![0; 1 << 20]).unwrap_err();
                assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
            }
        }
    }

    fn free(&self) {
        match self {
            Self::Limited(shim) => limit_files(shim, None),
            Self::Tmpfs(_) => fs::remove_file(self.directory().join("filler")).unwrap(),
        }
    }

    /// Returns the log's texts; a gap as its number of records and of bytes.
    fn log(&self) -> (Vec<String>, Vec<(usize, u64)>) {
        let logs = self.directory().join("logs");
        let mut reader = Reader::open(&logs, Start::Oldest, Filter::default()).unwrap();
        let (mut texts, mut gaps) = (Vec::new(), Vec::new());
        while let Some(entry) = reader.read_next().unwrap() {
            let text = String::from_utf8(entry.record.bytes.to_vec()).unwrap();
            if entry.record.gap {
                // `12 log records (345 bytes) are missing here: …`
                let mut words = text.split([' ', '(']);
                let records = words.next().unwrap().parse().unwrap();
                let bytes = words.nth(3).unwrap().parse().unwrap();
                gaps.push((records, bytes));
            } else {
                texts.push(text);
            }
        }
        (texts, gaps)
    }
}

fn limit_files(shim: &Shim, current: Option<u64>) {
    let pid = Pid::from_raw(shim.pid() as i32).unwrap();
    let maximum = rustix::process::getrlimit(Resource::Fsize).maximum;
    let current = current.or(maximum);
    prlimit(Some(pid), Resource::Fsize, Rlimit { current, maximum }).unwrap();
}

/// Runs a slot that ends by itself, and forgets it.
fn run(client: &mut Client, spec: SlotSpec) {
    let id = spec.id;
    client.accepted(start(SlotSpec { restart: RestartPolicy::Never, ..spec }));
    client.wait_slot(id, "finishes", |state| state.phase == Phase::Finished);
    client.accepted(Request::Remove { slot: id });
}

fn goes_on_and_heals(disk: &Disk) {
    let shim = disk.shim();
    let mut client = shim.client();
    client.dropped = Some(0);
    let other = |number, script: &str| SlotSpec { id: SlotId::new(2, number), ..shim.sh(script) };
    run(&mut client, other(0, "seq -f 'before %.0f' 100"));
    disk.fill();
    run(&mut client, other(1, &format!("seq -f 'full %.0f' {FLOOD}")));
    // What is left of a page takes a few records of the journal, not all of these.
    for number in 0..30 {
        run(&mut client, other(10 + number, "exit 0"));
    }
    // One starts and lives on.
    client.accepted(start(shim.sh("exec sleep 600")));
    let pid = client.wait_slot(SLOT, "runs", |s| s.phase == Phase::Running).process.unwrap().pid;
    client.accepted(Request::FlushLogs {});
    assert!(client.dropped.unwrap() > 0, "nothing was dropped");
    let journal = || fs::read(disk.directory().join("journal")).unwrap();
    let names_it = |journal: &[u8]| {
        let name = format!("\"pid\":{pid},");
        journal.windows(name.len()).any(|part| part == name.as_bytes())
    };
    assert!(!names_it(&journal()), "the journal was written");

    disk.free();
    wait_for("a whole journal", || names_it(&journal()).then_some(()));
    let notes = || fs::read_to_string(disk.directory().join("shim.log")).unwrap();
    wait_for("its note", || notes().contains("the journal is whole again, after: ").then_some(()));
    run(&mut client, other(2, "seq -f 'after %.0f' 100"));
    client.accepted(Request::FlushLogs {});

    let (texts, gaps) = disk.log();
    let lines = |word: &str| texts.iter().filter(|text| text.starts_with(word)).count();
    assert_eq!((lines("before "), lines("after ")), (100, 100));
    let missing = FLOOD - lines("full ");
    let (records, bytes): (Vec<usize>, Vec<u64>) = gaps.into_iter().unzip();
    assert!(missing > 0 && records.iter().sum::<usize>() >= missing, "{records:?}, {missing}");
    assert_eq!(Some(bytes.iter().sum::<u64>()), client.dropped);
}

#[test]
fn a_limit_on_file_sizes_is_a_full_disk_and_no_death() {
    goes_on_and_heals(&Disk::limited());
}

#[test]
fn a_full_disk_stops_no_service_and_is_told_once_there_is_space() {
    if !is_root() {
        println!("not tried: only root mounts a disk that is small enough to fill");
        return;
    }
    goes_on_and_heals(&Disk::tmpfs());
}

#[test]
fn a_killed_shim_is_replaced_on_a_full_disk() {
    let mut shim = session();
    let mut client = shim.client();
    let spec = shim.sh("exec sleep 600");
    client.accepted(start(spec.clone()));
    let pid = client.wait_slot(SLOT, "runs", |s| s.phase == Phase::Running).process.unwrap().pid;
    let (held, fds) = take_held(&mut client, SLOT);
    shim.kill();
    let command = shim.command_behind("sh", &["-c", "ulimit -S -f 0; exec \"$0\" \"$@\""]);
    shim.launch_as(command);
    let mut client = shim.client();
    client.dropped = Some(0);
    assert_eq!(client.adoptable, [(SLOT, pid)]);
    let slots = vec![AdoptSlot { spec, held }];
    let (outcome, _) = client.ask(Request::Adopt { slots, listeners: vec![] }, fds);
    assert_eq!(outcome, Outcome::Accepted);
    let state = client.wait_slot(SLOT, "is adopted", |state| state.phase == Phase::Running);
    assert_eq!(state.process.unwrap().pid, pid);
    limit_files(&shim, None);
    client.accepted(Request::Stop { slot: SLOT });
    client.wait_slot(SLOT, "stops", |state| state.phase == Phase::Stopped);
}
