//! A proxy in a directory of its own, its agent, and clients.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use control::proxy::{
    Endpoint, EndpointAddress, EndpointId, Message, Request, Route, RouteTable, Service,
};
use control::{Connection, Hello, PROTOCOL, Received, Revision, Role, SlotId};
use http1::ResponseCollector;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Long enough that only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const SERVICE: &str = "shop/web";

/// A running proxy.
pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) directory: Arc<tempfile::TempDir>,
    pub(crate) log: Arc<Mutex<Vec<u8>>>,
    /// Dropped to end the proxy at once, like a kill.
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Rig {
    pub(crate) fn start() -> Self {
        Self::start_with(proxy::Limits::default())
    }

    /// Starts a proxy with limits that a test can reach.
    pub(crate) fn start_with(limits: proxy::Limits) -> Self {
        Self::launch(Arc::new(tempfile::tempdir().unwrap()), "boot-1", None, limits)
    }

    /// Starts a proxy in a directory where another may have been, on its listener if given.
    pub(crate) fn start_in(
        directory: Arc<tempfile::TempDir>,
        boot_id: &str,
        listener: Option<OwnedFd>,
    ) -> Self {
        Self::launch(directory, boot_id, listener, proxy::Limits::default())
    }

    fn launch(
        directory: Arc<tempfile::TempDir>,
        boot_id: &str,
        listener: Option<OwnedFd>,
        limits: proxy::Limits,
    ) -> Self {
        let listener = match listener {
            Some(fd) => TcpListener::from(fd),
            None => TcpListener::bind("127.0.0.1:0").unwrap(),
        };
        let address = listener.local_addr().unwrap();
        let control_path = directory.path().join("control");
        let _ = std::fs::remove_file(&control_path);
        let log = Arc::new(Mutex::new(Vec::new()));
        let config = proxy::Config {
            routes_file: directory.path().join("routes"),
            installation: "inst".into(),
            boot_id: boot_id.into(),
            control: UnixListener::bind(&control_path).unwrap(),
            listeners: vec![("public".into(), listener.into())],
            workers: 2,
            max_connections: 512,
            access_log: true,
            limits,
            log: Box::new(Sink(Arc::clone(&log))),
        };
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    outcome = proxy::run(config) => outcome.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { address, directory, log, stop: Some(stop), thread: Some(thread) }
    }

    /// Returns a path for a socket.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Connects as the agent.
    pub(crate) fn agent(&self) -> Agent {
        Agent::connect(&self.path("control"))
    }

    /// Connects as the agent and puts one service with these endpoints in force.
    pub(crate) fn route(&self, endpoints: Vec<Endpoint>) -> Agent {
        let mut agent = self.agent();
        agent.apply(1, table(endpoints));
        agent
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Returns the details that the log has of requests with this reason.
    pub(crate) fn details(&self, reason: &str, count: usize) -> Vec<String> {
        let lines = self.wait_for_log(reason, count);
        lines.iter().map(|line| line["detail"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Waits until so many requests with this reason are in the log; returns their lines.
    pub(crate) fn wait_for_log(&self, reason: &str, count: usize) -> Vec<serde_json::Value> {
        let mut found = Vec::new();
        until("the log has all lines", || {
            let text = String::from_utf8(self.log.lock().unwrap().clone()).unwrap();
            found = text
                .lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
                .filter(|line| line["reason"] == reason)
                .collect();
            found.len() >= count
        });
        assert_eq!(found.len(), count, "{found:?}");
        found
    }

    /// Waits until the proxy has ended by itself.
    pub(crate) fn wait_for_end(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(std::thread::JoinHandle::is_finished)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits for a level.
pub(crate) fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

pub(crate) fn endpoint(number: u32, path: &Path) -> Endpoint {
    Endpoint {
        slot: SlotId::new(1, number),
        address: EndpointAddress::Unix(path.to_str().unwrap().to_owned()),
        ready: true,
        capacity: 64,
        idle_ms: 60_000,
    }
}

pub(crate) fn endpoint_id(number: u32) -> EndpointId {
    EndpointId { service: SERVICE.parse().unwrap(), slot: SlotId::new(1, number) }
}

pub(crate) fn service(endpoints: Vec<Endpoint>) -> Service {
    Service {
        name: SERVICE.parse().unwrap(),
        release: "v1".into(),
        endpoints,
        hold_ms: PATIENCE.as_millis() as u64,
        hold_requests: 100,
        response_timeout_ms: PATIENCE.as_millis() as u64,
        body_limit_bytes: 10 << 20,
    }
}

pub(crate) fn table_of(service: Service) -> RouteTable {
    let route = Route {
        listener: "public".into(),
        host: None,
        path: "/".into(),
        service: service.name.clone(),
    };
    RouteTable { services: vec![service], routes: vec![route] }
}

pub(crate) fn table(endpoints: Vec<Endpoint>) -> RouteTable {
    table_of(service(endpoints))
}

/// The agent's end of a control connection.
pub(crate) struct Agent {
    connection: Connection,
}

impl Agent {
    pub(crate) fn connect(path: &Path) -> Self {
        let deadline = Instant::now() + PATIENCE;
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "no control socket: {error}"),
            }
        };
        let mut agent = Self { connection: Connection::new(stream.into()).unwrap() };
        let hello = Hello {
            protocol: PROTOCOL,
            role: Role::Agent,
            build: "test".into(),
            boot_id: "boot-1".into(),
            installation: "inst".into(),
        };
        agent.connection.send(&hello, vec![]).unwrap();
        let theirs: Hello = agent.receive_as();
        assert_eq!(theirs.role, Role::Proxy);
        agent
    }

    pub(crate) fn send(&mut self, request: &Request, fds: Vec<OwnedFd>) {
        self.connection.send(request, fds).unwrap();
    }

    pub(crate) fn receive(&mut self) -> Message {
        self.receive_as()
    }

    fn receive_as<T: serde::de::DeserializeOwned>(&mut self) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.connection.receive().unwrap() {
                Received::Message(message, _) => return message,
                Received::Closed => panic!("the proxy closed its control connection"),
                Received::Pending => {}
            }
            assert!(Instant::now() < deadline, "the proxy says nothing");
            let mut fds = [PollFd::new(&self.connection, PollFlags::IN)];
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            poll(&mut fds, Some(&second)).unwrap();
        }
    }

    /// Receives until a message fits; others are dropped.
    pub(crate) fn wait_for<T>(&mut self, mut fits: impl FnMut(Message) -> Option<T>) -> T {
        loop {
            if let Some(found) = fits(self.receive()) {
                return found;
            }
        }
    }

    pub(crate) fn apply(&mut self, revision: u64, table: RouteTable) {
        let revision = Revision(revision);
        self.send(&Request::Routes { revision, table }, vec![]);
        self.wait_for(|message| match message {
            Message::Applied { revision: applied } => {
                assert_eq!(applied, revision);
                Some(())
            }
            Message::Refused { reason, .. } => panic!("refused: {reason}"),
            _ => None,
        });
    }

    pub(crate) fn drained(&mut self, id: u64) {
        self.wait_for(|message| (message == Message::Drained { id }).then_some(()));
    }

    pub(crate) fn counters(&mut self) -> control::proxy::ServiceCounters {
        self.send(&Request::Counters { id: 9 }, vec![]);
        self.wait_for(|message| match message {
            Message::Counters { id: 9, services } => services.into_iter().next(),
            _ => None,
        })
    }
}

/// A raw client.
pub(crate) struct Client {
    pub(crate) stream: BufReader<TcpStream>,
}

/// One response as it came.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn reason(&self) -> &str {
        self.header("skep-reason").unwrap_or_default()
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
        self
    }

    /// Reads one response to a GET.
    pub(crate) fn answer(&mut self) -> Answer {
        self.answer_to("GET").unwrap()
    }

    /// Reads one response, byte by byte where its end must be found.
    pub(crate) fn answer_to(&mut self, method: &str) -> Result<Answer, String> {
        let mut collector = ResponseCollector::new(method, 64 << 20);
        loop {
            let available = self.stream.fill_buf().map_err(|error| error.to_string())?;
            if available.is_empty() {
                break;
            }
            let byte = available[0];
            self.stream.consume(1);
            if collector.feed(&[byte]).map_err(|error| error.to_string())? {
                break;
            }
        }
        let collected = collector.end().map_err(|error| error.to_string())?;
        let (status, headers, body) = (collected.status, collected.headers, collected.body);
        Ok(Answer { status, headers, body })
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n")).answer()
    }

    pub(crate) fn post(&mut self, body: &str) -> Answer {
        self.send(post(body)).answer()
    }

    /// Reads to the end; an error is part of the answer.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Option<std::io::ErrorKind>) {
        let mut bytes = Vec::new();
        let error = self.stream.read_to_end(&mut bytes).err().map(|error| error.kind());
        (bytes, error)
    }
}

pub(crate) fn post(body: &str) -> String {
    format!(
        "POST /buy HTTP/1.1\r\nHost: shop.example\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
