//! A strict reader of HTTP/1.1 responses (RFC 9112), written apart from the product's own.
//!
//! It refuses what a client could misread: bare line feeds, both lengths at once, two lengths, a
//! body without a length on a connection that stays open, and bytes behind the answer.

use std::io::{self, Read};

/// Largest head of a response.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Largest body.
const MAX_BODY_BYTES: usize = 64 << 20;
/// What one read takes.
const READ_BYTES: usize = 16 << 10;

/// A whole response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection ends with it.
    pub(crate) closes: bool,
}

impl Response {
    /// Returns the first value of a header, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// Why there is no response.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The connection ended after so many bytes.
    Closed { after: usize },
    /// It failed after so many bytes.
    Failed { after: usize, error: io::Error },
    /// It was not HTTP.
    Malformed(&'static str),
}

/// Reads one response from a stream.
pub(crate) struct ResponseReader<S> {
    stream: S,
    buffer: Vec<u8>,
    /// How much of `buffer` is used up.
    start: usize,
    received: usize,
}

struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

impl<S: Read> ResponseReader<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new(), start: 0, received: 0 }
    }

    /// Reads the answer to a GET or a POST, past interim ones, to its last byte.
    pub(crate) fn read(mut self) -> Result<Response, Broken> {
        let Head { status, headers } = loop {
            let head = self.read_head()?;
            match head.status {
                101 => return Err(Broken::Malformed("101 without an upgrade")),
                100..=199 => {}
                _ => break head,
            }
        };
        let mut closes = find(&headers, "connection")
            .is_some_and(|value| value.to_ascii_lowercase().contains("close"));
        let lengths: Vec<&str> = all(&headers, "content-length").collect();
        let codings: Vec<&str> = all(&headers, "transfer-encoding").collect();
        let body = match (lengths.as_slice(), codings.as_slice()) {
            _ if matches!(status, 204 | 304) => Vec::new(),
            ([], ["chunked"]) => self.read_chunked()?,
            ([length], []) => self.read_sized(length)?,
            ([], []) if closes => {
                closes = true;
                self.read_to_end()?
            }
            ([], []) => return Err(Broken::Malformed("no length, and the connection stays open")),
            (_, [_, ..]) if !lengths.is_empty() => {
                return Err(Broken::Malformed("both Content-Length and Transfer-Encoding"));
            }
            _ => return Err(Broken::Malformed("a length that is in doubt")),
        };
        if self.start < self.buffer.len() {
            return Err(Broken::Malformed("bytes behind the answer"));
        }
        Ok(Response { status, headers, body, closes })
    }

    fn read_head(&mut self) -> Result<Head, Broken> {
        let mut lines = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let mut lines = lines.into_iter();
        let status = lines.next().as_deref().and_then(parse_status);
        let status = status.ok_or(Broken::Malformed("no status line"))?;
        let headers = lines.map(|line| parse_header(&line)).collect::<Option<_>>();
        let headers = headers.ok_or(Broken::Malformed("a bad header line"))?;
        Ok(Head { status, headers })
    }

    /// Reads one line that ends in CR LF; returns it without them.
    fn read_line(&mut self) -> Result<String, Broken> {
        let mut looked_at = 0;
        loop {
            let pending = &self.buffer[self.start..];
            if let Some(found) = pending[looked_at..].iter().position(|byte| *byte == b'\n') {
                let end = looked_at + found;
                let Some(line) = pending[..end].strip_suffix(b"\r") else {
                    return Err(Broken::Malformed("a bare line feed"));
                };
                if line.iter().any(|byte| *byte == b'\r' || *byte == 0) {
                    return Err(Broken::Malformed("a control character in the head"));
                }
                let line = String::from_utf8_lossy(line).into_owned();
                self.start += end + 1;
                return Ok(line);
            }
            looked_at = pending.len();
            if looked_at > MAX_HEAD_BYTES {
                return Err(Broken::Malformed("a line that is too long"));
            }
            self.fill()?;
        }
    }

    fn read_sized(&mut self, length: &str) -> Result<Vec<u8>, Broken> {
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        match length.parse() {
            Ok(length) if digits => self.take(length),
            _ => Err(Broken::Malformed("a bad Content-Length")),
        }
    }

    fn read_chunked(&mut self) -> Result<Vec<u8>, Broken> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let size = line.split(';').next().unwrap_or_default();
            let digits = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
            let size = match usize::from_str_radix(size, 16) {
                Ok(size) if digits && body.len() + size <= MAX_BODY_BYTES => size,
                _ => return Err(Broken::Malformed("a bad chunk size")),
            };
            if size == 0 {
                while !self.read_line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(size)?);
            if !self.read_line()?.is_empty() {
                return Err(Broken::Malformed("a chunk longer than its size"));
            }
        }
    }

    fn read_to_end(&mut self) -> Result<Vec<u8>, Broken> {
        loop {
            match self.fill() {
                Ok(()) if self.buffer.len() <= MAX_BODY_BYTES => {}
                Ok(()) => return Err(Broken::Malformed("a body that is too long")),
                Err(Broken::Closed { .. }) => {
                    return Ok(
                        std::mem::take(&mut self.buffer).split_off(std::mem::take(&mut self.start))
                    );
                }
                Err(broken) => return Err(broken),
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, Broken> {
        if length > MAX_BODY_BYTES {
            return Err(Broken::Malformed("a body that is too long"));
        }
        while self.buffer.len() - self.start < length {
            self.fill()?;
        }
        let bytes = self.buffer[self.start..self.start + length].to_vec();
        self.start += length;
        Ok(bytes)
    }

    fn fill(&mut self) -> Result<(), Broken> {
        let filled = self.buffer.len();
        self.buffer.resize(filled + READ_BYTES, 0);
        let result = self.stream.read(&mut self.buffer[filled..]);
        self.buffer.truncate(filled + result.as_ref().map_or(0, |count| *count));
        match result {
            Ok(0) => Err(Broken::Closed { after: self.received }),
            Ok(count) => {
                self.received += count;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(Broken::Failed { after: self.received, error }),
        }
    }
}

fn parse_status(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("HTTP/1.1 ")?;
    let (code, after) = rest.split_at_checked(3)?;
    let good = (after.is_empty() || after.starts_with(' '))
        && code.bytes().all(|byte| byte.is_ascii_digit());
    code.parse().ok().filter(|code| good && (100..600).contains(code))
}

fn parse_header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let token = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    token.then(|| (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
}

fn all<'a>(headers: &'a [(String, String)], name: &str) -> impl Iterator<Item = &'a str> {
    headers.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &str) -> Result<Response, Broken> {
        ResponseReader::new(bytes.as_bytes()).read()
    }

    #[test]
    fn whole_responses_are_read() {
        let response = read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b \r\n\r\nhi").unwrap();
        assert_eq!((response.status, response.body.as_slice()), (200, &b"hi"[..]));
        assert_eq!(response.header("x-a"), Some("b"));
        assert!(!response.closes);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                       2\r\nhi\r\n1;x=y\r\n!\r\n0\r\nTrailer: x\r\n\r\n";
        assert_eq!(read(chunked).unwrap().body, b"hi!");
        let closing = read("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end").unwrap();
        assert_eq!((closing.body.as_slice(), closing.closes), (&b"to the end"[..], true));
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(read(interim).unwrap().status, 204);
    }

    #[test]
    fn what_could_be_misread_is_refused() {
        for bad in [
            "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 2000\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi!\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n",
            "HTTP/1.1 101 Switching\r\n\r\n",
        ] {
            assert!(matches!(read(bad), Err(Broken::Malformed(_))), "{bad:?}");
        }
        for cut in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"] {
            let Err(Broken::Closed { after }) = read(cut) else { panic!("{cut:?}") };
            assert_eq!(after, cut.len());
        }
    }
}
