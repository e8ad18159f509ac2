//! The apps run as they are written, here without Skep.

use std::process::Command;
use std::time::Duration;

use crate::apps::{LedgerApp, StartUp, Starts, missing_log_lines};
use crate::{Program, TempHome, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn holes_and_repetitions_in_numbered_lines_are_found() {
    let clean = ["log 7-a 1 x", "noise", "log 8-b 1 x", "log 7-a 2 y", "log 7-a 3"];
    assert!(missing_log_lines(clean).is_empty());
    let holes = ["log 7-a 1 x", "log 7-a 4 x", "log 8-b 2 x", "log 8-b 2 x"];
    let missing = missing_log_lines(holes);
    assert_eq!(missing["7-a"], [2, 3]);
    assert_eq!(missing["8-b"], [1, -2]);
}

#[test]
fn each_release_replaces_the_files_of_the_one_before() {
    let home = TempHome::bare();
    let directory = home.directory("app");
    let mut app = LedgerApp { worker: true, ..LedgerApp::new("shop") };
    app.write(&directory);
    app.release = "two".into();
    app.start_up = StartUp::Exits(3);
    app.web_settings = "hold = \"5s\"".into();
    app.write(&directory);
    let read = |name| std::fs::read_to_string(directory.join(name)).unwrap();
    assert_eq!(read("release.txt"), "two\n");
    assert_eq!(read("requirements.txt"), "gunicorn\n");
    let file = read("skep.toml");
    for part in ["app = \"shop\"", "\"exits:3\"", "hold = \"5s\"\n\n[services.worker]"] {
        assert!(file.contains(part), "{part:?} is missing in\n{file}");
    }
}

#[test]
fn the_worker_notes_a_double_start() {
    let home = TempHome::bare();
    let directory = home.directory("app");
    LedgerApp { worker: true, ..LedgerApp::new("shop") }.write(&directory);
    let start = || {
        let mut command = Command::new("python3");
        command.arg("worker.py").current_dir(&directory).env("WORKER_INTERVAL_MS", "5");
        Program::start(command)
    };
    let starts = || Starts::read(&directory.join("data/starts"));
    let mut first = start();
    first.wait_for_stdout(LIMIT, " 10 tick one");
    assert_eq!(starts(), Starts { good: 1, ..Starts::default() });
    let second = start();
    wait_until(LIMIT, "the note of the second", || (starts().double.len() == 1).then_some(()));
    drop(second);
    first.signal(15);
    let output = first.finish(LIMIT);
    assert_eq!(output.code, Some(0));
    assert!(missing_log_lines(output.stdout.lines()).is_empty());
    assert_eq!((starts().good, starts().stops), (1, 1));
}

#[test]
fn the_ledger_answers_and_appends_over_wsgi_and_asgi() {
    let home = TempHome::bare();
    // The applications themselves; the servers are proved by the end-to-end tests.
    let wsgi = "
import io, json
from ledger import application
def call(method, path, query='', body=b''):
    seen = []
    environ = {'REQUEST_METHOD': method, 'PATH_INFO': path, 'QUERY_STRING': query,
               'CONTENT_LENGTH': str(len(body)), 'wsgi.input': io.BytesIO(body)}
    out = b''.join(application(environ, lambda status, headers: seen.append(status)))
    return seen[0], out.decode()
";
    let asgi = "
import asyncio
from ledger import application
def call(method, path, query='', body=b''):
    sent = []
    async def receive():
        return {'type': 'http.request', 'body': body, 'more_body': False}
    async def send(message):
        sent.append(message)
    scope = {'type': 'http', 'method': method, 'path': path, 'query_string': query.encode()}
    asyncio.run(application(scope, receive, send))
    return str(sent[0]['status']), sent[1]['body'].decode()
";
    let script = "
assert call('GET', '/')[1].startswith('release one pid '), call('GET', '/')
assert call('POST', '/append', body=b'{\"id\": \"a1\"}')[1] == 'a1'
assert call('GET', '/slow', 'ms=1')[0].startswith('200')
assert call('GET', '/nothing')[0].startswith('404')
";
    for (server, client) in
        [(crate::apps::Server::GunicornThreads, wsgi), (crate::apps::Server::Uvicorn, asgi)]
    {
        let directory = home.directory(&format!("{server:?}"));
        LedgerApp { server, ..LedgerApp::new("shop") }.write(&directory);
        let python = |start: &str| {
            let mut command = Command::new("python3");
            command.args(["-c", &format!("{client}{script}")]).current_dir(&directory);
            Program::start({
                command.env("LEDGER_START", start);
                command
            })
            .finish(LIMIT)
        };
        let output = python("good").expect(0);
        assert!(missing_log_lines(output.stdout.lines()).is_empty());
        assert_eq!(output.stdout.lines().count(), 4, "{output}");
        assert_eq!(std::fs::read_to_string(directory.join("data/ledger")).unwrap(), "a1\n");
        assert!(python("raises").expect(1).stderr.contains("STRIPE_KEY"));
        python("exits:3").expect(3);
    }
}
