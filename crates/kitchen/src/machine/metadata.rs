//! Fake instance metadata, as EC2 serves them: what a recipe asks of its instance can be tried.
//!
//! `PUT /latest/api/token` and `GET /latest/PATH`, versions 1 and 2 of the service; a directory
//! lists its names. Nothing else is answered but with 404.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Largest request head.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers for as long as the process lives.
pub(super) fn serve(listener: TcpListener, metadata: BTreeMap<String, String>) {
    // One client at a time: each is bounded, and there is one machine behind the door.
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let _ = answer(&client, &metadata);
        }
    });
}

fn answer(mut client: &TcpStream, metadata: &BTreeMap<String, String>) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let head = read_head(client)?;
    let mut words = head.split_ascii_whitespace();
    let reply = match (words.next(), words.next()) {
        (Some("PUT"), Some("/latest/api/token")) => Some("skep-kitchen".to_owned()),
        (Some("GET"), Some(path)) => {
            path.strip_prefix("/latest/").and_then(|path| look_up(metadata, path))
        }
        _ => None,
    };
    let (status, body) = match reply {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", String::new()),
    };
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Reads up to the empty line.
pub(super) fn read_head(client: &TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    // Byte by byte: what comes behind the head is somebody else's to read.
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_HEAD_BYTES || (&mut &*client).read(&mut byte)? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Returns a value, or the names in a directory: one a line, those of directories with a slash.
fn look_up(metadata: &BTreeMap<String, String>, path: &str) -> Option<String> {
    if let Some(value) = metadata.get(path) {
        return Some(value.clone());
    }
    let directory = match path.trim_end_matches('/') {
        "" => String::new(),
        path => format!("{path}/"),
    };
    let mut names: Vec<String> = metadata
        .keys()
        .filter_map(|key| key.strip_prefix(&directory))
        .map(|below| match below.split_once('/') {
            Some((name, _)) => format!("{name}/"),
            None => below.to_owned(),
        })
        .collect();
    names.dedup();
    (!names.is_empty()).then(|| names.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_list_their_names() {
        let metadata: BTreeMap<String, String> =
            [("meta-data/instance-id", "i-1"), ("meta-data/placement/region", "eu-1")]
                .map(|(path, value)| (path.to_owned(), value.to_owned()))
                .into();
        let asked = |path| look_up(&metadata, path);
        assert_eq!(asked("meta-data/instance-id").as_deref(), Some("i-1"));
        assert_eq!(asked("meta-data/").as_deref(), Some("instance-id\nplacement/"));
        assert_eq!(asked("").as_deref(), Some("meta-data/"));
        assert_eq!(asked("user-data"), None);
    }
}
