//! The table: one row a server. A comment says on which version a row was tried, or that it was
//! not.

use super::{Arguments, Called, KeepAlive, Listens, Profile, Variable, When};

/// Requests at once in a slot that serves them one by one: a short queue in front of each of its
/// children, far below the backlog of its socket.
pub const IN_FLIGHT_ONE_BY_ONE: u32 = 64;

/// Requests at once in a slot with an event loop: below the 1024 descriptors that a process may
/// usually have.
pub const IN_FLIGHT_CONCURRENT: u32 = 512;

const TERM: i32 = 15;
const INT: i32 = 2;

const fn called(
    programs: &'static [&'static str],
    modules: &'static [&'static str],
    verbs: &'static [&'static str],
) -> Called {
    Called { programs, modules, verbs }
}

const fn variable(
    name: &'static str,
    value: &'static str,
    when: When,
    why: &'static str,
) -> Variable {
    Variable { name, value, why, when }
}

/// Set for every service, whatever its server.
pub(super) const COMMON: &[Variable] = &[
    variable(
        "PORT",
        "{port}",
        When::Listening,
        "where to listen; set also beside a held socket, because gunicorn refuses an empty `$PORT`",
    ),
    variable(
        "FORWARDED_ALLOW_IPS",
        "*",
        When::UnixSocket,
        "only the proxy reaches the slot's socket, so its X-Forwarded headers are believed",
    ),
    variable(
        "PYTHONUNBUFFERED",
        "1",
        When::Always,
        "a killed Python process would take the lines in its buffer with it",
    ),
    variable(
        "XDG_RUNTIME_DIR",
        "{runtime}",
        When::Always,
        "control sockets such as gunicorn's; two slots must not share one",
    ),
];

const WORKER: Profile = Profile {
    name: "",
    called: called(&[], &[], &[]),
    listens: Listens::Never,
    variables: &[],
    arguments: None,
    stop_signal: TERM,
    keep_alive: KeepAlive { seconds: 0, option: "" },
    in_flight: IN_FLIGHT_ONE_BY_ONE,
    note: None,
};

const SERVER: Profile = Profile { listens: Listens::Port, ..WORKER };

/// Every known server, most specific first.
pub static PROFILES: &[Profile] = &[
    // gunicorn 27: takes LISTEN_FDS, which wins over `-b`; sync workers close each connection,
    // gthread keeps it 2 s (gevent and uvicorn workers not tried); `gunicorn.ctl` lies in
    // XDG_RUNTIME_DIR since 25.1; TERM is graceful.
    Profile {
        name: "gunicorn",
        called: called(&["gunicorn"], &["gunicorn"], &[]),
        listens: Listens::Fd,
        keep_alive: KeepAlive { seconds: 2, option: "--keep-alive" },
        ..SERVER
    },
    // uvicorn 0.54: ignores LISTEN_FDS; reads each option from UVICORN_…; believes
    // X-Forwarded-Proto on unix sockets only with FORWARDED_ALLOW_IPS.
    Profile {
        name: "uvicorn",
        called: called(&["uvicorn"], &["uvicorn"], &[]),
        listens: Listens::Fd,
        variables: &[
            variable("UVICORN_FD", "3", When::Fd, "uvicorn ignores LISTEN_FDS"),
            variable("UVICORN_UDS", "{port}", When::Path, "uvicorn ignores PORT"),
            variable("UVICORN_PORT", "{port}", When::Port, "uvicorn ignores PORT"),
        ],
        keep_alive: KeepAlive { seconds: 5, option: "--timeout-keep-alive" },
        in_flight: IN_FLIGHT_CONCURRENT,
        ..SERVER
    },
    // hypercorn 0.18: no variable for its address.
    Profile {
        name: "hypercorn",
        called: called(&["hypercorn"], &["hypercorn"], &[]),
        arguments: Some(Arguments {
            words: &["--bind", "127.0.0.1:${PORT}"],
            unless: &["-b", "--bind", "-c", "--config"],
            unless_positional: false,
        }),
        keep_alive: KeepAlive { seconds: 5, option: "--keep-alive" },
        in_flight: IN_FLIGHT_CONCURRENT,
        ..SERVER
    },
    // granian 2.8: reads each option from GRANIAN_…; keeps connections longer than 8 s.
    Profile {
        name: "granian",
        called: called(&["granian"], &["granian"], &[]),
        variables: &[
            variable("GRANIAN_PORT", "{port}", When::Port, "granian ignores PORT"),
            variable("GRANIAN_UDS", "{port}", When::Path, "granian ignores PORT"),
        ],
        keep_alive: KeepAlive { seconds: 8, option: "" },
        in_flight: IN_FLIGHT_CONCURRENT,
        ..SERVER
    },
    // waitress 3.0: no variable; its option parser stops at the application, so the address goes
    // before it; TERM kills it at once, INT closes it in order.
    Profile {
        name: "waitress",
        called: called(&["waitress-serve"], &["waitress"], &[]),
        arguments: Some(Arguments {
            words: &["--listen=127.0.0.1:${PORT}"],
            unless: &["--listen", "--port", "--host", "--unix-socket"],
            unless_positional: false,
        }),
        stop_signal: INT,
        keep_alive: KeepAlive { seconds: 120, option: "--channel-timeout" },
        ..SERVER
    },
    // daphne 4.2: no variable; keeps connections longer than 8 s.
    Profile {
        name: "daphne",
        called: called(&["daphne"], &["daphne"], &[]),
        arguments: Some(Arguments {
            words: &["-b", "127.0.0.1", "-p", "${PORT}"],
            unless: &["-p", "--port", "-b", "--bind", "-u", "--unix-socket", "--fd", "-e"],
            unless_positional: false,
        }),
        keep_alive: KeepAlive { seconds: 8, option: "" },
        in_flight: IN_FLIGHT_CONCURRENT,
        ..SERVER
    },
    // uWSGI 2.0: INT ends it; TERM reloads it unless `die-on-term`, says its manual.
    Profile {
        name: "uwsgi",
        called: called(&["uwsgi"], &[], &[]),
        stop_signal: INT,
        note: Some("uWSGI must be told to speak HTTP on the port: `--http-socket 127.0.0.1:$PORT`"),
        ..SERVER
    },
    // Flask 3.1: the development server reads its options from FLASK_RUN_…
    Profile {
        name: "flask",
        called: called(&["flask"], &["flask"], &["run"]),
        variables: &[variable("FLASK_RUN_PORT", "{port}", When::Port, "flask run ignores PORT")],
        note: Some("`flask run` is a development server; gunicorn deploys without a lost request"),
        ..SERVER
    },
    // Django 5: the address is a positional word behind `runserver`; the reloader only costs here.
    Profile {
        name: "runserver",
        called: called(&["manage.py", "django-admin"], &["django"], &["runserver"]),
        arguments: Some(Arguments {
            words: &["--noreload", "127.0.0.1:${PORT}"],
            unless: &[],
            unless_positional: true,
        }),
        note: Some("`runserver` is a development server; gunicorn deploys without a lost request"),
        ..SERVER
    },
    // Celery 5: TERM is a warm shutdown: running tasks are finished.
    Profile {
        name: "celery",
        called: called(&["celery"], &["celery"], &["worker", "beat"]),
        ..WORKER
    },
    // RQ 2, read in its source, not tried: TERM finishes the running job.
    Profile { name: "rq", called: called(&["rq"], &["rq"], &["worker", "worker-pool"]), ..WORKER },
    Profile { name: "rq", called: called(&["rqworker"], &[], &[]), ..WORKER },
    Profile { name: "rq", called: called(&["manage.py"], &[], &["rqworker"]), ..WORKER },
    // dramatiq 2: TERM finishes running messages.
    Profile { name: "dramatiq", called: called(&["dramatiq"], &["dramatiq"], &[]), ..WORKER },
    Profile { name: "dramatiq", called: called(&["manage.py"], &[], &["rundramatiq"]), ..WORKER },
    // Huey 3: TERM interrupts running tasks, INT finishes them.
    Profile {
        name: "huey",
        called: called(&["huey_consumer", "huey_consumer.py"], &["huey.bin.huey_consumer"], &[]),
        stop_signal: INT,
        ..WORKER
    },
    Profile {
        name: "huey",
        called: called(&["manage.py"], &[], &["run_huey", "djangohuey"]),
        stop_signal: INT,
        ..WORKER
    },
    // Not tried: TERM is the usual choice.
    Profile { name: "django-q", called: called(&["manage.py"], &[], &["qcluster"]), ..WORKER },
    // Node 20 (`node` tried, its launchers not): http servers keep idle connections 5 s (and close
    // them within the sixth).
    Profile {
        name: "node",
        called: called(&["node", "nodejs", "npm", "npx", "yarn", "pnpm"], &[], &[]),
        listens: Listens::IfWeb,
        keep_alive: KeepAlive { seconds: 5, option: "" },
        in_flight: IN_FLIGHT_CONCURRENT,
        ..WORKER
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::by_name;

    #[test]
    fn each_name_in_the_table_means_one_set_of_variables() {
        for profile in PROFILES {
            let first = by_name(profile.name).unwrap();
            assert_eq!(first.variables.len(), profile.variables.len(), "{}", profile.name);
            assert_eq!(first.listens, profile.listens, "{}", profile.name);
        }
    }
}
