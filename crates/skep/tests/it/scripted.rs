//! An agent that answers what the test says, when the test says it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::context::Context;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `GET /v1/apps`
    pub(crate) line: String,
    /// Its body.
    pub(crate) body: String,
}

/// The requests so far; can be waited for.
#[derive(Default)]
pub(crate) struct Seen {
    requests: Mutex<Vec<Request>>,
    changed: Condvar,
    gone: Mutex<Vec<String>>,
}

impl Seen {
    /// Returns the requests whose line begins so.
    pub(crate) fn all(&self, line: &str) -> Vec<Request> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| request.line.starts_with(line)).cloned().collect()
    }

    /// Waits for a request whose line begins so.
    pub(crate) fn wait(&self, line: &str) {
        let requests = self.requests.lock().unwrap();
        let missing = |all: &mut Vec<Request>| !all.iter().any(|one| one.line.starts_with(line));
        let (requests, late) =
            self.changed.wait_timeout_while(requests, PATIENCE, missing).unwrap();
        drop(requests);
        assert!(!late.timed_out(), "no request `{line}` came");
    }

    /// Waits until the client of the request whose line begins so has hung up.
    pub(crate) fn wait_gone(&self, line: &str) {
        let gone = self.gone.lock().unwrap();
        let missing = |all: &mut Vec<String>| !all.iter().any(|one| one.starts_with(line));
        let (gone, late) = self.changed.wait_timeout_while(gone, PATIENCE, missing).unwrap();
        drop(gone);
        assert!(!late.timed_out(), "the client of `{line}` did not hang up");
    }
}

/// An answer in the making.
pub(crate) struct Answer<'a> {
    stream: &'a UnixStream,
    seen: &'a Seen,
}

impl Answer<'_> {
    /// Answers with a status and a body.
    pub(crate) fn send(&mut self, status: u16, body: &str) {
        let length = body.len();
        let text = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n{body}");
        let _ = self.stream.write_all(text.as_bytes());
    }

    /// Begins a stream, which ends with the connection.
    pub(crate) fn begin(&mut self) {
        let _ = self.stream.write_all(b"HTTP/1.1 200 x\r\nconnection: close\r\n\r\n");
    }

    /// Sends a line of a stream; false when nobody reads any more.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        self.stream.write_all(format!("{line}\n").as_bytes()).is_ok()
    }

    /// Waits for another request.
    pub(crate) fn wait(&self, line: &str) {
        self.seen.wait(line);
    }

    /// Waits until the client hangs up.
    pub(crate) fn wait_hang_up(&mut self) {
        let _ = self.stream.read(&mut [0]);
    }
}

/// The scripted agent of a context; ends when dropped.
pub(crate) struct Agent {
    pub(crate) seen: Arc<Seen>,
    listener: UnixListener,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    /// Makes an installation and answers for it.
    pub(crate) fn start(
        context: &Context,
        script: impl Fn(&Request, &mut Answer<'_>) + Send + Sync + 'static,
    ) -> Self {
        let run = context.home().join("run");
        std::fs::create_dir_all(&run).unwrap();
        std::fs::write(context.home().join("FORMAT"), "skep-home 1 abcdef012345\n").unwrap();
        let listener = UnixListener::bind(run.join("api.sock")).unwrap();
        let ours = listener.try_clone().unwrap();
        let seen = Arc::new(Seen::default());
        let all = Arc::clone(&seen);
        let script = Arc::new(script);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (script, all) = (Arc::clone(&script), Arc::clone(&all));
                let Some(request) = read_request(&stream) else { continue };
                std::thread::spawn(move || {
                    all.requests.lock().unwrap().push(request.clone());
                    all.changed.notify_all();
                    script(&request, &mut Answer { stream: &stream, seen: &all });
                    let _ = stream.shutdown(std::net::Shutdown::Write);
                    let _ = (&stream).read(&mut [0]);
                    all.gone.lock().unwrap().push(request.line);
                    all.changed.notify_all();
                });
            }
        });
        Self { seen, listener: ours, thread: Some(thread) }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Wakes the accepting thread, wherever the socket's file is by now.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads a request; `None` for a connection that only looked whether somebody is there.
fn read_request(stream: &UnixStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let line = line.trim_end().strip_suffix(" HTTP/1.1")?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        match header.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().ok()?;
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { line, body: String::from_utf8(body).ok()? })
}

/// Reads a child's stream until a line holds `text`; returns all lines up to it.
pub(crate) fn read_until(reader: &mut impl BufRead, text: &str) -> String {
    let began = Instant::now();
    let mut all = String::new();
    while began.elapsed() < PATIENCE {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 {
            break;
        }
        all.push_str(&line);
        if line.contains(text) {
            return all;
        }
    }
    panic!("no `{text}` in:\n{all}");
}
