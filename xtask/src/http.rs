//! Just enough of an HTTP client to look at a page.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A demo page comes at once or not at all; a held request may wait for a start.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its body, decoded.
    pub(crate) body: String,
}

/// Asks for a page.
pub(crate) fn get(address: &str, path: &str) -> io::Result<Answer> {
    exchange(address, &format!("GET {path} HTTP/1.1\r\n{}\r\n", headers(address)))
}

/// Sends a form, already encoded.
pub(crate) fn post(address: &str, path: &str, form: &str) -> io::Result<Answer> {
    let length = form.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\n{}Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {length}\r\n\r\n{form}",
        headers(address)
    );
    exchange(address, &request)
}

fn headers(address: &str) -> String {
    format!("Host: {address}\r\nConnection: close\r\n")
}

fn exchange(address: &str, request: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes).ok_or_else(|| {
        let start: String = String::from_utf8_lossy(&bytes).chars().take(200).collect();
        io::Error::new(io::ErrorKind::InvalidData, format!("not a whole answer: {start:?}"))
    })
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?.to_ascii_lowercase();
    let body = &bytes[end + 4..];
    let status = head.strip_prefix("http/1.")?.split(' ').nth(1)?.parse().ok()?;
    let header = |name: &str| {
        head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
    };
    let body = match (header("transfer-encoding"), header("content-length")) {
        (Some("chunked"), _) => unchunk(body)?,
        (_, Some(length)) => body.get(..length.parse().ok()?)?.to_vec(),
        _ => body.to_vec(),
    };
    Some(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?, 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_whole_or_refused() {
        let answer = |text: &str| parse(text.as_bytes());
        let ok = |body: &str| Some(Answer { status: 200, body: body.to_owned() });
        assert_eq!(answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), ok("hi"));
        assert_eq!(answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"), None);
        assert_eq!(
            answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
            ok("hi")
        );
        assert_eq!(
            answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"),
            None
        );
        assert_eq!(answer(""), None);
    }
}
