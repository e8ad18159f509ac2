//! A proxy with one route and no shim or agent around it, for benchmarks and for trying things:
//! `standalone LISTEN-ADDRESS UPSTREAM-SOCKET [WORKERS]`.
//!
//! It plays its own agent over the real control socket, prints `ready` and serves until killed.

use std::error::Error;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use control::proxy::{Endpoint, EndpointAddress, Message, Request, Route, RouteTable, Service};
use control::{Hello, PROTOCOL, Revision, Role, SlotId};
use control_tokio::Channel;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (address, socket, workers) = match arguments.as_slice() {
        [address, socket] => (address, socket, 2),
        [address, socket, workers] => (address, socket, workers.parse()?),
        _ => return Err("usage: standalone LISTEN-ADDRESS UPSTREAM-SOCKET [WORKERS]".into()),
    };
    let directory = tempfile::tempdir()?;
    let control_path = directory.path().join("control");
    let config = proxy::Config {
        routes_file: directory.path().join("routes"),
        installation: "standalone".into(),
        boot_id: "boot".into(),
        control: UnixListener::bind(&control_path)?,
        listeners: vec![(address.clone(), std::net::TcpListener::bind(address)?.into())],
        workers,
        max_connections: 10_000,
        access_log: std::env::var_os("ACCESS_LOG").is_some(),
        limits: proxy::Limits::default(),
        log: Box::new(std::io::stderr()),
    };
    let proxy = proxy::Proxy::start(config).await?;
    give_routes(&control_path, address, socket).await?;
    writeln!(std::io::stdout(), "ready")?;
    proxy.left().await;
    Ok(())
}

async fn give_routes(control: &Path, listen: &str, socket: &str) -> Result<(), Box<dyn Error>> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let mut channel = Channel::connect(control, PATIENCE).await?;
    let hello = Hello {
        protocol: PROTOCOL,
        role: Role::Agent,
        build: "standalone".into(),
        boot_id: "boot".into(),
        installation: "standalone".into(),
    };
    channel.handshake(&hello, Role::Proxy, PATIENCE).await?;
    let address = match socket.parse() {
        Ok(address) => EndpointAddress::Tcp(address),
        Err(_) => EndpointAddress::Unix(socket.to_owned()),
    };
    let endpoint =
        Endpoint { slot: SlotId::new(1, 0), address, ready: true, capacity: 4096, idle_ms: 60_000 };
    let service = Service {
        name: "bench/web".parse()?,
        release: "v1".into(),
        endpoints: vec![endpoint],
        hold_ms: 10_000,
        hold_requests: 1024,
        response_timeout_ms: 60_000,
        body_limit_bytes: 1 << 30,
    };
    let route = Route {
        listener: listen.to_owned(),
        host: None,
        path: "/".into(),
        service: service.name.clone(),
    };
    let table = RouteTable { services: vec![service], routes: vec![route] };
    channel.send(&Request::Routes { revision: Revision(1), table }, vec![]).await?;
    while let Some((message, _)) = channel.receive::<Message>().await? {
        match message {
            Message::Applied { .. } => return Ok(()),
            Message::Refused { reason, .. } => return Err(reason.into()),
            _ => {}
        }
    }
    Err("the proxy closed its control socket".into())
}
