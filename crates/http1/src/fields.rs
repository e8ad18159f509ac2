//! Header fields and what `Connection` says.

use std::mem::MaybeUninit;

use crate::limits::MAX_HEADERS;

/// Room for the header lines of one head; lives on the stack and costs nothing to make.
#[derive(Debug)]
pub struct HeaderSpace<'b>(pub(crate) [MaybeUninit<httparse::Header<'b>>; MAX_HEADERS]);

impl HeaderSpace<'_> {
    /// Returns empty room.
    pub fn new() -> Self {
        Self([const { MaybeUninit::uninit() }; MAX_HEADERS])
    }
}

impl Default for HeaderSpace<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// One header line: its name as it was written, its value without surrounding white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'b> {
    /// A token (RFC 9110 §5.6.2).
    pub name: &'b str,
    /// No control byte but the tab; may hold bytes above 0x7f.
    pub value: &'b [u8],
}

impl<'b> Header<'b> {
    /// Returns whether this is the header `name`.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    pub(crate) fn from_parsed(header: &httparse::Header<'b>) -> Self {
        Self { name: header.name, value: header.value }
    }
}

/// Which HTTP/1 a peer speaks; any other version is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: one request a connection unless both say otherwise, no chunks.
    Http10,
    /// HTTP/1.1.
    Http11,
}

impl Version {
    pub(crate) fn from_minor(minor: Option<u8>) -> Self {
        if minor == Some(0) { Self::Http10 } else { Self::Http11 }
    }
}

/// What the `Connection` headers of a head say together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connection {
    /// `close`.
    pub close: bool,
    /// `keep-alive`.
    pub keep_alive: bool,
    /// `upgrade`.
    pub upgrade: bool,
    /// Names of other headers; see [`Self::names`].
    pub others: bool,
}

impl Connection {
    pub(crate) fn add(&mut self, value: &[u8]) {
        for token in tokens(value) {
            if token.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if token.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                self.others = true;
            }
        }
    }

    /// Returns whether the peer keeps the connection after this exchange (RFC 9112 §9.3).
    pub fn persists(&self, version: Version) -> bool {
        match version {
            Version::Http11 => !self.close,
            Version::Http10 => self.keep_alive && !self.close,
        }
    }

    /// Returns whether a `Connection` header among `headers` names `name`, so that it must not be
    /// passed on (RFC 9110 §7.6.1).
    pub fn names<'b>(&self, headers: impl IntoIterator<Item = Header<'b>>, name: &str) -> bool {
        self.others
            && headers.into_iter().any(|header| {
                header.is("connection")
                    && tokens(header.value).any(|t| t.eq_ignore_ascii_case(name.as_bytes()))
            })
    }
}

/// Returns the non-empty members of a comma-separated value without surrounding white space.
pub fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Returns whether a header belongs to one connection or describes one message's framing, so that
/// a proxy makes it anew and never copies it.
pub fn is_hop_by_hop(name: &str) -> bool {
    const NAMES: [&str; 10] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "http2-settings",
        "proxy-authenticate",
    ];
    // Most headers differ from all of these in their length already.
    matches!(name.len(), 2 | 7 | 10 | 14 | 16..=18)
        && NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_headers_are_known_in_any_case() {
        for name in ["Connection", "TE", "keep-alive", "Transfer-Encoding", "UPGRADE", "trailer"] {
            assert!(is_hop_by_hop(name), "{name}");
        }
        for name in ["proxy-connection", "HTTP2-Settings", "Content-Length", "proxy-authenticate"] {
            assert!(is_hop_by_hop(name), "{name}");
        }
        assert!(!is_hop_by_hop("cookie"));
    }

    #[test]
    fn connection_options_add_up() {
        let mut connection = Connection::default();
        connection.add(b" Keep-Alive, ,X-Token");
        connection.add(b"upgrade");
        assert!(connection.keep_alive && connection.upgrade && connection.others);
        assert!(connection.persists(Version::Http10));
        let header = Header { name: "Connection", value: b"keep-alive, X-Token" };
        assert!(connection.names([header], "x-token"));
        assert!(!connection.names([header], "x-other"));
    }
}
