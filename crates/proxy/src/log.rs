//! One JSON object a line about requests that failed, or about all.
//!
//! Lines go through a bounded queue to a thread that writes them: a pipe that nobody reads must
//! never stop a request. What does not fit is counted and said with the next line that does.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use serde::Serialize;

use crate::limits::MAX_LOG_LINES;

/// Where lines go.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    lines: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

/// A request that ended.
#[derive(Debug, Serialize)]
pub(crate) struct RequestLine<'a> {
    pub(crate) kind: &'static str,
    pub(crate) at_ms: u64,
    pub(crate) id: &'a str,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) release: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slot: Option<String>,
    pub(crate) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<&'a str>,
    pub(crate) attempts: u32,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) held_ms: u64,
    pub(crate) ms: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the shape serde asks for
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Something about the proxy itself.
#[derive(Debug, Serialize)]
struct EventLine<'a> {
    kind: &'static str,
    at_ms: u64,
    event: &'a str,
    detail: &'a str,
}

impl Log {
    /// Starts the writer; it ends when the last clone is gone.
    pub(crate) fn start(mut output: Box<dyn Write + Send>) -> std::io::Result<Self> {
        let (lines, queue) = sync_channel::<Vec<u8>>(MAX_LOG_LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&dropped);
        std::thread::Builder::new().name("log".into()).spawn(move || {
            for line in queue {
                let missing = counted.swap(0, Relaxed);
                if missing > 0 {
                    let text = format!("{{\"kind\":\"log\",\"dropped_lines\":{missing}}}\n");
                    let _ = output.write_all(text.as_bytes());
                }
                // Nobody is left to be told that the log failed.
                let _ = output.write_all(&line).and_then(|()| output.flush());
            }
        })?;
        Ok(Self { lines, dropped })
    }

    /// Writes about a request.
    pub(crate) fn request(&self, line: &RequestLine<'_>) {
        self.push(line);
    }

    /// Writes about the proxy itself.
    pub(crate) fn event(&self, event: &str, detail: &str) {
        self.push(&EventLine { kind: "proxy", at_ms: now_ms(), event, detail });
    }

    fn push(&self, line: &impl Serialize) {
        let Ok(mut bytes) = serde_json::to_vec(line) else { return };
        bytes.push(b'\n');
        if let Err(TrySendError::Full(_)) = self.lines.try_send(bytes) {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// Returns the wall clock in milliseconds since the epoch.
pub(crate) fn now_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
