//! What a process finds when it starts.

use std::os::fd::AsRawFd as _;

use control::shim::{Credentials, Phase, Request, SharedListener, SlotSpec, decode_listener_names};
use serde_json::Value;

use crate::fixture::{SLOT, Shim, both, is_root, session, start};

/// Writes down everything a process can see of how it was started.
const REPORT: &str = r"
import json, os, resource, socket
status = dict(line.rstrip('\n').split(':\t', 1) for line in open('/proc/self/status') if ':\t' in line)
fds = {}
for name in os.listdir('/proc/self/fd'):
    try: fds[name] = os.readlink('/proc/self/fd/' + name)
    except OSError: pass
def listens(fd):
    try: return socket.socket(fileno=os.dup(fd)).getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError: return None
def access(fd):
    import fcntl
    return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
um = os.umask(0)
report = {
    'environment': dict(os.environ), 'pid': os.getpid(), 'session': os.getsid(0), 'cwd': os.getcwd(),
    'fds': fds, 'listens': {fd: listens(int(fd)) for fd in fds}, 'stdout_access': access(1),
    'blocked': status['SigBlk'].strip(), 'ignored': status['SigIgn'].strip(),
    'umask': um, 'files': resource.getrlimit(resource.RLIMIT_NOFILE),
    'uid': os.getresuid(), 'gid': os.getresgid(), 'groups': os.getgroups(),
}
with open(os.environ['OUT'] + '.part', 'w') as f: json.dump(report, f)
os.rename(os.environ['OUT'] + '.part', os.environ['OUT'])
import signal; signal.pause()
";

fn report(shim: &Shim) -> Value {
    serde_json::from_str(&shim.wait_file("out")).unwrap()
}

#[test]
fn it_has_exactly_what_its_recipe_says() {
    both(|shim| {
        let mut client = shim.client();
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = SharedListener { name: "127.0.0.1:0".into(), address };
        client.accepted(Request::Open { listener });
        std::fs::write(shim.path("lease"), "").unwrap();
        let mut spec = SlotSpec {
            socket: shim.unix(),
            lease: Some(shim.path("lease")),
            open_files: Some(512),
            umask: 0o027,
            ..shim.python(REPORT)
        };
        spec.environment.push(("LISTEN_FDS".into(), "77".into()));
        let given: Vec<String> = spec.environment.iter().map(|(name, _)| name.clone()).collect();
        client.accepted(start(spec));
        let report = report(&shim);

        let environment = report["environment"].as_object().unwrap();
        let text = |name: &str| environment[name].as_str().unwrap();
        assert_eq!(text("LISTEN_FDS"), "2");
        assert_eq!(text("LISTEN_PID"), report["pid"].to_string());
        assert_eq!(decode_listener_names(text("LISTEN_FDNAMES")), ["slot", "127.0.0.1:0"]);
        let allowed = ["LISTEN_PID", "LISTEN_FDNAMES", "SKEP_START", "LC_CTYPE"];
        for name in environment.keys() {
            assert!(given.contains(name) || allowed.contains(&name.as_str()), "{name} was added");
        }
        let is_session = client.ready.unwrap().1 == control::shim::Containment::Session;
        assert_eq!(environment.contains_key("SKEP_START"), is_session);

        let fds = report["fds"].as_object().unwrap();
        // 3 and 4 are the sockets, 5 is the lease; Python had one more open to list them.
        assert!(fds["0"] == "/dev/null" && fds.len() == 6, "{fds:?}");
        for (fd, listens) in [("0", None), ("3", Some(1)), ("4", Some(1)), ("5", None)] {
            assert_eq!(report["listens"][fd].as_i64(), listens, "descriptor {fd}");
        }
        assert!(fds["5"].as_str().unwrap().ends_with("/lease"));
        assert!(fds["1"].as_str().unwrap().starts_with("pipe:") && fds["1"] != fds["2"]);
        assert_eq!(report["stdout_access"], 2, "not open for reading and writing");

        assert_eq!(report["session"], report["pid"]);
        assert_eq!(report["blocked"], "0000000000000000");
        // Python itself ignores SIGPIPE (13) and SIGXFSZ (25).
        assert_eq!(report["ignored"], "0000000001001000");
        assert_eq!(report["umask"], 0o027);
        assert_eq!(report["files"], serde_json::json!([512, 512]));
        let root = shim.root.path().canonicalize().unwrap();
        assert_eq!(report["cwd"], root.to_str().unwrap());

        // While it lives, its release is in use.
        let lease = std::fs::File::open(shim.path("lease")).unwrap();
        let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        assert!(rustix::fs::flock(&lease, exclusive).is_err());
        client.accepted(Request::Stop { slot: SLOT });
        client.wait_slot(SLOT, "stops", |state| state.phase == Phase::Stopped);
        rustix::fs::flock(&lease, exclusive).unwrap();
    });
}

#[test]
fn signals_ignored_by_the_starter_are_not_inherited() {
    let shim = session();
    let mut client = shim.client();
    let script =
        "grep -E 'SigIgn|SigBlk' /proc/self/status > out.part; mv out.part out; exec sleep 600";
    client.accepted(start(shim.sh(script)));
    let status = shim.wait_file("out");
    for line in status.lines() {
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
}

#[test]
fn it_becomes_whom_it_shall_be() {
    if !is_root() {
        println!("not tried: only root can become somebody else");
        return;
    }
    both(|shim| {
        let mut client = shim.client();
        let credentials = Credentials { uid: 4711, gid: 4712, groups: vec![4713, 4714] };
        let out = std::fs::File::create(shim.path("out.part")).unwrap();
        rustix::fs::fchown(&out, Some(rustix::process::Uid::from_raw(4711)), None).unwrap();
        assert!(out.as_raw_fd() > 2);
        let script = "id -u > out.part; id -g >> out.part; id -G >> out.part; \
            grep Cap[IP] /proc/self/status >> out.part; echo end >> out.part; exec sleep 600";
        client.accepted(start(SlotSpec { credentials: Some(credentials), ..shim.sh(script) }));
        // The directory is root's, so the file cannot be renamed by the process.
        let text = crate::fixture::wait_for("the report", || {
            let text = std::fs::read_to_string(shim.path("out.part")).unwrap();
            text.ends_with("end\n").then_some(text)
        });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..3], ["4711", "4712", "4712 4713 4714"]);
        assert!(lines[4].ends_with("0000000000000000"), "capabilities are left: {}", lines[4]);
    });
}

#[test]
fn an_ordinary_user_cannot_give_it_another_user() {
    if is_root() {
        println!("not tried: root can");
        return;
    }
    let shim = session();
    let mut client = shim.client();
    let credentials = Credentials { uid: 0, gid: 0, groups: vec![] };
    client.accepted(start(SlotSpec { credentials: Some(credentials), ..shim.sh("") }));
    let state = client.wait_slot(SLOT, "fails", |state| state.phase == Phase::Failed);
    let text = state.status_text.unwrap();
    assert_eq!(text, "set supplementary groups: operation not permitted");
}
