//! A small server that keeps a ledger and misbehaves on request.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What is done wrong with every hundredth request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It is read, and the connection is closed.
    Drop,
    /// It is executed, and the connection is closed.
    ExecuteAndDrop,
    /// It is executed twice.
    ExecuteTwice,
    /// It is answered but not executed.
    Forget,
    /// The answer to another request is given.
    Confuse,
    /// It is answered with 503 and a reason.
    Refuse,
    /// Half of the answer is given.
    CutAnswer,
    /// Something is said after the answer.
    SayMore,
    /// The connection is closed after the answer, without a word; allowed.
    CloseIdle,
}

const EVERY: u64 = 100;

/// Serves until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    ledger: Arc<Mutex<Vec<String>>>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let ledger = Arc::new(Mutex::new(Vec::new()));
        let (stopped, shared) = (Arc::clone(&stop), Arc::clone(&ledger));
        let count = Arc::new(AtomicU64::new(0));
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (ledger, count) = (Arc::clone(&shared), Arc::clone(&count));
                // Ends with its connection, which the load closes.
                std::thread::spawn(move || serve(&stream.unwrap(), fault, &ledger, &count));
            }
        });
        Self { address, stop, ledger, acceptor: Some(acceptor) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Writes the ledger to a file, as an app would have.
    pub(crate) fn write_ledger(&self, path: &std::path::Path) {
        let lines =
            self.ledger.lock().unwrap().iter().fold(String::new(), |all, id| all + id + "\n");
        std::fs::write(path, lines).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn serve(stream: &TcpStream, fault: Fault, ledger: &Mutex<Vec<String>>, count: &AtomicU64) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(Request { id }) = read_request(&mut reader) {
        let faulty = count.fetch_add(1, Ordering::Relaxed) % EVERY == EVERY - 1;
        let fault = if faulty { fault } else { Fault::None };
        let executed = match fault {
            Fault::Drop | Fault::Forget | Fault::Refuse => 0,
            Fault::ExecuteTwice => 2,
            _ => 1,
        };
        if let Some(id) = &id {
            let mut ledger = ledger.lock().unwrap();
            ledger.extend(std::iter::repeat_n(id.clone(), executed));
        }
        let body = match fault {
            Fault::Confuse => "somebody else's".to_owned(),
            _ => id.unwrap_or_else(|| "hello".into()),
        };
        let status = match fault {
            Fault::Refuse => "503 Unavailable\r\nSkep-Reason: none-ready\r\nX-Request-Id: r7",
            _ => "200 OK\r\nX-Release: one",
        };
        let mut answer =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        match fault {
            Fault::Drop | Fault::ExecuteAndDrop => return,
            Fault::CutAnswer => answer.truncate(20),
            Fault::SayMore => answer += "more",
            _ => {}
        }
        let sent = (&mut &*stream).write_all(answer.as_bytes());
        if sent.is_err() || matches!(fault, Fault::CutAnswer | Fault::CloseIdle) {
            return;
        }
    }
}

struct Request {
    /// Of a POST.
    id: Option<String>,
}

/// Reads one request; `None` at the end.
fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).unwrap();
    let id = body.strip_prefix("{\"id\": \"").and_then(|rest| rest.split_once('"'));
    Some(Request { id: id.map(|(id, _)| id.to_owned()) })
}
