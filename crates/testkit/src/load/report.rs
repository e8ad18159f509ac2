//! What became of a load.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::request::Request;
use super::response::Response;

/// Most failures that a printed report lists one by one.
const MAX_LISTED: usize = 50;

/// Longest part of a body that an error quotes.
const MAX_QUOTED_BYTES: usize = 200;

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its number in the load, from 0.
    pub number: u64,
    /// When it was due, from the load's start.
    pub at: Duration,
    /// From when it was due to the last byte of its answer.
    pub latency: Duration,
    /// What was sent, for people.
    pub name: String,
    /// The id of a POST.
    pub id: Option<String>,
    /// The answer's status.
    pub status: Option<u16>,
    /// `X-Release` of the answer: which release gave it.
    pub release: Option<String>,
    /// `X-Request-Id` of the answer.
    pub request_id: Option<String>,
    /// `Skep-Reason` of the answer.
    pub reason: Option<String>,
    /// Why it counts as failed; `None`: status 200, and the answer is its own.
    pub failure: Option<String>,
}

impl Sample {
    pub(crate) fn new(
        number: u64,
        at: Duration,
        latency: Duration,
        request: &Request,
        result: &Result<Response, String>,
    ) -> Self {
        let header = |name| Some(result.as_ref().ok()?.header(name)?.to_owned());
        let failure = match result {
            Err(what) => Some(what.clone()),
            Ok(response) => judge(request, response),
        };
        Self {
            number,
            at,
            latency,
            name: request.name.clone(),
            id: request.id.clone(),
            status: result.as_ref().ok().map(|response| response.status),
            release: header("x-release"),
            request_id: header("x-request-id"),
            reason: header("skep-reason"),
            failure,
        }
    }
}

/// Returns why an answer is not the right one.
fn judge(request: &Request, response: &Response) -> Option<String> {
    let body = &response.body[..response.body.len().min(MAX_QUOTED_BYTES)];
    let body = String::from_utf8_lossy(body);
    if response.status != 200 {
        return Some(format!("status {}: {body:?}", response.status));
    }
    match &request.id {
        Some(id) if response.body != id.as_bytes() => {
            Some(format!("the answer belongs to another request: {body:?}"))
        }
        _ => None,
    }
}

/// What became of a whole load.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Every request, in the order of their due times.
    pub samples: Vec<Sample>,
    /// What was noted, and when.
    pub notes: Vec<(Duration, String)>,
    /// Connections made.
    pub connects: u64,
    /// Requests that were sent over another connection because theirs had been closed while idle,
    /// before a byte of the request was accepted.
    pub idle_closes: u64,
    /// How long the load ran.
    pub duration: Duration,
}

impl Report {
    /// Returns the failed requests.
    pub fn failures(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|sample| sample.failure.is_some())
    }

    /// Panics with the whole report if a request failed, or if there was none.
    #[track_caller]
    pub fn assert_no_failures(&self) {
        assert!(!self.samples.is_empty(), "the load sent nothing");
        assert!(self.failures().next().is_none(), "{self}");
    }

    /// Returns how many answers had each status.
    pub fn statuses(&self) -> BTreeMap<u16, usize> {
        count(self.samples.iter().filter_map(|sample| sample.status))
    }

    /// Returns how many answers each release gave.
    pub fn releases(&self) -> BTreeMap<String, usize> {
        count(self.samples.iter().filter_map(|sample| sample.release.clone()))
    }

    /// Returns the latency that so many percent of all requests did not exceed; 100: the longest.
    pub fn latency(&self, percent: f64) -> Duration {
        let mut all: Vec<Duration> = self.samples.iter().map(|sample| sample.latency).collect();
        all.sort_unstable();
        let rank = (percent / 100.0 * all.len() as f64).ceil() as usize;
        all.get(rank.clamp(1, all.len().max(1)) - 1).copied().unwrap_or_default()
    }
}

fn count<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    counts
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failures().count();
        let milliseconds = |percent| self.latency(percent).as_secs_f64() * 1e3;
        writeln!(
            f,
            "{} requests in {:.1} s: {failed} failed; p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms; \
             {} connections, {} closed while idle",
            self.samples.len(),
            self.duration.as_secs_f64(),
            milliseconds(50.0),
            milliseconds(99.0),
            milliseconds(100.0),
            self.connects,
            self.idle_closes,
        )?;
        writeln!(f, "statuses {:?}, releases {:?}", self.statuses(), self.releases())?;
        let mut lines: Vec<(Duration, String)> =
            self.notes.iter().map(|(at, what)| (*at, format!("-- {what}"))).collect();
        for sample in self.failures().take(MAX_LISTED) {
            let Sample { number, name, latency, failure, request_id, reason, .. } = sample;
            let what = failure.as_deref().unwrap_or_default();
            lines.push((
                sample.at,
                format!(
                    "#{number} {name}: {what} after {:.3} s; request id {}, reason {}",
                    latency.as_secs_f64(),
                    request_id.as_deref().unwrap_or("-"),
                    reason.as_deref().unwrap_or("-"),
                ),
            ));
        }
        lines.sort();
        for (at, line) in lines {
            writeln!(f, "{:9.3} s  {line}", at.as_secs_f64())?;
        }
        if failed > MAX_LISTED {
            writeln!(f, "… and {} more", failed - MAX_LISTED)?;
        }
        Ok(())
    }
}
