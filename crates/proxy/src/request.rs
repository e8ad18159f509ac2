//! One request: what is kept of it while it is served.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use http1::{BodyLength, Expectation, Version, is_idempotent};
use tokio::time::Instant;

use crate::client::Origin;
use crate::head::{Client, From, begin_request, sane_id, upgrade_of};
use crate::hold::Journey;
use crate::limits::MAX_LISTED_PATH_BYTES;
use crate::service::{ServiceEntry, ServiceState};
use crate::tracker::Current;

/// Everything about the request but its body.
pub(crate) struct Request {
    pub(crate) id: String,
    /// For the slot, up to where framing and connection follow.
    pub(crate) head: Vec<u8>,
    pub(crate) head_length: usize,
    pub(crate) client: Client,
    pub(crate) idempotent: bool,
    /// Whether a body was announced, be it empty.
    pub(crate) has_body: bool,
    pub(crate) expects_continue: bool,
    pub(crate) upgrade: bool,
    /// Whether the client keeps its connection.
    pub(crate) persists: bool,
    pub(crate) json: bool,
    pub(crate) started: Instant,
    /// Who answers it.
    pub(crate) entry: Option<Arc<ServiceEntry>>,
    pub(crate) journey: Journey,
    /// Counts it while it runs.
    pub(crate) running: Option<Running>,
}

impl Request {
    pub(crate) fn new() -> Self {
        Self {
            id: String::new(),
            head: Vec::new(),
            head_length: 0,
            client: Client { is_11: true, is_head: false },
            idempotent: false,
            has_body: false,
            expects_continue: false,
            upgrade: false,
            persists: false,
            json: false,
            started: Instant::now(),
            entry: None,
            journey: Journey::new(),
            running: None,
        }
    }

    /// Forgets the request before, where this one's head was never understood.
    pub(crate) fn forget(&mut self) {
        self.shrink(0);
        self.id.clear();
        push_id(&mut self.id);
        self.client = Client { is_11: true, is_head: false };
        self.persists = false;
        self.json = false;
        self.started = Instant::now();
    }

    /// Takes over a parsed head: routes it, and makes the slot's head from it.
    pub(crate) fn begin(
        &mut self,
        request: &http1::Request<'_, '_>,
        origin: &Origin,
        current: &mut Current,
    ) {
        self.id.clear();
        match sane_id(request) {
            Some(id) => self.id.push_str(id),
            None => push_id(&mut self.id),
        }
        let path = request.target().path();
        self.client = Client {
            is_11: request.version() == Version::Http11,
            is_head: request.method() == "HEAD",
        };
        self.idempotent = is_idempotent(request.method());
        self.has_body =
            request.body() != BodyLength::Length(0) || request.header("content-length").is_some();
        self.expects_continue = request.expectation() == Expectation::Continue;
        self.persists = request.persists();
        self.json = request
            .header("accept")
            .is_some_and(|accept| accept.windows(5).any(|w| w.eq_ignore_ascii_case(b"/json")));
        self.started = Instant::now();
        self.journey = Journey::new();
        let upgrade = upgrade_of(request);
        self.upgrade = upgrade.is_some();
        self.head.clear();
        let from = From { peer: &origin.peer, local: &origin.local };
        begin_request(&mut self.head, request, from, &self.id, upgrade);
        self.head_length = self.head.len();

        let host = request.authority().map(|authority| authority.host());
        self.entry = origin.shared.table.load().find(&origin.listener, host, path).cloned();
        self.running = self.entry.as_ref().map(|entry| Running::new(&entry.state));

        current.id.clone_from(&self.id);
        current.method.clear();
        current.method.push_str(request.method());
        current.path.clear();
        current.path.push_str(beginning(path));
        current.started = self.started.into_std();
        current.upgraded = false;
        current.endpoint = None;
    }

    /// Gives up what the next request does not need.
    pub(crate) fn shrink(&mut self, most: usize) {
        self.entry = None;
        self.running = None;
        self.journey = Journey::new();
        self.head.clear();
        self.head.shrink_to(most);
    }
}

/// Returns as much of a path as is listed.
fn beginning(path: &str) -> &str {
    let mut end = path.len().min(MAX_LISTED_PATH_BYTES);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    &path[..end]
}

/// A request that is counted as running; not any more when dropped.
pub(crate) struct Running(Arc<ServiceState>);

impl Running {
    fn new(service: &Arc<ServiceState>) -> Self {
        service.counters.in_flight.fetch_add(1, Relaxed);
        Self(Arc::clone(service))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.counters.in_flight.fetch_sub(1, Relaxed);
    }
}

thread_local! {
    /// State of this thread's id generator; 0 before it was seeded.
    static IDS: Cell<u64> = const { Cell::new(0) };
}

/// Appends a new request id: 16 hexadecimal digits, no two alike for practical purposes, and not
/// a secret.
fn push_id(out: &mut String) {
    use std::fmt::Write;
    let mut state = IDS.get();
    if state == 0 {
        let mut seed = [0; 8];
        // Without the kernel's randomness the clock must do.
        if rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()).is_err() {
            seed = crate::log::now_ms().wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
        }
        state = u64::from_le_bytes(seed) | 1;
    }
    // SplitMix64: a permutation of the counter, so that a thread never repeats an id.
    state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    IDS.set(state);
    let mut mixed = state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    // Writing to a string cannot fail.
    let _ = write!(out, "{mixed:016x}");
}
