//! Hosts and ports.

/// A host and an optional port, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'b> {
    text: &'b str,
    host_length: usize,
}

impl<'b> Authority<'b> {
    /// Parses `host[:port]` of RFC 3986 §3.2, without user information.
    pub fn parse(bytes: &'b [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let host_length = match bytes.first()? {
            b'[' => {
                let end = text.find(']')?;
                let inner = &text[1..end];
                // Version 6 addresses only; zones and future versions have no place in a request.
                inner.parse::<std::net::Ipv6Addr>().ok()?;
                end + 1
            }
            _ => text.find(':').unwrap_or(text.len()),
        };
        let (host, port) = text.split_at(host_length);
        if host.is_empty() || !(host.starts_with('[') || host.bytes().all(is_host_byte)) {
            return None;
        }
        let port_is_fine = match port.strip_prefix(':') {
            None => port.is_empty(),
            // An empty port is the default one (RFC 3986 §3.2.3).
            Some(digits) => {
                digits.is_empty()
                    || (digits.bytes().all(|byte| byte.is_ascii_digit())
                        && digits.parse::<u16>().is_ok())
            }
        };
        port_is_fine.then_some(Self { text, host_length })
    }

    /// Returns host and port as they were written.
    pub fn as_str(&self) -> &'b str {
        self.text
    }

    /// Returns the host alone, without a final dot; brackets stay.
    pub fn host(&self) -> &'b str {
        let host = &self.text[..self.host_length];
        match host.strip_suffix('.') {
            Some(stripped) if !stripped.is_empty() => stripped,
            _ => host,
        }
    }
}

/// Returns whether `bytes` are `host[:port]`.
pub fn is_authority(bytes: &[u8]) -> bool {
    Authority::parse(bytes).is_some()
}

/// `reg-name` of RFC 3986 without the sub-delimiters that separate things elsewhere.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities() {
        for good in ["a", "a.example", "a.example.:80", "1.2.3.4:8000", "[::1]:80", "[::1]", "a:"] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "a:b", "a:99999", "a@b", "a/b", "a b", "a,b", "[::1", "[x]", "[::1]x",
            "a:80:80", "a:+80", "ä",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
        assert_eq!(Authority::parse(b"Shop.example.:80").unwrap().host(), "Shop.example");
        assert_eq!(Authority::parse(b"[::1]:80").unwrap().host(), "[::1]");
    }
}
