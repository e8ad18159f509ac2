//! The public address of an app: chosen, checked against others, opened.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use app::model::App;
use control::ServiceName;
use control::shim::SharedListener;
use report::{Failure, Kind};
use supervise::SuperviseError;

use super::Executor;
use crate::error::DeployError;
use crate::node::Node;
use crate::records::Phase;
use crate::section::{claims, listening};
use crate::users::Users;

/// Where root's apps are served.
const PUBLIC: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 80);

/// Where an ordinary user's first app is looked for a port.
const FIRST_PORT: u16 = 8000;

/// Ports tried from there: a machine with more busy ones in a row has other troubles.
const TRIED_PORTS: u16 = 100;

/// Returns the service whose shim holds the public sockets.
pub fn proxy_service() -> ServiceName {
    ServiceName::new("skep", "proxy").expect("both parts are names")
}

/// Reads `ADDR:PORT` or `:PORT`.
pub fn parse(text: &str) -> Result<SocketAddr, DeployError> {
    let address = match text.strip_prefix(':') {
        Some(port) => {
            port.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))
        }
        None => text.parse().ok(),
    };
    address.ok_or_else(|| {
        Failure::new(Kind::Usage, format!("`{text}` is no address to listen on"))
            .hint("write ADDR:PORT or :PORT, for example --listen 127.0.0.1:8000")
            .into()
    })
}

impl Executor {
    /// Returns the address that the app has or was asked to have; `None`: none was chosen yet.
    pub(super) fn wanted_listener(&self) -> Result<Option<String>, DeployError> {
        if self.record.listener.is_some() {
            return Ok(self.record.listener.clone());
        }
        Ok(self.node.journal().app(&self.record.app)?.and_then(|app| app.listener))
    }

    /// Returns the address that the app will have, where that is known before it is opened.
    pub(super) fn expected_listener(&self) -> Result<Option<String>, DeployError> {
        let default = matches!(self.node.users, Users::Own).then(|| PUBLIC.to_string());
        Ok(self.wanted_listener()?.or(default))
    }
}

/// Fails if another app has one of the app's (listener, host, path).
pub fn check_claims(node: &Node, app: &App, listener: Option<&str>) -> Result<(), DeployError> {
    let Some(listener) = listener else { return Ok(()) };
    match conflict(node, app, listener)? {
        None => Ok(()),
        Some((host, path, other)) => {
            let what = match host {
                Some(host) => format!("`{host}{path}`"),
                None => format!("`{path}` of any host"),
            };
            let text = format!("{other} answers for {what} on {listener} already");
            Err(Failure::new(Kind::Exists, text)
                .hint("give this app `hosts` of its own in skep.toml")
                .hint(format!("or another address: skep deploy --listen :{}", FIRST_PORT + 1))
                .into())
        }
    }
}

type Claim = (Option<String>, String, ServiceName);

fn conflict(node: &Node, app: &App, listener: &str) -> Result<Option<Claim>, DeployError> {
    let own = claims(app, listener);
    let journal = node.journal();
    for other in journal.apps()? {
        if other.name == app.name {
            continue;
        }
        let serving = other.serving.as_ref().map(|serving| serving.release);
        // What is being deployed claims its address as well, from the moment its check is over.
        let coming = journal.deploy(&other.name)?.filter(|deploy| deploy.phase > Phase::Check);
        let coming = coming.map(|deploy| (deploy.listener, deploy.release));
        for (theirs, release) in [Some((other.listener, serving)), coming].into_iter().flatten() {
            let (Some(theirs), Some(number)) = (theirs, release) else { continue };
            let release = journal.release(&other.name, number)?;
            for (address, host, path, service) in claims(&release.app, &theirs) {
                if own.iter().any(|(a, h, p, _)| *a == address && *h == host && *p == path) {
                    return Ok(Some((host, path, service)));
                }
            }
        }
    }
    Ok(None)
}

/// Chooses the app's address where it has none, and opens it.
pub(super) async fn open(
    executor: &mut Executor,
    app: &App,
) -> Result<Option<String>, DeployError> {
    if listening(app).next().is_none() {
        return Ok(None);
    }
    if let Some(text) = executor.wanted_listener()? {
        check_claims(&executor.node, app, Some(&text))?;
        open_one(executor, parse(&text)?).await.map_err(|error| taken(&text, error))?;
        return Ok(Some(text));
    }
    if let Users::Own = executor.node.users {
        let text = PUBLIC.to_string();
        check_claims(&executor.node, app, Some(&text))?;
        open_one(executor, PUBLIC).await.map_err(|error| taken(&text, error))?;
        return Ok(Some(text));
    }
    for port in FIRST_PORT..FIRST_PORT + TRIED_PORTS {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
        let text = address.to_string();
        if conflict(&executor.node, app, &text)?.is_some() {
            continue;
        }
        match open_one(executor, address).await {
            Ok(()) => return Ok(Some(text)),
            Err(DeployError::Supervise(SuperviseError::Refused { .. })) => {}
            Err(error) => return Err(error),
        }
    }
    let last = FIRST_PORT + TRIED_PORTS - 1;
    Err(Failure::new(Kind::Failed, format!("no port between {FIRST_PORT} and {last} is free"))
        .hint("choose one: skep deploy --listen :PORT")
        .into())
}

/// Says in the user's words that an address cannot be had, and by whom it is taken.
fn taken(address: &str, error: DeployError) -> DeployError {
    let DeployError::Supervise(SuperviseError::Refused { reason, .. }) = error else {
        return error;
    };
    // A shim's refusal is words: the one that is a matter of rights is told by the kernel's.
    let forbidden = reason.contains("Permission denied");
    let kind = if forbidden { Kind::Permission } else { Kind::Failed };
    let failure = Failure::new(kind, format!("{address} cannot be listened on")).cause(reason);
    let failure = match forbidden {
        true => failure.hint("low ports are root's: sysctl net.ipv4.ip_unprivileged_port_start"),
        false => failure,
    };
    failure
        .hint(format!("choose another address: skep deploy --listen :{}", FIRST_PORT + 80))
        .into()
}

async fn open_one(executor: &mut Executor, address: SocketAddr) -> Result<(), DeployError> {
    let handle = executor.node.supervisor.service(&proxy_service());
    let name = address.to_string();
    let socket = handle.open(SharedListener { name: name.clone(), address }).await?;
    executor.node.router.listen(&name, socket).await;
    Ok(())
}
