//! Upstream servers: a thread a connection, and a script for what it does with each.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use http1::{BodyDecoder, HeadScanner, HeaderSpace, parse_request};

/// A request as an upstream read it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn has(&self, line: &str) -> bool {
        self.head.lines().any(|known| known.eq_ignore_ascii_case(line))
    }

    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

/// One connection from the proxy.
pub(crate) struct Conversation {
    pub(crate) stream: UnixStream,
    pending: Vec<u8>,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

impl Conversation {
    /// Reads one request; `None` when the proxy closed.
    pub(crate) fn request(&mut self) -> Option<Seen> {
        let (head, mut decoder) = loop {
            let parsed = {
                let mut space = HeaderSpace::new();
                parse_request(&self.pending, &mut HeadScanner::default(), &mut space)
                    .expect("the proxy sends good heads")
                    .map(|(request, length)| (length, BodyDecoder::new(request.body())))
            };
            if let Some((length, decoder)) = parsed {
                let head: Vec<u8> = self.pending.drain(..length).collect();
                break (String::from_utf8(head).unwrap(), decoder);
            }
            if !self.more() {
                return None;
            }
        };
        let mut body = Vec::new();
        loop {
            let decoded = decoder.decode(&self.pending).expect("the proxy sends good bodies");
            body.extend_from_slice(&self.pending[decoded.data.clone()]);
            self.pending.drain(..decoded.consumed);
            if decoder.is_done() {
                break;
            }
            if decoded.consumed == 0 && !self.more() {
                return None;
            }
        }
        let seen = Seen { head, body };
        self.seen.lock().unwrap().push(seen.clone());
        Some(seen)
    }

    /// Reads only a head.
    pub(crate) fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.pending.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.pending.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.more(), "the proxy closed in the middle of a head");
        }
    }

    /// Takes what has come and, unless there is something, more.
    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        if self.pending.is_empty() {
            self.more();
        }
        std::mem::take(&mut self.pending)
    }

    fn more(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.pending.extend_from_slice(&bytes[..count]);
                true
            }
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A proxy that went away is what some tests are about.
        let _ = self.stream.write_all(bytes.as_ref());
    }

    pub(crate) fn ok(&mut self, body: &str) {
        self.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    }
}

/// A server on a unix socket; ends when dropped.
pub(crate) struct Upstream {
    pub(crate) path: PathBuf,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    pub(crate) connections: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Upstream {
    /// Serves each connection with `script`; it gets the connection's number, from 0.
    pub(crate) fn start(
        path: &Path,
        script: impl Fn(usize, &mut Conversation) + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let stopped = Arc::new(AtomicBool::new(false));
        let script = Arc::new(script);
        let (count, stop, requests) =
            (Arc::clone(&connections), Arc::clone(&stopped), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(SeqCst) {
                    return;
                }
                let number = count.fetch_add(1, SeqCst);
                let (script, seen) = (Arc::clone(&script), Arc::clone(&requests));
                let stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut conversation = Conversation { stream, pending: Vec::new(), seen };
                    script(number, &mut conversation);
                });
            }
        });
        Self { path: path.to_owned(), seen, connections, stopped }
    }

    /// Answers every request with `body`, for as long as the proxy keeps the connection.
    pub(crate) fn answering(path: &Path, body: &'static str) -> Self {
        Self::start(path, move |_, conversation| {
            while conversation.request().is_some() {
                conversation.ok(body);
            }
        })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stopped.store(true, SeqCst);
        // Wakes the thread in `accept`.
        let _ = UnixStream::connect(&self.path);
    }
}
