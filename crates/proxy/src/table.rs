//! The route table as requests read it: validated, indexed, never changed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use control::Revision;
use control::proxy::{EndpointAddress, RouteTable};

use crate::service::ServiceEntry;

/// One revision of the routes.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) revision: Option<Revision>,
    /// By [`crate::service::ServiceState::index`].
    pub(crate) services: Vec<Option<Arc<ServiceEntry>>>,
    listeners: HashMap<String, ListenerRoutes>,
}

#[derive(Debug, Default)]
struct ListenerRoutes {
    hosts: HashMap<String, Prefixes>,
    any_host: Prefixes,
}

/// Path prefixes without a final slash, longest first, each with a service's index.
#[derive(Debug, Default)]
struct Prefixes(Vec<(String, usize)>);

impl Prefixes {
    fn find(&self, path: &str) -> Option<usize> {
        let matches = |prefix: &str| match path.strip_prefix(prefix) {
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            // `*` of OPTIONS belongs to whoever has the root.
            None => false,
        };
        self.0
            .iter()
            .find(|(prefix, _)| matches(prefix) || (prefix.is_empty() && path == "*"))
            .map(|(_, service)| *service)
    }
}

impl Table {
    /// Builds a table; `index_of` knows every service of `source`, which was validated.
    pub(crate) fn new(
        revision: Revision,
        source: &RouteTable,
        services: Vec<Option<Arc<ServiceEntry>>>,
        index_of: impl Fn(&control::ServiceName) -> Option<usize>,
    ) -> Self {
        let mut listeners: HashMap<String, ListenerRoutes> = HashMap::new();
        for route in &source.routes {
            let Some(service) = index_of(&route.service) else { continue };
            let listener = listeners.entry(route.listener.clone()).or_default();
            let prefixes = match &route.host {
                Some(host) => listener.hosts.entry(host.clone()).or_default(),
                None => &mut listener.any_host,
            };
            prefixes.0.push((route.path.trim_end_matches('/').to_owned(), service));
        }
        for listener in listeners.values_mut() {
            for prefixes in listener.hosts.values_mut().chain([&mut listener.any_host]) {
                prefixes.0.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
            }
        }
        Self { revision: Some(revision), services, listeners }
    }

    /// Returns the service for a request: the exact host before any host, then the longest prefix
    /// of whole segments. The path is compared as it was sent: a service gets what it would get
    /// without a proxy, dots and percent signs included.
    pub(crate) fn find(
        &self,
        listener: &str,
        host: Option<&str>,
        path: &str,
    ) -> Option<&Arc<ServiceEntry>> {
        let listener = self.listeners.get(listener)?;
        let by_host = host.and_then(|host| {
            if listener.hosts.is_empty() {
                return None;
            }
            if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
                listener.hosts.get(&host.to_ascii_lowercase())?.find(path)
            } else {
                listener.hosts.get(host)?.find(path)
            }
        });
        let index = by_host.or_else(|| listener.any_host.find(path))?;
        self.services.get(index)?.as_ref()
    }
}

/// Returns why a table cannot be taken.
pub(crate) fn validate(table: &RouteTable) -> Result<(), String> {
    let mut names = HashSet::new();
    for service in &table.services {
        if !names.insert(&service.name) {
            return Err(format!("service {} is there twice", service.name));
        }
        let mut slots = HashSet::new();
        for endpoint in &service.endpoints {
            if !slots.insert(endpoint.slot) {
                return Err(format!("slot {} of {} is there twice", endpoint.slot, service.name));
            }
            if endpoint.capacity == 0 {
                return Err(format!("slot {} of {} has no capacity", endpoint.slot, service.name));
            }
            if let EndpointAddress::Unix(path) = &endpoint.address
                && !path.starts_with('/')
            {
                return Err(format!("socket `{path}` of {} is not absolute", service.name));
            }
        }
    }
    let mut keys = HashSet::new();
    for route in &table.routes {
        if !names.contains(&route.service) {
            return Err(format!("a route points to {}, which is not there", route.service));
        }
        if !route.path.starts_with('/') {
            return Err(format!("route path `{}` does not begin with /", route.path));
        }
        if let Some(host) = &route.host
            && (host.bytes().any(|byte| byte.is_ascii_uppercase())
                || http1::Authority::parse(host.as_bytes()).is_none_or(|a| a.host() != host))
        {
            return Err(format!("route host `{host}` is not a lowercase host name"));
        }
        if !keys.insert((&route.listener, &route.host, route.path.trim_end_matches('/'))) {
            return Err(format!(
                "two routes for {} {:?} {}",
                route.listener, route.host, route.path
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::ServiceState;
    use control::ServiceName;
    use control::proxy::{Route, Service};

    fn name(text: &str) -> ServiceName {
        text.parse().unwrap()
    }

    fn service(text: &str) -> Service {
        Service {
            name: name(text),
            release: "v1".into(),
            endpoints: vec![],
            hold_ms: 0,
            hold_requests: 0,
            response_timeout_ms: 0,
            body_limit_bytes: 0,
        }
    }

    fn route(host: Option<&str>, path: &str, service: &str) -> Route {
        Route {
            listener: "l".into(),
            host: host.map(str::to_owned),
            path: path.into(),
            service: name(service),
        }
    }

    #[test]
    fn the_most_specific_route_wins() {
        let names = ["a/root", "a/api", "b/web", "b/deep"];
        let source = RouteTable {
            services: names.iter().map(|name| service(name)).collect(),
            routes: vec![
                route(None, "/", "a/root"),
                route(None, "/api/", "a/api"),
                route(Some("b.example"), "/x", "b/web"),
                route(Some("b.example"), "/x/y", "b/deep"),
            ],
        };
        validate(&source).unwrap();
        let entries = names.iter().enumerate().map(|(index, text)| {
            Some(Arc::new(ServiceEntry {
                state: Arc::new(ServiceState::new(name(text), index)),
                release: String::new(),
                endpoints: vec![],
                hold: std::time::Duration::ZERO,
                hold_requests: 0,
                response_timeout: std::time::Duration::ZERO,
                body_limit_bytes: 0,
            }))
        });
        let index_of = |wanted: &ServiceName| names.iter().position(|text| name(text) == *wanted);
        let table = Table::new(Revision(1), &source, entries.collect(), index_of);
        let find = |host, path| {
            table
                .find("l", host, path)
                .map(|entry| entry.state.name.to_string())
                .unwrap_or_default()
        };
        assert_eq!(find(None, "/"), "a/root");
        assert_eq!(find(None, "/api"), "a/api");
        assert_eq!(find(None, "/api/v1"), "a/api");
        assert_eq!(find(None, "/apiary"), "a/root");
        assert_eq!(find(None, "*"), "a/root");
        assert_eq!(find(Some("B.example"), "/x/z"), "b/web");
        assert_eq!(find(Some("b.example"), "/x/y/z"), "b/deep");
        assert_eq!(find(Some("b.example"), "/other"), "a/root");
        assert!(table.find("elsewhere", None, "/").is_none());
    }

    #[test]
    fn contradictory_tables_are_refused() {
        let table = |routes| RouteTable { services: vec![service("a/web")], routes };
        for routes in [
            vec![route(None, "/", "a/other")],
            vec![route(None, "x", "a/web")],
            vec![route(Some("A"), "/", "a/web")],
            vec![route(Some("a:80"), "/", "a/web")],
            vec![route(None, "/x", "a/web"), route(None, "/x/", "a/web")],
        ] {
            assert!(validate(&table(routes.clone())).is_err(), "{routes:?}");
        }
        let twice =
            RouteTable { services: vec![service("a/web"), service("a/web")], routes: vec![] };
        assert!(validate(&twice).is_err());
    }
}
