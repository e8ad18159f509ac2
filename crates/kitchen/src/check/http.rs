//! `http`: a request in the machine is answered.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Instant;

use resource::{Declaration, Properties, Schema, Shape, Value};

use super::{Miss, must, property, schema, short};

/// Largest answer that is looked at.
const MAX_ANSWER_BYTES: u64 = 4 << 20;

/// What is expected if nothing is said.
const OK: u64 = 200;

pub(super) static SCHEMA: Schema = schema(
    "http",
    "A request is answered.",
    "url",
    &[
        property("url", Shape::Text, "What is asked for: `http://HOST[:PORT]/PATH`."),
        property("method", Shape::Choice(&["GET", "HEAD", "POST"]), "`GET` if nothing is said."),
        property("headers", Shape::MapOf(&Shape::Text), "Sent with the request."),
        property("status", Shape::Count, "What the answer must have; 200 if nothing is said."),
        property("contains", Shape::Text, "What its body must contain."),
    ],
);

pub(super) fn look(check: &Declaration, deadline: Instant) -> Result<(), Miss> {
    let properties = Properties(check);
    let url = properties.named(&SCHEMA);
    let Some(rest) = url.strip_prefix("http://") else {
        return Err(Miss::NotTested("only `http://` is asked, from within the machine".to_owned()));
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let answer = ask(authority, path, properties, deadline)
        .map_err(|error| Miss::NotYet(error.to_string()))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status: Option<u64> = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let wanted = properties.count("status").unwrap_or(OK);
    must(status == Some(wanted), || match status {
        Some(status) => format!("it answered {status}: {}", short(body)),
        None => format!("it did not answer as HTTP: {}", short(head)),
    })?;
    match properties.text("contains") {
        Some(text) => must(body.contains(text), || format!("its body is {}", short(body))),
        None => Ok(()),
    }
}

fn ask(
    authority: &str,
    path: &str,
    properties: Properties<'_>,
    deadline: Instant,
) -> std::io::Result<String> {
    let left = || {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(std::io::Error::from(std::io::ErrorKind::TimedOut))
        } else {
            Ok(left)
        }
    };
    let resolve = |text: &str| text.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    let addresses = resolve(authority).or_else(|_| resolve(&format!("{authority}:80")))?;
    let mut server = Err(std::io::ErrorKind::NotFound.into());
    for address in addresses {
        server = TcpStream::connect_timeout(&address, left()?);
        if server.is_ok() {
            break;
        }
    }
    let mut server = server?;
    let method = properties.text("method").unwrap_or("GET");
    let path = if path.is_empty() { "/" } else { path };
    // Version 1.0, so that the answer is not in chunks.
    let mut request =
        format!("{method} {path} HTTP/1.0\r\nHost: {authority}\r\nConnection: close\r\n");
    for (name, value) in properties.map("headers").into_iter().flatten() {
        if let Value::Text(value) = value {
            request.extend([name, ": ", value, "\r\n"]);
        }
    }
    request.push_str("\r\n");
    server.set_write_timeout(Some(left()?))?;
    server.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    while (answer.len() as u64) < MAX_ANSWER_BYTES {
        server.set_read_timeout(Some(left()?))?;
        match server.read(&mut chunk)? {
            0 => break,
            count => answer.extend_from_slice(&chunk[..count]),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
