//! Heads as they are passed on: headers of one connection are made anew, never copied.
//!
//! # Towards the slot
//!
//! `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host` and `X-Real-IP` say what this proxy
//! saw; what a client claims in them, in `Forwarded` and in `Proxy` is dropped, because nothing in
//! front of us is trusted yet. So is every name with an underscore: CGI and WSGI cannot tell
//! `X_Forwarded_For` from `X-Forwarded-For`. An upgrade to `h2c` is not passed on: behind it nobody
//! would see the requests.
//!
//! # Towards the client
//!
//! The slot's headers, our framing, `X-Request-Id`.

use http1::{BodyLength, HeadWriter, Header, Request, Response, is_hop_by_hop, tokens};

use crate::limits::MAX_REQUEST_ID_BYTES;

/// Who sent a request, as text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct From<'a> {
    /// The client's address.
    pub(crate) peer: &'a str,
    /// Address and port it came to: the host where an HTTP/1.0 client names none.
    pub(crate) local: &'a str,
}

/// Appends a request's head up to where framing and connection follow; see [`finish_request`].
pub(crate) fn begin_request(
    out: &mut Vec<u8>,
    request: &Request<'_, '_>,
    from: From<'_>,
    id: &str,
    upgrade: Option<&[u8]>,
) {
    let target = request.target();
    let mut head = HeadWriter::request(out, request.method(), target.path(), target.query());
    let host = request.authority().map_or(from.local, |authority| authority.as_str());
    head.header("Host", host.as_bytes());
    let connection = request.connection();
    for header in request.headers() {
        if !is_ours(header.name) && !connection.names(request.headers(), header.name) {
            head.copy(header);
        }
    }
    head.header("X-Forwarded-For", from.peer.as_bytes());
    head.header("X-Forwarded-Proto", b"http");
    head.header("X-Forwarded-Host", host.as_bytes());
    head.header("X-Real-IP", from.peer.as_bytes());
    head.header("X-Request-Id", id.as_bytes());
    if let Some(protocol) = upgrade {
        head.header("Connection", b"Upgrade").header("Upgrade", protocol);
    }
}

/// Appends framing, connection and the end of a request's head.
pub(crate) fn finish_request(
    out: &mut Vec<u8>,
    length: Option<BodyLength>,
    closes: bool,
    is_upgrade: bool,
) {
    let mut head = HeadWriter::resume(out);
    match length {
        Some(BodyLength::Length(length)) => {
            head.number("Content-Length", length);
        }
        Some(BodyLength::Chunked) => {
            head.header("Transfer-Encoding", b"chunked");
        }
        Some(BodyLength::UntilClose) | None => {}
    }
    if closes && !is_upgrade {
        head.header("Connection", b"close");
    }
    head.end();
}

/// Returns whether a request's header is dropped or made by us.
fn is_ours(name: &str) -> bool {
    /// By length, so that most headers are compared with nothing.
    fn is_known(name: &str) -> bool {
        let known: &[&str] = match name.len() {
            4 => &["host"],
            5 => &["proxy"],
            6 => &["expect"],
            9 => &["forwarded", "x-real-ip"],
            12 => &["x-request-id"],
            19 => &["proxy-authorization"],
            _ => &[],
        };
        known.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
    const FORWARDED: &str = "x-forwarded-";
    is_hop_by_hop(name)
        || is_known(name)
        || name.get(..FORWARDED.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORWARDED))
        || name.contains('_')
}

/// Returns the protocol that a request asks to change to, if it is one that is passed on.
pub(crate) fn upgrade_of<'b>(request: &Request<'_, 'b>) -> Option<&'b [u8]> {
    if !request.connection().upgrade || request.body() != BodyLength::Length(0) {
        return None;
    }
    let value = request.header("upgrade")?;
    let hides_requests = |token: &[u8]| token.len() >= 2 && token[..2].eq_ignore_ascii_case(b"h2");
    (!value.is_empty() && !tokens(value).any(hides_requests)).then_some(value)
}

/// Returns a client's request id if it may stand in logs and headers.
pub(crate) fn sane_id<'b>(request: &Request<'_, 'b>) -> Option<&'b str> {
    let id = std::str::from_utf8(request.header("x-request-id")?).ok()?;
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=+/".contains(&byte);
    ((1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.bytes().all(fine)).then_some(id)
}

/// How a response's body is framed for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// As it comes: its length was said, or it ends with the connection.
    Plain,
    /// In chunks of ours.
    Chunks,
}

/// What a client understands and expects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    /// Whether it speaks HTTP/1.1.
    pub(crate) is_11: bool,
    /// Whether it asked with `HEAD`.
    pub(crate) is_head: bool,
}

/// Returns how a response is framed for a client, and whether its end is seen without a close.
pub(crate) fn client_framing(body: BodyLength, client: Client) -> (Framing, bool) {
    match body {
        BodyLength::Length(_) => (Framing::Plain, true),
        BodyLength::Chunked | BodyLength::UntilClose if client.is_11 => (Framing::Chunks, true),
        BodyLength::Chunked | BodyLength::UntilClose => (Framing::Plain, false),
    }
}

/// Appends a response's head for the client.
pub(crate) fn write_response(
    out: &mut Vec<u8>,
    response: &Response<'_, '_>,
    id: &str,
    client: Client,
    keep: bool,
) {
    let mut head = HeadWriter::response(out, response.status(), response.reason());
    let connection = response.connection();
    for header in response.headers() {
        if !is_hop_by_hop(header.name)
            && !is_said_by_us(header)
            && !connection.names(response.headers(), header.name)
        {
            head.copy(header);
        }
    }
    head.header("X-Request-Id", id.as_bytes());
    if response.status() == 101 {
        let protocol = response.header("upgrade").unwrap_or_default();
        head.header("Connection", b"Upgrade").header("Upgrade", protocol).end();
        return;
    }
    let bodiless = matches!(response.status(), 100..=199 | 204);
    match response.body() {
        BodyLength::Length(_) if bodiless => {}
        BodyLength::Length(length) => {
            // After HEAD and in a 304 it is the length that a GET would have got.
            let length = if client.is_head || response.status() == 304 {
                response.declared_length()
            } else {
                Some(length)
            };
            if let Some(length) = length {
                head.number("Content-Length", length);
            }
        }
        body => {
            if client_framing(body, client).0 == Framing::Chunks {
                head.header("Transfer-Encoding", b"chunked");
            }
        }
    }
    if !keep {
        head.header("Connection", b"close");
    } else if !client.is_11 {
        head.header("Connection", b"keep-alive");
    }
    head.end();
}

/// Appends an interim response for a client of HTTP/1.1: the slot's headers without those of one
/// connection, and no framing, because no body follows.
pub(crate) fn write_interim(out: &mut Vec<u8>, response: &Response<'_, '_>) {
    let mut head = HeadWriter::response(out, response.status(), response.reason());
    let connection = response.connection();
    for header in response.headers() {
        if !is_hop_by_hop(header.name)
            && !is_said_by_us(header)
            && !connection.names(response.headers(), header.name)
        {
            head.copy(header);
        }
    }
    head.end();
}

fn is_said_by_us(header: Header<'_>) -> bool {
    header.is("x-request-id") || header.is("skep-reason") || header.is("skep-refused")
}

impl Client {
    /// Returns a method that decides like the request's whether a response has a body.
    pub(crate) fn method(self) -> &'static str {
        if self.is_head { "HEAD" } else { "GET" }
    }
}
