//! Response heads.

use crate::fields::{Connection, Header, HeaderSpace, Version};
use crate::framing::{BodyLength, Framing, FramingError};
use crate::limits::MAX_HEADERS;
use crate::scan::{HeadError, HeadScanner};

/// A response head that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// Its bytes.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// More lines than [`MAX_HEADERS`].
    #[error("more than {MAX_HEADERS} headers")]
    TooManyHeaders,
    /// The status line or a header line.
    #[error("malformed head: {0}")]
    Syntax(&'static str),
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("not HTTP/1.0 or HTTP/1.1")]
    Version,
    /// Below 100 or above 599.
    #[error("status {0} is none")]
    Status(u16),
    /// The length of the body is in doubt.
    #[error(transparent)]
    Framing(#[from] FramingError),
}

/// A response head without any doubt in it.
#[derive(Debug)]
pub struct Response<'h, 'b> {
    status: u16,
    reason: &'b str,
    version: Version,
    headers: &'h [httparse::Header<'b>],
    body: BodyLength,
    declared: Option<u64>,
    connection: Connection,
}

impl<'b> Response<'_, 'b> {
    /// Returns the status, 100 to 599.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the reason phrase, as written; may be empty.
    pub fn reason(&self) -> &'b str {
        self.reason
    }

    /// Returns the server's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns all header lines in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'b>> + Clone {
        self.headers.iter().map(Header::from_parsed)
    }

    /// Returns the first value of a header.
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        self.headers().find(|header| header.is(name)).map(|header| header.value)
    }

    /// Returns how long the body that follows is: 0 after `HEAD` and for 1xx, 204 and 304,
    /// whatever the headers say (RFC 9112 §6.3).
    pub fn body(&self) -> BodyLength {
        self.body
    }

    /// Returns `Content-Length` as declared, also where no body follows.
    pub fn declared_length(&self) -> Option<u64> {
        self.declared
    }

    /// Returns what `Connection` says.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// Returns whether the server keeps the connection for another request.
    pub fn persists(&self) -> bool {
        self.connection.persists(self.version) && self.body != BodyLength::UntilClose
    }
}

/// Returns whether a response to `method` with `status` never has a body.
pub fn has_no_body(method: &str, status: u16) -> bool {
    method == "HEAD" || matches!(status, 100..=199 | 204 | 304)
}

/// Returns the head at the beginning of `bytes` and its length, or `None` until more bytes come.
///
/// `method` is that of the request it answers. A 101 is returned with a body of length 0: what
/// follows is another protocol.
pub fn parse_response<'h, 'b>(
    bytes: &'b [u8],
    method: &str,
    scanner: &mut HeadScanner,
    space: &'h mut HeaderSpace<'b>,
) -> Result<Option<(Response<'h, 'b>, usize)>, ResponseError> {
    let Some(length) = scanner.scan(bytes)? else { return Ok(None) };
    let mut parsed = httparse::Response::new(&mut []);
    let outcome = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut parsed,
        &bytes[..length],
        &mut space.0,
    );
    match outcome {
        Ok(httparse::Status::Complete(end)) if end == length => {}
        Ok(_) => return Err(ResponseError::Syntax("the head does not end where its lines end")),
        Err(error) => return Err(syntax(error)),
    }
    let status = parsed.code.unwrap_or_default();
    if !(100..=599).contains(&status) {
        return Err(ResponseError::Status(status));
    }
    let version = Version::from_minor(parsed.version);
    let headers: &'h [httparse::Header<'b>] = parsed.headers;
    let mut framing = Framing::default();
    let mut connection = Connection::default();
    for header in headers.iter().map(Header::from_parsed) {
        match header.name.len() {
            10 if header.is("connection") => connection.add(header.value),
            14 | 17 => {
                framing.add(header)?;
            }
            _ => {}
        }
    }
    let found = framing.finish(version)?;
    let declared = match found {
        Some(BodyLength::Length(length)) => Some(length),
        _ => None,
    };
    let body = if has_no_body(method, status) {
        BodyLength::Length(0)
    } else {
        found.unwrap_or(BodyLength::UntilClose)
    };
    let reason = parsed.reason.unwrap_or_default();
    Ok(Some((Response { status, reason, version, headers, body, declared, connection }, length)))
}

fn syntax(error: httparse::Error) -> ResponseError {
    match error {
        httparse::Error::TooManyHeaders => ResponseError::TooManyHeaders,
        httparse::Error::Version => ResponseError::Version,
        httparse::Error::HeaderName => ResponseError::Syntax("a header's name"),
        httparse::Error::HeaderValue => ResponseError::Syntax("a header's value"),
        httparse::Error::NewLine => ResponseError::Syntax("an end of line"),
        _ => ResponseError::Syntax("the status line"),
    }
}

/// Returns the usual phrase of the statuses that a proxy says itself; empty for others.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
