//! A whole response in memory, for probes and tests.

use crate::body::{BodyDecoder, BodyError};
use crate::fields::HeaderSpace;
use crate::response::{ResponseError, parse_response};
use crate::scan::HeadScanner;

/// A response that could not be collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CollectError {
    /// Its head.
    #[error(transparent)]
    Head(#[from] ResponseError),
    /// Its body.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The connection ended before the head did.
    #[error("the connection ended before the response's head")]
    Truncated,
}

/// One response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// Its status; interim (1xx) responses are skipped, except 101.
    pub status: u16,
    /// Names in lower case, and values with bytes above 0x7f replaced.
    pub headers: Vec<(String, String)>,
    /// The beginning of its body, as much as was asked for.
    pub body: Vec<u8>,
    /// Whether the connection may be used again; only true of a complete response.
    pub persists: bool,
}

impl Collected {
    /// Returns the first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Collects one response from the bytes of a connection, in any split.
#[derive(Debug)]
pub struct ResponseCollector {
    method: String,
    max_body_bytes: usize,
    pending: Vec<u8>,
    scanner: HeadScanner,
    head: Option<(Collected, BodyDecoder)>,
}

impl ResponseCollector {
    /// Returns a collector for the response to `method` that keeps at most `max_body_bytes` of the
    /// body; what is longer is read and dropped.
    pub fn new(method: &str, max_body_bytes: usize) -> Self {
        Self {
            method: method.to_owned(),
            max_body_bytes,
            pending: Vec::new(),
            scanner: HeadScanner::default(),
            head: None,
        }
    }

    /// Takes bytes; returns whether the response is complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool, CollectError> {
        self.pending.extend_from_slice(bytes);
        while self.head.is_none() {
            let mut space = HeaderSpace::new();
            let parsed =
                parse_response(&self.pending, &self.method, &mut self.scanner, &mut space)?;
            let Some((response, length)) = parsed else { return Ok(false) };
            let interim = response.status() < 200 && response.status() != 101;
            if !interim {
                let headers = response
                    .headers()
                    .map(|header| {
                        let value = String::from_utf8_lossy(header.value).into_owned();
                        (header.name.to_ascii_lowercase(), value)
                    })
                    .collect();
                let collected = Collected {
                    status: response.status(),
                    headers,
                    body: Vec::new(),
                    persists: response.persists(),
                };
                self.head = Some((collected, BodyDecoder::new(response.body())));
            }
            self.pending.drain(..length);
            self.scanner = HeadScanner::default();
        }
        let Some((collected, decoder)) = &mut self.head else { return Ok(false) };
        let mut done = 0;
        loop {
            let input = &self.pending[done..];
            let decoded = decoder.decode(input)?;
            let data = &input[decoded.data.clone()];
            let room = self.max_body_bytes - collected.body.len();
            collected.body.extend_from_slice(&data[..data.len().min(room)]);
            done += decoded.consumed;
            if decoded.consumed == 0 {
                break;
            }
        }
        self.pending.drain(..done);
        Ok(decoder.is_done())
    }

    /// Returns whether a byte of the response has come.
    pub fn has_begun(&self) -> bool {
        self.head.is_some() || !self.pending.is_empty()
    }

    /// Returns the response; call when it is complete or the connection has ended.
    pub fn end(self) -> Result<Collected, CollectError> {
        let (mut collected, decoder) = self.head.ok_or(CollectError::Truncated)?;
        decoder.end_of_connection()?;
        collected.persists &= decoder.is_done() && self.pending.is_empty();
        Ok(collected)
    }
}
