//! Every bound of the proxy, in one place, with its reason.

use std::time::Duration;

/// What clients and slots may take of time and memory. Those of the product are the default; others
/// are for whoever runs a proxy to see what happens when one is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the first byte of a request's head to its end, all in all, so that a byte now and then
    /// buys nothing.
    pub head: Duration,
    /// How long a connection without a request is kept.
    pub client_idle: Duration,
    /// How long a body may take before [`Self::body_bytes_per_second`] is asked of it.
    pub body_grace: Duration,
    /// What a client must send of a body on average; time in which we do not read does not count.
    pub body_bytes_per_second: u64,
    /// How long a client, or a slot, may take to make room for a single byte more.
    pub send: Duration,
    /// How long a response may pause between two bytes.
    pub response_pause: Duration,
    /// Request bytes held in memory by waiting requests, over all services.
    pub held_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(15),
            // nginx's default, above browsers' own habit.
            client_idle: Duration::from_secs(75),
            body_grace: Duration::from_secs(10),
            // Slower than any line that a person would wait at.
            body_bytes_per_second: 500,
            send: Duration::from_secs(60),
            // Event streams pause for minutes; a client that leaves ends them sooner.
            response_pause: Duration::from_secs(3600),
            // A thousand requests with all that can be sent again of them.
            held_bytes: 64 << 20,
        }
    }
}

/// Request bodies up to this are read before they are sent, and can be sent again; what is longer
/// streams. Enough for forms and API calls, small enough to hold a thousand of them.
pub(crate) const REPLAY_BYTES: usize = 64 << 10;

/// A request that went out in one write of at most this was read whole or not at all: the smallest
/// first read among servers (uWSGI's).
pub(crate) const ONE_READ_BYTES: usize = 4 << 10;

/// How long a body of unknown length may pause before what came is sent on. Long enough for one
/// that is merely cut into packets, short enough for a client that waits for the answer.
pub(crate) const STREAM_AFTER: Duration = Duration::from_millis(100);

/// How long a TCP connect on this machine may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a tunnel is kept after one side has said that it sends no more.
pub(crate) const TUNNEL_HALF_CLOSED: Duration = Duration::from_secs(60);

/// How long we read on after an answer that ends a connection, so that the client sees the answer
/// instead of a reset (RFC 9112 §9.6).
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// How much we read on at most.
pub(crate) const LINGER_BYTES: usize = 1 << 20;

/// Sends after one that may have been executed, over all of a request.
pub(crate) const MAX_RISKED: u8 = 2;

/// Of these, after a connection that ended in order: the slot has read the request.
pub(crate) const MAX_ENDED: u8 = 1;

/// All sends of one request; only a fault of ours gets there before the hold is over.
pub(crate) const MAX_ATTEMPTS: u32 = 256;

/// First pause before an endpoint that failed is tried again when there is no other …
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// … doubled up to this.
pub(crate) const RETRY_PAUSE_MAX: Duration = Duration::from_millis(250);

/// What an answer that asks to come back says.
pub(crate) const RETRY_AFTER_SECONDS: u64 = 2;

/// Interim responses (103 and the like) passed on for one request.
pub(crate) const MAX_INTERIM: u32 = 8;

/// Idle connections kept for one endpoint and worker.
pub(crate) const MAX_POOLED: usize = 64;

/// How often connections that idle too long are looked for.
pub(crate) const SWEEP: Duration = Duration::from_secs(1);

/// One buffer; a whole head fits.
pub(crate) const BUFFER_BYTES: usize = http1::MAX_HEAD_BYTES;

/// Buffers each worker keeps for the next request.
pub(crate) const MAX_SPARE_BUFFERS: usize = 64;

/// Buffer of one direction of a tunnel; many are open for long.
pub(crate) const TUNNEL_BYTES: usize = 8 << 10;

/// Memory a connection keeps for outgoing bytes between two requests.
pub(crate) const MAX_SPARE_BYTES: usize = 4 << 10;

/// Longest request id that is taken over from a client.
pub(crate) const MAX_REQUEST_ID_BYTES: usize = 128;

/// Longest path kept for lists and logs.
pub(crate) const MAX_LISTED_PATH_BYTES: usize = 512;

/// Workers on a machine with many processors, where the apps want them more.
pub(crate) const MAX_WORKERS: usize = 4;

/// Descriptors that are not for clients: listeners, control, files.
pub(crate) const RESERVED_DESCRIPTORS: u64 = 128;

/// Control connections at once; there is one agent, and for a moment its successor.
pub(crate) const MAX_CONTROL_CONNECTIONS: usize = 8;

/// How long a control peer may take to say hello.
pub(crate) const HELLO_PATIENCE: Duration = Duration::from_secs(5);

/// Least time between two `Draining` of one drain.
pub(crate) const DRAINING_EVERY: Duration = Duration::from_millis(100);

/// Drains that one control connection may wait for at once.
pub(crate) const MAX_DRAINS: usize = 1024;

/// Log lines waiting for the log's pipe; more are dropped and counted, because a log nobody reads
/// must not stop requests.
pub(crate) const MAX_LOG_LINES: usize = 4096;

/// Largest last-known-good file; a table is one control frame.
pub(crate) const MAX_ROUTES_FILE_BYTES: u64 = 2 << 20;

/// Pause after `accept` failed for want of descriptors or memory.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
