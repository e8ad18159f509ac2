//! Agent ↔ proxy.
//!
//! The agent connects to every live proxy's slot socket and sends the whole [`RouteTable`] with a
//! strictly rising revision. The proxy validates it, writes its last-known-good file, swaps one
//! pointer and answers [`Message::Applied`]; a revision that is not higher than its own is
//! refused, unless it is the same table again (a re-connected agent repeats the current one).
//! From the moment of `Applied`, no request is handed to an endpoint outside that table.
//!
//! Draining is asked for by endpoint: [`Request::Drain`] is answered by [`Message::Draining`] at
//! each change (at most ten a second) and once by [`Message::Drained`].

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::ids::{Revision, ServiceName, SlotId};

/// What a proxy can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// Take this table.
    Routes {
        /// Its revision.
        revision: Revision,
        /// All of it.
        table: RouteTable,
    },
    /// Accept on these listeners too; one descriptor each. Names as in [`Route::listener`]. A
    /// listener that the proxy has already is left as it is.
    Listeners {
        /// Names in the descriptors' order.
        names: Vec<String>,
    },
    /// Close these listeners; connections that were accepted on them go on. One that the proxy does
    /// not have is fine.
    Unlisten {
        /// Names.
        names: Vec<String>,
    },
    /// Say when nothing is in flight on these endpoints. They must not be in the current table.
    Drain {
        /// Echoed in the answers.
        id: u64,
        /// Which.
        endpoints: Vec<EndpointId>,
    },
    /// End what is still in flight there, counted and listed.
    Cut {
        /// Echoed in the answer.
        id: u64,
        /// Which.
        endpoints: Vec<EndpointId>,
    },
    /// Report the counters of every service.
    Counters {
        /// Echoed in the answer.
        id: u64,
    },
    /// Stop accepting, let what is in flight end, then exit: a newer proxy shares the listeners.
    Leave {},
    /// A request of a later version; answered [`Message::Unsupported`].
    #[serde(other)]
    Unknown,
}

/// What a proxy says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// Sent after the hello: what the proxy runs on.
    State {
        /// Revision of the table in force; absent before the first one.
        #[serde(default)]
        revision: Option<Revision>,
        /// Names of the listeners it accepts on.
        listeners: Vec<String>,
        /// Its own process.
        pid: u32,
    },
    /// The table is in force.
    Applied {
        /// Which.
        revision: Revision,
    },
    /// The table was not taken; the one before is in force.
    Refused {
        /// The refused one.
        revision: Revision,
        /// The one in force.
        #[serde(default)]
        current: Option<Revision>,
        /// For people.
        reason: String,
    },
    /// These listeners are accepting.
    Listening {
        /// All names.
        names: Vec<String>,
    },
    /// What a drain still waits for.
    Draining {
        /// The request's number.
        id: u64,
        /// In flight there, oldest first, at most [`MAX_LISTED`].
        in_flight: Vec<InFlight>,
        /// How many in all.
        total: u64,
    },
    /// Nothing is in flight there any more, and nothing will be.
    Drained {
        /// The request's number.
        id: u64,
    },
    /// What was ended.
    WasCut {
        /// The request's number.
        id: u64,
        /// Oldest first, at most [`MAX_LISTED`].
        requests: Vec<InFlight>,
        /// How many in all.
        total: u64,
    },
    /// Counters since the proxy started.
    Counters {
        /// The request's number.
        id: u64,
        /// One entry a service that was ever routed to.
        services: Vec<ServiceCounters>,
    },
    /// This proxy is older than the request.
    Unsupported {},
    /// A message of a later version.
    #[serde(other)]
    Unknown,
}

/// Most requests listed in one message.
pub const MAX_LISTED: usize = 100;

/// Where every request goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    /// Services by name; a route points to one of them.
    pub services: Vec<Service>,
    /// (listener, host, path prefix) → service. The most specific wins: exact host before any
    /// host, then the longest prefix.
    pub routes: Vec<Route>,
}

/// One rule of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The listener's name, for example `0.0.0.0:8000`.
    pub listener: String,
    /// Lowercase host without port; absent: any.
    #[serde(default)]
    pub host: Option<String>,
    /// Starts with `/`; matches whole segments.
    pub path: String,
    /// Which service answers.
    pub service: ServiceName,
}

/// The endpoints of one service and how to treat them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// Shown by `why`, for example `v14`.
    pub release: String,
    /// Where requests may go. Those not ready are never picked, but count as "may become ready".
    pub endpoints: Vec<Endpoint>,
    /// How long a request waits for a ready endpoint, in milliseconds.
    pub hold_ms: u64,
    /// How many requests may wait at once.
    pub hold_requests: u32,
    /// How long an endpoint may take to its first response byte, in milliseconds.
    pub response_timeout_ms: u64,
    /// Largest request body in bytes; more is 413.
    pub body_limit_bytes: u64,
}

/// One slot as the proxy sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Which slot.
    pub slot: SlotId,
    /// Where to dial.
    pub address: EndpointAddress,
    /// Whether it may be picked.
    pub ready: bool,
    /// Most requests in flight on it; below its backlog.
    pub capacity: u32,
    /// How long an idle connection to it may be kept, in milliseconds; below the server's own
    /// keep-alive timeout. 0: one request a connection.
    pub idle_ms: u64,
}

/// Where an endpoint listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointAddress {
    /// A unix socket's absolute path; dialled through its directory, so its length does not matter.
    Unix(String),
    /// A TCP address on this machine.
    Tcp(SocketAddr),
}

/// A slot of a service: what is counted, drained and cut.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EndpointId {
    /// The service.
    pub service: ServiceName,
    /// The slot.
    pub slot: SlotId,
}

/// One request that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// Its id, as in `X-Request-Id`.
    pub id: String,
    /// Its method.
    pub method: String,
    /// Its path without the query.
    pub path: String,
    /// How long it has been running, in milliseconds.
    pub age_ms: u64,
    /// Whether it was upgraded (a WebSocket).
    pub upgraded: bool,
}

/// What happened on the routes of one service since the proxy started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceCounters {
    /// Which.
    pub service: ServiceName,
    /// Requests that ended.
    pub requests: u64,
    /// Answers of 500 and above that the app gave.
    pub app_errors: u64,
    /// Answers of 500 and above that the proxy gave, each with a reason code.
    pub proxy_errors: u64,
    /// Connections that ended before the response did, through no fault of the client.
    pub broken: u64,
    /// Requests that waited for a ready endpoint.
    pub held: u64,
    /// The longest such wait in milliseconds, since the counters were last asked for.
    pub held_max_ms: u64,
    /// Requests sent again to another endpoint.
    pub retried: u64,
    /// Requests in flight now.
    pub in_flight: u64,
}
