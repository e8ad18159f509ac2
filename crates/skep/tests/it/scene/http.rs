//! One request, one answer: with nothing of the product's own parsers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Head and body as they came.
    pub(crate) text: String,
}

impl Answer {
    /// Panics unless it has this status and contains this text.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16, text: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert!(self.text.contains(text), "{text:?} is missing in\n{}", self.text);
    }
}

/// Asks for a path.
#[track_caller]
pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    get_of_host(address, "localhost", path)
}

/// Asks for a path of a host.
#[track_caller]
pub(crate) fn get_of_host(address: SocketAddr, host: &str, path: &str) -> Answer {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    exchange(address, &head)
}

/// Posts a form.
#[track_caller]
pub(crate) fn post(address: SocketAddr, path: &str, form: &str) -> Answer {
    let length = form.len();
    exchange(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
        ),
    )
}

#[track_caller]
fn exchange(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address)
        .unwrap_or_else(|error| panic!("failed to connect to {address}: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.unwrap_or_else(|| panic!("no answer but {text:?}")), text }
}
