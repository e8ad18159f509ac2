//! `sd_notify`.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use control::shim::SlotSpec;

use crate::fixture::{SLOT, both, start};

#[test]
fn only_the_slots_own_processes_are_believed() {
    both(|shim| {
        let mut client = shim.client();
        // A child of the main process speaks, after a stranger has tried.
        let script = "import os, socket, time\n\
            name = os.environ['NOTIFY_SOCKET']\n\
            out = os.environ['OUT']\n\
            open(out + '.part', 'w').write(name); os.rename(out + '.part', out)\n\
            while not os.path.exists(out + '.go'): time.sleep(0.005)\n\
            if os.fork() == 0:\n\
            \x20 s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
            \x20 s.connect('\\0' + name[1:])\n\
            \x20 s.send(b'STATUS=warm')\n\
            \x20 s.send(b'READY=1\\nSTATUS=serving')\n\
            time.sleep(600)";
        client.accepted(start(SlotSpec { notify: true, ..shim.python(script) }));
        let name = shim.wait_file("out");
        let to = SocketAddr::from_abstract_name(name.strip_prefix('@').unwrap()).unwrap();
        UnixDatagram::unbound().unwrap().send_to_addr(b"READY=1\nSTATUS=liar", &to).unwrap();
        std::fs::write(shim.path("out.go"), "").unwrap();
        let state = client.wait_slot(SLOT, "is ready", |state| state.notified);
        assert_eq!(state.status_text.as_deref(), Some("serving"));
        let liar = Some("liar".to_owned());
        assert!(client.seen.iter().all(|state| state.status_text != liar));
    });
}
