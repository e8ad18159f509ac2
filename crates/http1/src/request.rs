//! Request heads.

use crate::fields::{Connection, Header, HeaderSpace, Version};
use crate::framing::{BodyLength, Framing, FramingError};
use crate::host::Authority;
use crate::limits::{MAX_HEADERS, MAX_METHOD_BYTES, MAX_TARGET_BYTES};
use crate::scan::{HeadError, HeadScanner};

/// A request head that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Its bytes.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// More lines than [`MAX_HEADERS`].
    #[error("more than {MAX_HEADERS} headers")]
    TooManyHeaders,
    /// The request line or a header line.
    #[error("malformed head: {0}")]
    Syntax(&'static str),
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("not HTTP/1.0 or HTTP/1.1")]
    Version,
    /// A method nobody here serves: too long, or `CONNECT`.
    #[error("the method is not supported")]
    Method,
    /// Longer than [`MAX_TARGET_BYTES`].
    #[error("the request target is longer than {MAX_TARGET_BYTES} bytes")]
    TargetTooLong,
    /// Not a path, not an `http` address, not `*`.
    #[error("the request target is not a path")]
    Target,
    /// HTTP/1.1 without `Host`.
    #[error("no `Host` header")]
    HostMissing,
    /// Two of them.
    #[error("more than one `Host` header")]
    HostRepeated,
    /// Not `host[:port]`.
    #[error("`Host` is not a host name")]
    Host,
    /// The length of the body is in doubt.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// An expectation other than `100-continue`.
    #[error("`Expect` is not `100-continue`")]
    Expectation,
}

impl RequestError {
    /// Returns the status that answers it.
    pub fn status(self) -> u16 {
        match self {
            Self::Head(HeadError::TooLong) | Self::TooManyHeaders => 431,
            Self::TargetTooLong => 414,
            Self::Version => 505,
            Self::Method => 501,
            Self::Expectation => 417,
            _ => 400,
        }
    }
}

/// Where a request is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'b> {
    path: &'b str,
    query: Option<&'b str>,
}

impl<'b> Target<'b> {
    /// Returns the path; starts with `/`, or is `*` for `OPTIONS`.
    pub fn path(&self) -> &'b str {
        self.path
    }

    /// Returns what stood behind `?`.
    pub fn query(&self) -> Option<&'b str> {
        self.query
    }
}

/// What `Expect` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// Nothing.
    None,
    /// The client waits for `100 Continue` before it sends the body.
    Continue,
}

/// A request head without any doubt in it.
#[derive(Debug)]
pub struct Request<'h, 'b> {
    method: &'b str,
    target: Target<'b>,
    version: Version,
    authority: Option<Authority<'b>>,
    headers: &'h [httparse::Header<'b>],
    body: BodyLength,
    connection: Connection,
    expectation: Expectation,
}

impl<'b> Request<'_, 'b> {
    /// Returns the method, as written.
    pub fn method(&self) -> &'b str {
        self.method
    }

    /// Returns the target.
    pub fn target(&self) -> Target<'b> {
        self.target
    }

    /// Returns the client's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns the host that is meant; `None` only in HTTP/1.0.
    pub fn authority(&self) -> Option<Authority<'b>> {
        self.authority
    }

    /// Returns all header lines in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'b>> + Clone {
        self.headers.iter().map(Header::from_parsed)
    }

    /// Returns the first value of a header.
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        self.headers().find(|header| header.is(name)).map(|header| header.value)
    }

    /// Returns how long the body is; never [`BodyLength::UntilClose`].
    pub fn body(&self) -> BodyLength {
        self.body
    }

    /// Returns what `Connection` says.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// Returns whether the client keeps the connection for another request.
    pub fn persists(&self) -> bool {
        self.connection.persists(self.version)
    }

    /// Returns what the client waits for.
    pub fn expectation(&self) -> Expectation {
        self.expectation
    }
}

/// Returns the head at the beginning of `bytes` and its length, or `None` until more bytes come.
///
/// `scanner` remembers what was seen of this head; `bytes` only ever grows until the head is
/// complete.
pub fn parse_request<'h, 'b>(
    bytes: &'b [u8],
    scanner: &mut HeadScanner,
    space: &'h mut HeaderSpace<'b>,
) -> Result<Option<(Request<'h, 'b>, usize)>, RequestError> {
    // One empty line is left over by some clients behind a body (RFC 9112 §2.2).
    let skipped = match bytes {
        [b'\r', b'\n', ..] => 2,
        [b'\r'] => return Ok(None),
        _ => 0,
    };
    let Some(length) = scanner.scan(&bytes[skipped..])? else { return Ok(None) };
    let head = &bytes[skipped..skipped + length];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, &mut space.0) {
        Ok(httparse::Status::Complete(end)) if end == length => {}
        Ok(_) => return Err(RequestError::Syntax("the head does not end where its lines end")),
        Err(error) => return Err(syntax(error, head)),
    }
    let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    let version = Version::from_minor(parsed.version);
    let headers: &'h [httparse::Header<'b>] = parsed.headers;
    if method.len() > MAX_METHOD_BYTES || method == "CONNECT" {
        return Err(RequestError::Method);
    }
    let (target, named_in_target) = parse_target(method, target)?;

    let mut host = None;
    let mut framing = Framing::default();
    let mut connection = Connection::default();
    let mut expectation = Expectation::None;
    for header in headers.iter().map(Header::from_parsed) {
        match header.name.len() {
            4 if header.is("host") => {
                if host.is_some() {
                    return Err(RequestError::HostRepeated);
                }
                host = Some(Authority::parse(header.value).ok_or(RequestError::Host)?);
            }
            6 if header.is("expect") => {
                if !header.value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(RequestError::Expectation);
                }
                // HTTP/1.0 clients cannot wait for it (RFC 9110 §10.1.1).
                if version == Version::Http11 {
                    expectation = Expectation::Continue;
                }
            }
            10 if header.is("connection") => connection.add(header.value),
            14 | 17 => {
                framing.add(header)?;
            }
            _ => {}
        }
    }
    if host.is_none() && version == Version::Http11 {
        return Err(RequestError::HostMissing);
    }
    let body = framing.finish(version)?.unwrap_or(BodyLength::Length(0));
    if body == BodyLength::Length(0) {
        expectation = Expectation::None;
    }
    let authority = named_in_target.or(host);
    let request =
        Request { method, target, version, authority, headers, body, connection, expectation };
    Ok(Some((request, skipped + length)))
}

fn parse_target<'b>(
    method: &str,
    text: &'b str,
) -> Result<(Target<'b>, Option<Authority<'b>>), RequestError> {
    if text.len() > MAX_TARGET_BYTES {
        return Err(RequestError::TargetTooLong);
    }
    // A fragment is never sent (RFC 9110 §4.2.5); who sends one wants to be read in two ways.
    if text.contains('#') {
        return Err(RequestError::Target);
    }
    if text.starts_with('/') {
        return Ok((split_query(text), None));
    }
    if text == "*" {
        let target = Target { path: "*", query: None };
        return if method == "OPTIONS" { Ok((target, None)) } else { Err(RequestError::Target) };
    }
    let (scheme, rest) = text.split_once("://").ok_or(RequestError::Target)?;
    if !(scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")) {
        return Err(RequestError::Target);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = Authority::parse(authority.as_bytes()).ok_or(RequestError::Target)?;
    Ok((split_query(path), Some(authority)))
}

fn split_query(text: &str) -> Target<'_> {
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    };
    Target { path: if path.is_empty() { "/" } else { path }, query }
}

fn syntax(error: httparse::Error, head: &[u8]) -> RequestError {
    match error {
        httparse::Error::TooManyHeaders => RequestError::TooManyHeaders,
        httparse::Error::Version if names_a_version(head) => RequestError::Version,
        httparse::Error::HeaderName => RequestError::Syntax("a header's name"),
        httparse::Error::HeaderValue => RequestError::Syntax("a header's value"),
        httparse::Error::NewLine => RequestError::Syntax("an end of line"),
        _ => RequestError::Syntax("the request line"),
    }
}

/// Returns whether the first line is complete and merely ends in another version than ours.
fn names_a_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(_), Some(_), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return false;
    };
    matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// Returns whether a request with this method may be sent again although it may have been
/// executed (RFC 9110 §9.2.2).
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}
