//! Answers of our own: small, with a reason code and the request's id.

use http1::{HeadWriter, reason_phrase};
use serde::Serialize;

use crate::limits::RETRY_AFTER_SECONDS;
use crate::reason::Reason;

/// An answer to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) reason: Reason,
    pub(crate) id: &'a str,
    /// Whether the client asked for JSON.
    pub(crate) json: bool,
    /// Whether it asked with `HEAD`.
    pub(crate) is_head: bool,
    /// Whether the connection stays open.
    pub(crate) keep: bool,
    /// Whether it speaks HTTP/1.1.
    pub(crate) is_11: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    status: u16,
    reason: &'static str,
    request_id: &'a str,
}

impl Answer<'_> {
    /// Appends head and body.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let phrase = reason_phrase(self.status);
        let code = self.reason.code();
        let body = if self.json {
            let json = Json { status: self.status, reason: code, request_id: self.id };
            serde_json::to_string(&json).unwrap_or_default() + "\n"
        } else {
            format!("{} {phrase}\nreason: {code}\nrequest: {}\n", self.status, self.id)
        };
        let kind: &[u8] =
            if self.json { b"application/json" } else { b"text/plain; charset=utf-8" };
        let mut head = HeadWriter::response(out, self.status, phrase);
        head.header("Content-Type", kind)
            .number("Content-Length", body.len() as u64)
            .header("Cache-Control", b"no-store")
            .header("Skep-Reason", code.as_bytes());
        if !self.id.is_empty() {
            head.header("X-Request-Id", self.id.as_bytes());
        }
        if self.reason.is_passing() {
            head.number("Retry-After", RETRY_AFTER_SECONDS);
        }
        if !self.keep {
            head.header("Connection", b"close");
        } else if !self.is_11 {
            head.header("Connection", b"keep-alive");
        }
        head.end();
        if !self.is_head {
            out.extend_from_slice(body.as_bytes());
        }
    }
}
