//! A stream of JSON lines.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use report::{Failure, Kind};
use serde::de::DeserializeOwned;

use super::LINE_MAX_BYTES;
use super::request::Connection;
use crate::error::Result;

/// The lines of an answer. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Lines {
    body: Incoming,
    buffer: Buffer,
    _connection: Connection,
}

impl Lines {
    /// Takes over the body and the task that drives its connection.
    pub(super) fn new(body: Incoming, connection: Connection) -> Self {
        Self { body, buffer: Buffer::default(), _connection: connection }
    }

    /// Returns the next line, or `None` when the stream has ended, however it ended: a stream that
    /// means something by its end says so in its last line. May be cancelled at any await.
    pub(crate) async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(line) = self.buffer.line()? {
                return Ok(Some(line));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.push(data);
                    }
                }
                // A reset connection is an ended one: the agent was killed.
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }
}

/// Parses a line; `None` for one of a kind that this build does not know.
pub(crate) fn parse<T: DeserializeOwned>(line: &str) -> Option<T> {
    serde_json::from_str(line).ok()
}

/// Bytes on their way to become lines.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// How far no newline was found, so that a long line is searched once.
    searched: usize,
}

impl Buffer {
    fn push(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
    }

    /// Takes a whole line out; blank ones (they keep connections open) are skipped.
    fn line(&mut self) -> Result<Option<String>> {
        loop {
            let found = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n');
            let Some(length) = found.map(|offset| self.searched + offset) else {
                self.searched = self.bytes.len();
                if self.searched > LINE_MAX_BYTES {
                    return Err(Failure::new(
                        Kind::Internal,
                        format!("the agent sent a line of more than {LINE_MAX_BYTES} bytes"),
                    )
                    .into());
                }
                return Ok(None);
            };
            let line = String::from_utf8_lossy(&self.bytes[..length]).trim().to_owned();
            self.bytes.drain(..=length);
            self.searched = 0;
            if !line.is_empty() {
                return Ok(Some(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_wherever_the_bytes_are() {
        let text = b"{\"a\":1}\n\n{\"b\":\"\xc3\xa9\"}\r\nrest";
        for size in 1..text.len() {
            let mut buffer = Buffer::default();
            let mut lines = Vec::new();
            for piece in text.chunks(size) {
                buffer.push(piece);
                while let Some(line) = buffer.line().unwrap() {
                    lines.push(line);
                }
            }
            assert_eq!(lines, ["{\"a\":1}", "{\"b\":\"é\"}"], "in pieces of {size}");
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut buffer = Buffer::default();
        buffer.push(&vec![b'x'; LINE_MAX_BYTES + 1]);
        assert!(buffer.line().is_err());
    }
}
