//! Open-loop load: requests at a constant rate, whatever becomes of them.
//!
//! Request `n` is due at `n / rate`, whether or not earlier ones were answered, and its latency
//! counts from then: a stall is seen by every request that was due in it (no coordinated
//! omission). When all connections are busy the request waits for one, and that counts too.
//!
//! The load never forgives. It sends a request a second time in one case only, and counts it: the
//! server had closed an idle keep-alive connection before any byte of the request was accepted by
//! the kernel. A connection that ends after that is a failure, for GET and POST alike.

mod client;
mod report;
mod request;
mod response;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::client::Client;
pub use self::report::{Report, Sample};
use self::request::Request;
pub use self::request::{Kind, Writes};

/// Longest wait for a due time between two looks at whether to stop.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A load without an end stops here: a test that forgot it must not run for ever.
const MAX_DURATION: Duration = Duration::from_secs(30 * 60);

/// What is sent, where to, and how fast.
#[derive(Debug, Clone)]
pub struct Load {
    address: SocketAddr,
    host: String,
    rate: f64,
    connections: usize,
    requests: Option<u64>,
    mix: Vec<Kind>,
    timeout: Duration,
}

impl Load {
    /// Returns 100 requests a second over 16 connections, in the mix of [`Kind::all`].
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            host: address.to_string(),
            rate: 100.0,
            connections: 16,
            requests: None,
            mix: Kind::all(),
            timeout: Duration::from_secs(60),
        }
    }

    /// With this `Host`.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// So many requests a second.
    #[must_use]
    pub fn rate(mut self, per_second: f64) -> Self {
        self.rate = per_second;
        self
    }

    /// Over so many keep-alive connections.
    #[must_use]
    pub fn connections(mut self, count: usize) -> Self {
        self.connections = count;
        self
    }

    /// Ends by itself after so many requests.
    #[must_use]
    pub fn requests(mut self, count: u64) -> Self {
        self.requests = Some(count);
        self
    }

    /// These kinds in turn.
    #[must_use]
    pub fn mix(mut self, mix: impl Into<Vec<Kind>>) -> Self {
        self.mix = mix.into();
        self
    }

    /// A request that takes longer, once it was sent, has failed.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Starts it.
    pub fn start(self) -> Running {
        assert!(!self.mix.is_empty() && self.rate > 0.0 && self.connections > 0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let shared = Arc::new(Shared {
            run: format!("{:x}-{since:x}", std::process::id()),
            load: self,
            start: Instant::now(),
            stop: AtomicBool::new(false),
            next: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            notes: Mutex::new(Vec::new()),
            gate: RwLock::new(()),
        });
        let threads = (0..shared.load.connections)
            .map(|_| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.work())
            })
            .collect();
        Running { shared, threads }
    }

    /// Runs it to its end; [`Load::requests`] must have been said.
    pub fn run(self) -> Report {
        assert!(self.requests.is_some(), "a load that is run needs an end");
        self.start().finish()
    }
}

#[derive(Debug)]
struct Shared {
    /// Makes ids unique among all loads.
    run: String,
    load: Load,
    start: Instant,
    stop: AtomicBool,
    next: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    notes: Mutex<Vec<(Duration, String)>>,
    /// Read by whoever sends; written to keep all from sending.
    gate: RwLock<()>,
}

/// A load in progress. Dropping it stops it.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<(Vec<Sample>, Client)>>,
}

impl Running {
    /// Returns how many requests were answered so far.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Returns how many requests have failed so far.
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Remembers what is done to the system now; the report shows it between the failures.
    pub fn note(&self, what: impl Into<String>) {
        self.shared.notes.lock().unwrap().push((self.shared.start.elapsed(), what.into()));
    }

    /// Runs `action` between requests: those under way have ended, and none begins before it
    /// returns. Requests that are due meanwhile are late, which counts as their latency.
    pub fn between_requests<T>(&self, action: impl FnOnce() -> T) -> T {
        let _closed = self.shared.gate.write().unwrap();
        action()
    }

    /// Stops it once every request that is under way has ended.
    pub fn stop(self) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.finish()
    }

    fn finish(mut self) -> Report {
        let mut report = Report::default();
        for thread in self.threads.drain(..) {
            let (samples, client) = thread.join().expect("a load thread does not panic");
            report.samples.extend(samples);
            report.connects += client.connects;
            report.idle_closes += client.idle_closes;
        }
        report.samples.sort_by_key(|sample| sample.number);
        report.notes = std::mem::take(&mut *self.shared.notes.lock().unwrap());
        report.duration = self.shared.start.elapsed();
        report
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// Sends what is due, one request after the other, over one connection.
    fn work(&self) -> (Vec<Sample>, Client) {
        let load = &self.load;
        let mut client = Client::new(load.address, load.timeout);
        let mut samples = Vec::new();
        while let Some((number, due)) = self.next_due() {
            let kind = &load.mix[(number % load.mix.len() as u64) as usize];
            let request = Request::new(kind, &load.host, &self.run, number);
            let result = {
                let _open = self.gate.read().unwrap();
                client.send(&request)
            };
            let at = due.duration_since(self.start);
            let sample = Sample::new(number, at, due.elapsed(), &request, &result);
            let counter = if sample.failure.is_none() { &self.answered } else { &self.failed };
            counter.fetch_add(1, Ordering::Relaxed);
            samples.push(sample);
        }
        (samples, client)
    }

    /// Waits until the next request is due; `None` when there is none.
    fn next_due(&self) -> Option<(u64, Instant)> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let after = Duration::from_secs_f64(number as f64 / self.load.rate);
        if self.load.requests.is_some_and(|count| number >= count) || after > MAX_DURATION {
            return None;
        }
        let due = self.start + after;
        loop {
            let wait = due.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Some((number, due));
            }
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            std::thread::sleep(wait.min(LOOK_EVERY));
        }
    }
}
