//! Proxies as their shim would report them, an app that answers when it is told to, clients.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::time::Duration;

use control::proxy::{Endpoint, EndpointAddress, EndpointId, Route, Service};
use control::{Hello, PROTOCOL, Role, SlotId};
use proxy::{Limits, Proxy};
use routing::{ProxyInstance, Router, Section};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener};
use tokio::sync::{Semaphore, watch};

/// Long enough that only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The public listener's name.
const PUBLIC: &str = "public";

/// A node with a public socket and no proxy yet.
pub(crate) struct Node {
    directory: tempfile::TempDir,
    public: std::net::TcpListener,
    instances: watch::Sender<Vec<ProxyInstance>>,
    pub(crate) router: Router,
}

impl Node {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let public = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (instances, receiver) = watch::channel(Vec::new());
        let hello = Hello {
            protocol: PROTOCOL,
            role: Role::Agent,
            build: "test".into(),
            boot_id: "boot".into(),
            installation: "installation".into(),
        };
        let router = Router::spawn(1, hello, receiver);
        router.listen(PUBLIC, public.as_fd().try_clone_to_owned().unwrap()).await;
        Self { directory, public, instances, router }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.public.local_addr().unwrap()
    }

    /// Starts a proxy, which inherits the public socket unless `is_bare`; nobody is told of it.
    pub(crate) async fn start(&self, generation: u64, start: u64, is_bare: bool) -> Running {
        let name = format!("{generation}.{start}");
        let socket = self.directory.path().join(&name);
        let public = || self.public.as_fd().try_clone_to_owned().unwrap();
        let config = proxy::Config {
            routes_file: self.directory.path().join(format!("routes-{name}")),
            installation: "installation".into(),
            boot_id: "boot".into(),
            control: StdUnixListener::bind(&socket).unwrap(),
            listeners: if is_bare { vec![] } else { vec![(PUBLIC.to_owned(), public())] },
            workers: 1,
            max_connections: 64,
            access_log: false,
            limits: Limits::default(),
            log: Box::new(io::sink()),
        };
        let proxy = Proxy::start(config).await.unwrap();
        let instance = ProxyInstance { slot: SlotId::new(generation, 0), start, socket };
        Running { proxy, instance }
    }

    /// Tells the router which proxies live.
    pub(crate) fn report(&self, proxies: &[&Running]) {
        self.instances.send_replace(proxies.iter().map(|proxy| proxy.instance.clone()).collect());
    }

    /// Returns routes to one slot of the app; without one the app has none.
    pub(crate) fn section(app: Option<&App>) -> Section {
        let Some(app) = app else { return Section::default() };
        let service = Service {
            name: app.endpoint.service.clone(),
            release: "v1".into(),
            endpoints: vec![Endpoint {
                slot: app.endpoint.slot,
                address: EndpointAddress::Unix(app.path.clone()),
                ready: true,
                capacity: 64,
                idle_ms: 0,
            }],
            hold_ms: PATIENCE.as_millis() as u64,
            hold_requests: 10,
            response_timeout_ms: PATIENCE.as_millis() as u64,
            body_limit_bytes: 0,
        };
        let route = Route {
            listener: PUBLIC.into(),
            host: None,
            path: "/".into(),
            service: service.name.clone(),
        };
        Section { services: vec![service], routes: vec![route] }
    }

    /// Starts an app whose answers wait for the gate.
    pub(crate) fn app(&self) -> App {
        let path = self.directory.path().join("app");
        let listener = UnixListener::bind(&path).unwrap();
        let (gate, arrived) = (Arc::new(Semaphore::new(0)), watch::Sender::new(0));
        let (open, count) = (Arc::clone(&gate), arrived.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (open, count) = (Arc::clone(&open), count.clone());
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    if !matches!(stream.read(&mut bytes).await, Ok(1..)) {
                        return;
                    }
                    count.send_modify(|count| *count += 1);
                    open.acquire().await.unwrap().forget();
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                });
            }
        });
        let service = "shop/web".parse().unwrap();
        let endpoint = EndpointId { service, slot: SlotId::new(1, 0) };
        App { path: path.to_str().unwrap().to_owned(), endpoint, gate, arrived }
    }

    /// Sends a request, on a connection of its own.
    pub(crate) async fn request(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        let text = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(text).await.unwrap();
        stream
    }
}

/// A proxy and what its shim says of it.
pub(crate) struct Running {
    pub(crate) proxy: Proxy,
    pub(crate) instance: ProxyInstance,
}

impl Running {
    pub(crate) fn slot(&self) -> SlotId {
        self.instance.slot
    }
}

/// An app on a unix socket.
pub(crate) struct App {
    path: String,
    pub(crate) endpoint: EndpointId,
    /// One permit an answer.
    pub(crate) gate: Arc<Semaphore>,
    arrived: watch::Sender<usize>,
}

impl App {
    /// Waits until so many requests have come.
    pub(crate) async fn has_got(&self, count: usize) {
        let mut arrived = self.arrived.subscribe();
        let reached = arrived.wait_for(|arrived| *arrived >= count);
        tokio::time::timeout(PATIENCE, reached).await.unwrap().unwrap();
    }
}

/// Reads an answer to its end; returns its status line.
pub(crate) async fn status(mut stream: TcpStream) -> String {
    let mut text = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    text.lines().next().unwrap_or_default().to_owned()
}
