//! What the proxies are told of an app.

use std::collections::BTreeMap;

use app::model::{App, Listen, Service};
use control::proxy::{Endpoint, EndpointId, Route};
use control::{ServiceName, SlotId};
use routing::Section;

use crate::error::DeployError;
use crate::node::Node;
use crate::records::Serving;
use crate::spec;

/// Requests of one service that may wait at once; a queue beyond it only makes everybody late.
const HOLD_REQUESTS: u32 = 1024;

/// Returns the routed services of an app, with their names.
pub fn listening(app: &App) -> impl Iterator<Item = (&String, &Service)> {
    app.services.iter().filter(|(_, service)| service.listen != Listen::None)
}

/// Returns the section of an app that runs `serving`. `apps` has the app file of each release that
/// a slot of it was started from; `ready` says which slots may be picked.
pub fn of(
    node: &Node,
    app: &App,
    apps: &BTreeMap<u32, App>,
    listener: Option<&str>,
    serving: &Serving,
    ready: impl Fn(&EndpointId) -> bool,
) -> Result<Section, DeployError> {
    let mut section = Section::default();
    let Some(listener) = listener else { return Ok(section) };
    for (label, service) in listening(app) {
        let name = spec::service_name(&app.name, label)?;
        let placement = serving.services.get(label);
        let stopped = placement.is_none_or(|placement| placement.stopped);
        let mut endpoints = Vec::new();
        for (number, slot) in placement.iter().filter(|p| !p.stopped).flat_map(|p| &p.slots) {
            // A slot is dialled as the release it was started from listens.
            let own = apps.get(&slot.release).and_then(|app| app.services.get(label));
            let own = own.unwrap_or(service);
            let address = spec::address(node, &app.name, label, own.listen, *number, slot);
            let id = SlotId::new(slot.generation, *number);
            let endpoint = EndpointId { service: name.clone(), slot: id };
            endpoints.extend(address.map(|address| Endpoint {
                slot: id,
                address,
                ready: ready(&endpoint),
                capacity: own.in_flight,
                idle_ms: own.idle_ms,
            }));
        }
        section.services.push(control::proxy::Service {
            name: name.clone(),
            release: format!("v{}", serving.release),
            endpoints,
            // Nobody comes back by waiting for what was stopped on purpose.
            hold_ms: if stopped { 0 } else { service.hold_ms },
            hold_requests: HOLD_REQUESTS,
            response_timeout_ms: service.response_timeout_ms,
            body_limit_bytes: service.body_limit_bytes,
        });
        let hosts: Vec<Option<String>> = match service.hosts.as_slice() {
            [] => vec![None],
            hosts => hosts.iter().map(|host| Some(host.to_ascii_lowercase())).collect(),
        };
        section.routes.extend(hosts.into_iter().map(|host| Route {
            listener: listener.to_owned(),
            host,
            path: service.path.clone(),
            service: name.clone(),
        }));
    }
    Ok(section)
}

/// Returns where people reach an app: its listener under each host, or under this machine's name
/// for it.
pub fn addresses(app: &App, listener: Option<&str>) -> Vec<String> {
    let Some(listener) = listener else { return Vec::new() };
    let Ok(address) = listener.parse::<std::net::SocketAddr>() else { return Vec::new() };
    let port = match address.port() {
        80 => String::new(),
        port => format!(":{port}"),
    };
    let mut addresses = Vec::new();
    for (_, service) in listening(app) {
        let path = if service.path == "/" { "" } else { service.path.as_str() };
        if service.hosts.is_empty() {
            let host = if address.ip().is_unspecified() {
                "localhost".to_owned()
            } else if address.is_ipv6() {
                format!("[{}]", address.ip())
            } else {
                address.ip().to_string()
            };
            addresses.push(format!("http://{host}{port}{path}"));
        }
        addresses.extend(service.hosts.iter().map(|host| format!("http://{host}{port}{path}")));
    }
    addresses
}

/// Returns which (listener, host, path) an app claims.
pub fn claims(app: &App, listener: &str) -> Vec<(String, Option<String>, String, ServiceName)> {
    let mut claims = Vec::new();
    for (label, service) in listening(app) {
        let Ok(name) = ServiceName::new(&app.name, label) else { continue };
        let hosts: Vec<Option<String>> = match service.hosts.as_slice() {
            [] => vec![None],
            hosts => hosts.iter().map(|host| Some(host.to_ascii_lowercase())).collect(),
        };
        claims.extend(
            hosts
                .into_iter()
                .map(|host| (listener.to_owned(), host, service.path.clone(), name.clone())),
        );
    }
    claims
}
