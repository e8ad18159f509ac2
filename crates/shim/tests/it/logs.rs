//! What processes write.

use control::shim::{Phase, Request, RestartPolicy, SlotSpec};
use logs::Stream;

use crate::fixture::{SLOT, both, session, start};

#[test]
fn nothing_is_lost_of_a_process_that_kills_itself() {
    both(|shim| {
        let mut client = shim.client();
        let script = "import os, signal\n\
            for n in range(20000): os.write(1, b'%d line\\n' % n)\n\
            os.write(2, b'no newline')\n\
            os.kill(os.getpid(), signal.SIGKILL)";
        client.accepted(start(SlotSpec { restart: RestartPolicy::Never, ..shim.python(script) }));
        client.wait_slot(SLOT, "finishes", |state| state.phase == Phase::Finished);
        client.accepted(Request::FlushLogs {});
        let lines = shim.log(Stream::Stdout);
        assert_eq!(lines.len(), 20000);
        for (number, line) in lines.iter().enumerate() {
            assert_eq!(*line, format!("{number} line"));
        }
        assert_eq!(shim.log(Stream::Stderr), ["no newline"]);
        let events = shim.log(Stream::Shim);
        assert!(events.iter().any(|text| text.contains("ended: signal 9")), "{events:?}");
    });
}

#[test]
fn a_flood_delays_no_request_and_a_stop_reads_to_the_end() {
    let shim = session();
    let mut client = shim.client();
    let script = "import os, signal, sys\n\
        go = True\n\
        def stop(*_):\n global go\n go = False\n\
        signal.signal(signal.SIGTERM, stop)\n\
        n = 0\n\
        while go:\n\
        \x20 text = b''.join(b'%d\\n' % k for k in range(n, n + 1000))\n\
        \x20 while text: text = text[os.write(1, text):] # a signal cuts a write short\n\
        \x20 n += 1000\n\
        \x20 if n == 1000: open('up', 'w')\n\
        open(os.environ['OUT'], 'w').write(str(n))";
    client.accepted(start(SlotSpec { restart: RestartPolicy::Never, ..shim.python(script) }));
    shim.wait_file("up");
    for _ in 0..10 {
        client.accepted(Request::FlushLogs {});
    }
    client.accepted(Request::Stop { slot: SLOT });
    client.wait_slot(SLOT, "stops", |state| state.phase == Phase::Stopped);
    let written: usize = shim.wait_file("out").parse().unwrap();
    client.accepted(Request::FlushLogs {});
    let lines = shim.log(Stream::Stdout);
    // Rotation may have deleted the oldest, and cut a line with them; what is there has no hole and
    // reaches the end.
    let numbers: Vec<usize> = lines[1..].iter().map(|line| line.parse().unwrap()).collect();
    let holes: Vec<_> = numbers.windows(2).filter(|pair| pair[0] + 1 != pair[1]).collect();
    assert_eq!(holes, [[0usize; 2]; 0]);
    assert_eq!(numbers.last().copied(), Some(written - 1));
}

#[test]
fn the_beginning_of_a_line_is_written_when_it_is_asked_for() {
    let shim = session();
    let mut client = shim.client();
    client.accepted(start(shim.sh("printf 'pass'; : > up; exec sleep 600")));
    shim.wait_file("up");
    client.accepted(Request::FlushLogs {});
    assert_eq!(shim.log(Stream::Stdout), ["pass"]);
}

#[test]
fn no_value_of_an_environment_is_written_to_disk() {
    let shim = session();
    let mut client = shim.client();
    let mut spec = shim.sh("exec sleep 600");
    spec.environment.push(("PASSWORD".into(), "correct-horse-battery".into()));
    client.accepted(start(spec));
    client.wait_slot(SLOT, "runs", |state| state.phase == Phase::Running);
    client.accepted(Request::FlushLogs {});
    let mut files = 0;
    for directory in [shim.directory(), shim.directory().join("logs")] {
        for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                let bytes = std::fs::read(entry.path()).unwrap();
                assert!(!String::from_utf8_lossy(&bytes).contains("correct-horse"), "{entry:?}");
                files += 1;
            }
        }
    }
    assert!(files >= 3, "journal, lock and a log segment were expected");
}
