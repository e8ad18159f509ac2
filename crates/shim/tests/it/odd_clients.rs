//! Clients that forget, stall, or stop in the middle of a word.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use control::shim::{AdoptSlot, Outcome, Phase, Request, SlotSpec};
use control::{Connection, Hello, PROTOCOL, Received, Role};
use rustix::process::Signal;

use crate::client::Client;
use crate::fixture::{SLOT, Shim, both, session, start, wait_for};

/// As many as the shim takes.
const MAX_CLIENTS: usize = 16;

fn client_as(role: Role, shim: &Shim) -> Client {
    Client::connect_as(role, &shim.socket(), &shim.installation)
}

fn hello(shim: &Shim) -> Hello {
    Hello {
        protocol: PROTOCOL,
        role: Role::Agent,
        build: String::new(),
        boot_id: disk::boot_id().unwrap(),
        installation: shim.installation.clone(),
    }
}

#[test]
fn forgotten_clients_turn_commands_away_and_keep_no_agent_out() {
    let shim = session();
    let mut forgotten: Vec<Client> = Vec::new();
    // The one that looked whether it is at work may still be seen.
    wait_for("room for all", || {
        forgotten.clear();
        for _ in 0..MAX_CLIENTS {
            let mut client = client_as(Role::Command, &shim);
            client.wait("an answer", |one| one.ready.is_some() || one.turned_away.is_some());
            forgotten.push(client);
        }
        forgotten.iter().all(|client| client.ready.is_some()).then_some(())
    });
    let mut command = client_as(Role::Command, &shim);
    command.wait_closed();
    assert_eq!(command.turned_away.unwrap(), "16 clients are the most of one shim");

    // Those that speak are not the forgotten ones.
    forgotten[0].accepted(Request::FlushLogs {});
    let mut agent = shim.client();
    agent.accepted(Request::FlushLogs {});
    forgotten[1].wait_closed();
    assert!(forgotten[1].turned_away.as_ref().unwrap().contains("an agent came"));
    forgotten[0].accepted(Request::FlushLogs {});

    let agents: Vec<Client> = (0..2 * MAX_CLIENTS).map(|_| shim.client()).collect();
    let mut last = agents.into_iter().next_back().unwrap();
    last.accepted(Request::FlushLogs {});
    for mut client in forgotten {
        client.wait_closed();
    }
}

#[test]
fn silent_connections_keep_nobody_out() {
    let shim = session();
    let connect = || UnixStream::connect(shim.socket()).unwrap();
    let mut half = connect();
    half.write_all(&[0, 0]).unwrap();
    let silent: Vec<UnixStream> = (0..3 * MAX_CLIENTS).map(|_| connect()).collect();
    let mut client = shim.client();
    client.accepted(Request::FlushLogs {});
    // The oldest gave their places.
    for stream in [half].into_iter().chain(silent).take(MAX_CLIENTS) {
        let mut connection = Connection::new(stream.into()).unwrap();
        wait_for("the end", || match connection.receive::<Hello>() {
            Ok(Received::Closed) | Err(_) => Some(()),
            Ok(_) => None,
        });
    }
}

#[test]
fn half_a_frame_holds_up_nobody() {
    let shim = session();
    let stream = UnixStream::connect(shim.socket()).unwrap();
    let mut raw = stream.try_clone().unwrap();
    let mut connection = Connection::new(stream.into()).unwrap();
    connection.send(&hello(&shim), Vec::new()).unwrap();
    raw.write_all(&[0, 2, 0, 0, b'{', b'"']).unwrap();
    let mut client = shim.client();
    client.accepted(start(shim.sh("exec sleep 600")));
    client.wait_slot(SLOT, "runs", |state| state.phase == Phase::Running);
    // It is told everything, like anybody.
    wait_for("the state", || match connection.receive::<serde_json::Value>().unwrap() {
        Received::Message(message, _) => (message["type"] == "slot").then_some(()),
        Received::Pending => None,
        Received::Closed => panic!("it was dropped"),
    });
}

#[test]
fn a_client_that_never_reads_is_cut_alone() {
    /// A state has more than a KiB, so that these are twice what is kept for one client.
    const ENOUGH: usize = 8 << 10;
    let shim = session();
    let stalled = shim.client();
    let mut client = shim.client();
    let spec = SlotSpec { release: "v".repeat(1024), ..shim.sh("exec sleep 600") };
    client.accepted(start(spec.clone()));
    let mut asked = 0;
    while !stalled.is_hung_up() {
        assert!(asked < ENOUGH, "it is kept for ever");
        // The slot runs: its state is told again.
        client.accepted(start(spec.clone()));
        asked += 1;
    }
    client.seen.clear();
    client.accepted(Request::FlushLogs {});
    shim.client().accepted(Request::FlushLogs {});
}

#[test]
fn names_too_long_for_a_message_are_refused() {
    let shim = session();
    let mut client = shim.client();
    let long = "v".repeat(300_000);
    let refused = client.refused(start(SlotSpec { release: long.clone(), ..shim.sh("") }));
    assert!(refused.contains("too long"), "{refused}");
    let program = format!("/{long}");
    let refused = client.refused(start(SlotSpec { program, ..shim.sh("") }));
    assert!(refused.contains("too long"), "{refused}");
}

#[test]
fn another_installation_is_told_nothing() {
    let shim = session();
    let mut connection = Connection::new(disk::socket::connect_stream(&shim.socket()).unwrap());
    let connection = connection.as_mut().unwrap();
    let stranger = Hello { installation: "another".into(), ..hello(&shim) };
    connection.send(&stranger, Vec::new()).unwrap();
    let mut told = Vec::new();
    wait_for("the end", || match connection.receive::<serde_json::Value>() {
        Ok(Received::Message(message, _)) => {
            told.push(message);
            None
        }
        Ok(Received::Pending) => None,
        Ok(Received::Closed) | Err(_) => Some(()),
    });
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["installation"], shim.installation);
}

/// Sends requests so that they are read in one go.
fn send_at_once(shim: &Shim, client: &mut Client, requests: [Request; 2]) -> [Outcome; 2] {
    shim.signal(Signal::STOP);
    let numbers = requests.map(|request| client.send(request, Vec::new()));
    shim.signal(Signal::CONT);
    numbers.map(|number| client.reply(number).0)
}

#[test]
fn what_is_being_ended_is_neither_adopted_nor_started_beside() {
    both(|mut shim| {
        let mut client = shim.client();
        let spec = shim.sh("trap '' TERM; : > up; while :; do sleep 600; done");
        for again in [
            start(spec.clone()),
            Request::Adopt {
                slots: vec![AdoptSlot { spec: spec.clone(), held: vec![] }],
                listeners: vec![],
            },
        ] {
            client.accepted(start(spec.clone()));
            shim.wait_file("up");
            shim.kill();
            shim.launch();
            client = shim.client();
            let discard = Request::Discard { slot: SLOT };
            let [discarded, refused] = send_at_once(&shim, &mut client, [discard, again]);
            assert_eq!(discarded, Outcome::Accepted);
            let Outcome::Refused { reason } = refused else { panic!("it is {refused:?}") };
            assert!(reason.contains("is being ended"), "{reason}");
            client.wait("the end", |client| client.removed == [SLOT]);
            assert_eq!(shim.processes(), [0u32; 0]);
            std::fs::remove_file(shim.path("up")).unwrap();
        }
    });
}

#[test]
fn a_shim_that_was_asked_to_end_starts_nothing() {
    both(|mut shim| {
        let mut client = shim.client();
        let requests = [Request::Exit {}, start(shim.sh("exec sleep 600"))];
        let [ended, refused] = send_at_once(&shim, &mut client, requests);
        assert_eq!(ended, Outcome::Accepted);
        assert!(matches!(refused, Outcome::Refused { .. }), "it is {refused:?}");
        assert_eq!(shim.wait().code(), Some(0));
        assert_eq!(shim.processes(), [0u32; 0]);
    });
}
