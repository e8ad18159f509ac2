//! Messages between agent and shim.

use control::SlotId;
use control::shim::{
    AdoptSlot, Containment, Credentials, Exit, ExitStatus, Held, Message, Numbered, Outcome, Phase,
    Process, Request, RestartPolicy, SharedListener, SlotSocket, SlotSpec, SlotState,
};

use crate::golden;

fn slot() -> SlotId {
    SlotId::new(7, 0)
}

fn listener() -> SharedListener {
    SharedListener { name: "0.0.0.0:8000".into(), address: ([0, 0, 0, 0], 8000).into() }
}

fn spec() -> SlotSpec {
    SlotSpec {
        id: slot(),
        release: "v14".into(),
        program: "/srv/venv/bin/gunicorn".into(),
        arguments: vec!["gunicorn".into(), "shop.wsgi".into()],
        directory: "/srv/code".into(),
        environment: vec![("PORT".into(), "8000".into())],
        credentials: Some(Credentials { uid: 52000, gid: 52000, groups: vec![] }),
        socket: SlotSocket::Unix {
            path: "/run/slots/shop.web.g7.0".into(),
            mode: 0o660,
            group: Some(52001),
        },
        notify: false,
        restart: RestartPolicy::OnFailure,
        stop_signal: 15,
        signal_all: true,
        stop_grace_ms: 30_000,
        lease: Some("/srv/.lease".into()),
        umask: 0o022,
        open_files: Some(1024),
        process_socket: None,
    }
}

fn state(phase: Phase) -> SlotState {
    let exit = Exit {
        pid: 41,
        status: ExitStatus::Signal(9),
        at_ms: 1_795_239_116_741,
        lived_ms: 1200,
        requested: false,
    };
    SlotState {
        id: slot(),
        release: "v14".into(),
        phase,
        process: Some(Process { pid: 42, start_ticks: 515_736, started_at_ms: 1, adopted: true }),
        notified: true,
        status_text: Some("serving".into()),
        starts: 2,
        last_exit: Some(exit),
        incomplete: true,
    }
}

#[test]
fn requests() {
    let all = [
        ("start", Request::Start { slot: Box::new(spec()) }),
        ("start-process-socket", {
            let process_socket = Some("/run/slots/shop.web.g7.0/socket".into());
            let slot = SlotSpec { socket: SlotSocket::None, process_socket, ..spec() };
            Request::Start { slot: Box::new(slot) }
        }),
        ("stop", Request::Stop { slot: slot() }),
        ("remove", Request::Remove { slot: slot() }),
        ("open", Request::Open { listener: listener() }),
        ("close", Request::Close { name: "0.0.0.0:8000".into() }),
        (
            "adopt",
            Request::Adopt {
                slots: vec![AdoptSlot {
                    spec: spec(),
                    held: vec![Held::Socket, Held::Stdout, Held::Stderr, Held::Notify],
                }],
                listeners: vec![listener()],
            },
        ),
        ("discard", Request::Discard { slot: slot() }),
        ("flush-logs", Request::FlushLogs {}),
        ("exit", Request::Exit {}),
    ];
    for (name, request) in all {
        golden(&format!("shim-request-{name}"), &Numbered { id: 3, request });
    }
}

#[test]
fn messages() {
    let phases = [
        ("running", Phase::Running),
        ("clearing", Phase::Clearing),
        ("backoff", Phase::Backoff { delay_ms: 200 }),
        ("crash-loop", Phase::CrashLoop { delay_ms: 30_000 }),
        ("stopping", Phase::Stopping),
        ("stopped", Phase::Stopped),
        ("finished", Phase::Finished),
        ("failed", Phase::Failed),
    ];
    for (name, phase) in phases {
        golden(&format!("shim-slot-{name}"), &Message::Slot { state: state(phase) });
    }
    let outcomes = [
        ("accepted", Outcome::Accepted),
        ("refused", Outcome::Refused { reason: "a process lives".into() }),
        ("unsupported", Outcome::Unsupported),
    ];
    for (name, outcome) in outcomes {
        golden(&format!("shim-reply-{name}"), &Message::Reply { re: 3, outcome });
    }
    let held = vec![Held::Socket, Held::Stdout];
    golden("shim-holding", &Message::Holding { slot: slot(), held });
    golden("shim-holding-listener", &Message::HoldingListener { listener: listener() });
    golden("shim-removed", &Message::Removed { slot: slot() });
    golden("shim-adoptable", &Message::Adoptable { slot: slot(), pid: 42 });
    golden("shim-ready", &Message::Ready { pid: 40, containment: Containment::Cgroup });
    golden("shim-ready-session", &Message::Ready { pid: 40, containment: Containment::Session });
    let reason = "16 clients are the most".into();
    golden("shim-turned-away", &Message::TurnedAway { reason });
    let reason = "No space left on device".into();
    golden("shim-logs-dropped", &Message::LogsDropped { bytes: 4096, reason });
}
