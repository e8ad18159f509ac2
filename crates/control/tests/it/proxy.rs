//! Messages between agent and proxy.

use control::proxy::{
    Endpoint, EndpointAddress, EndpointId, InFlight, Message, Request, Route, RouteTable, Service,
    ServiceCounters,
};
use control::{Revision, ServiceName, SlotId};

use crate::golden;

fn web() -> ServiceName {
    "shop/web".parse().unwrap()
}

fn endpoint() -> EndpointId {
    EndpointId { service: web(), slot: SlotId::new(7, 0) }
}

fn in_flight() -> InFlight {
    InFlight {
        id: "7f3a91".into(),
        method: "GET".into(),
        path: "/export".into(),
        age_ms: 11_000,
        upgraded: false,
    }
}

fn table() -> RouteTable {
    let address = |number| match number {
        0 => EndpointAddress::Unix("/run/slots/shop.web.g7.0".into()),
        _ => EndpointAddress::Tcp(([127, 0, 0, 1], 20_001).into()),
    };
    let endpoints = (0..2)
        .map(|number| Endpoint {
            slot: SlotId::new(7, number),
            address: address(number),
            ready: number == 0,
            capacity: 64,
            idle_ms: 4000,
        })
        .collect();
    RouteTable {
        services: vec![Service {
            name: web(),
            release: "v14".into(),
            endpoints,
            hold_ms: 10_000,
            hold_requests: 1024,
            response_timeout_ms: 60_000,
            body_limit_bytes: 100_000_000,
        }],
        routes: vec![Route {
            listener: "0.0.0.0:8000".into(),
            host: Some("shop.example.com".into()),
            path: "/".into(),
            service: web(),
        }],
    }
}

#[test]
fn requests() {
    let names = vec!["0.0.0.0:8000".to_owned()];
    let endpoints = vec![endpoint()];
    let all = [
        ("routes", Request::Routes { revision: Revision(4_294_967_297), table: table() }),
        ("listeners", Request::Listeners { names: names.clone() }),
        ("unlisten", Request::Unlisten { names }),
        ("drain", Request::Drain { id: 5, endpoints: endpoints.clone() }),
        ("cut", Request::Cut { id: 6, endpoints }),
        ("counters", Request::Counters { id: 7 }),
        ("leave", Request::Leave {}),
    ];
    for (name, request) in all {
        golden(&format!("proxy-request-{name}"), &request);
    }
}

#[test]
fn messages() {
    let revision = Revision(4_294_967_297);
    let names = vec!["0.0.0.0:8000".to_owned()];
    let counters = ServiceCounters {
        service: web(),
        requests: 100,
        app_errors: 1,
        proxy_errors: 2,
        broken: 3,
        held: 4,
        held_max_ms: 40,
        retried: 5,
        in_flight: 6,
    };
    let (in_flight, requests) = (vec![in_flight()], vec![in_flight()]);
    let all = [
        ("state", Message::State { revision: Some(revision), listeners: names.clone(), pid: 44 }),
        ("applied", Message::Applied { revision }),
        (
            "refused",
            Message::Refused {
                revision,
                current: Some(Revision(9)),
                reason: "a lower revision".into(),
            },
        ),
        ("listening", Message::Listening { names }),
        ("draining", Message::Draining { id: 5, in_flight, total: 1 }),
        ("drained", Message::Drained { id: 5 }),
        ("was-cut", Message::WasCut { id: 6, requests, total: 1 }),
        ("counters", Message::Counters { id: 7, services: vec![counters] }),
        ("unsupported", Message::Unsupported {}),
    ];
    for (name, message) in all {
        golden(&format!("proxy-{name}"), &message);
    }
}
