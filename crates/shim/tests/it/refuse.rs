//! Connections that nobody accepts.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use control::shim::{Phase, REFUSED_HEADER, REFUSED_RESPONSE, Request, RestartPolicy, SlotSpec};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::{Client, PATIENCE};
use crate::fixture::{SLOT, both, start};

fn connect(path: &str) -> UnixStream {
    let stream = UnixStream::from(disk::socket::connect_stream(Path::new(path)).unwrap());
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn kill_main(client: &Client) {
    let pid = client.slots[&SLOT].process.unwrap().pid as i32;
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

fn assert_refused(mut stream: UnixStream) {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, REFUSED_RESPONSE);
}

#[test]
fn queued_and_new_connections_of_a_dead_slot_are_refused() {
    both(|shim| {
        let mut client = shim.client();
        let spec = SlotSpec {
            socket: shim.unix(),
            restart: RestartPolicy::Never,
            ..shim.sh("exec sleep 600")
        };
        client.accepted(start(spec.clone()));
        client.wait_slot(SLOT, "runs", |state| state.phase == Phase::Running);
        let path = shim.path("slot");
        let mut queued: Vec<UnixStream> = (0..300).map(|_| connect(&path)).collect();
        for stream in &mut queued {
            stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\nhalf").unwrap();
        }
        // One that is gone, one that still writes when it is answered.
        drop(queued.pop());
        let mut writer = connect(&path);
        let mut copy = writer.try_clone().unwrap();
        let writing = std::thread::spawn(move || copy.write_all(&vec![b'x'; 1 << 20]));
        kill_main(&client);
        client.wait_slot(SLOT, "finishes", |state| state.phase == Phase::Finished);
        queued.into_iter().for_each(assert_refused);
        let mut answer = Vec::new();
        writer.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, REFUSED_RESPONSE);
        drop(writer);
        writing.join().unwrap().unwrap();
        assert_refused(connect(&path));
        let text = String::from_utf8(REFUSED_RESPONSE.to_vec()).unwrap();
        assert!(text.contains(REFUSED_HEADER) && text.ends_with("\r\n\r\n"));
    });
}

/// Serves one line for each connection, but not in its first life: then it does not accept.
const SECOND_LIFE: &str = "import os, socket, time\n\
    s = socket.socket(fileno=3)\n\
    if not os.path.exists('first'):\n\
    \x20 open('first', 'w'); time.sleep(600)\n\
    while True:\n\
    \x20 c, _ = s.accept(); c.sendall(b'served'); c.close()\n";

#[test]
fn at_an_immediate_restart_they_wait_for_the_next_process() {
    both(|shim| {
        let mut client = shim.client();
        client.accepted(start(SlotSpec { socket: shim.unix(), ..shim.python(SECOND_LIFE) }));
        shim.wait_file("first");
        client.wait_slot(SLOT, "runs", |state| state.process.is_some());
        let mut waiting = connect(&shim.path("slot"));
        kill_main(&client);
        let mut answer = String::new();
        waiting.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "served");
        // The accepting process blocks: refusing leaves the listener as it was.
        client.accepted(Request::Stop { slot: SLOT });
        client.wait_slot(SLOT, "stops", |state| state.phase == Phase::Stopped);
        assert_refused(connect(&shim.path("slot")));
        client.accepted(start(SlotSpec { socket: shim.unix(), ..shim.python(SECOND_LIFE) }));
        client.wait_slot(SLOT, "runs", |state| state.phase == Phase::Running);
        let mut answer = String::new();
        connect(&shim.path("slot")).read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "served");
    });
}
