//! The way out of a machine: a forward proxy that fetches with the host's network.
//!
//! `GET http://HOST/…` and `CONNECT HOST:PORT`, RFC 9112 §3.2.2 and §3.2.3. One request a
//! connection: the answer is passed on as it is and ends with the connection. If the host itself
//! reaches the outside through a proxy (`http_proxy`, `https_proxy`), so does the machine.

use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::metadata::read_head;

/// Connections at once; apt opens a handful.
const MAX_CONNECTIONS: usize = 64;

/// How long a connection may be silent: a mirror that stalls is apt's to give up first.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long connecting may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(20);

/// Fetches for as long as the process lives.
pub(super) fn serve(listener: TcpListener) {
    let count = Arc::new(AtomicUsize::new(0));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if count.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
                count.fetch_sub(1, Ordering::Relaxed);
                let _ = refuse(&client, "503 Service Unavailable", "too many connections");
                continue;
            }
            let count = count.clone();
            std::thread::spawn(move || {
                if let Err(error) = fetch(&client) {
                    let _ = refuse(&client, "502 Bad Gateway", &error.to_string());
                }
                count.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
}

fn refuse(mut client: &TcpStream, status: &str, why: &str) -> io::Result<()> {
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{why}\n",
        why.len() + 1
    )
}

/// What a request line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wish<'a> {
    Tunnel { authority: &'a str },
    Fetch { method: &'a str, authority: &'a str, path: &'a str },
}

fn wish(head: &str) -> Option<Wish<'_>> {
    let line = head.split("\r\n").next()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    if method == "CONNECT" {
        return Some(Wish::Tunnel { authority: target });
    }
    let rest = target.strip_prefix("http://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    Some(Wish::Fetch { method, authority, path })
}

fn fetch(client: &TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let head = read_head(client)?;
    let asked = wish(&head).ok_or(io::ErrorKind::InvalidData)?;
    let (authority, port, variable) = match asked {
        Wish::Tunnel { authority } => (authority, 443, "https_proxy"),
        Wish::Fetch { authority, .. } => (authority, 80, "http_proxy"),
    };
    let upstream = proxy_of_host(variable);
    let server = connect(upstream.as_deref().unwrap_or(authority), port)?;
    match (&asked, upstream.is_some()) {
        (Wish::Tunnel { .. }, false) => {
            (&mut &*client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        }
        (Wish::Tunnel { .. }, true) => (&mut &server).write_all(head.as_bytes())?,
        (Wish::Fetch { method, path, .. }, false) => send(&server, method, path, &head)?,
        (Wish::Fetch { method, authority, path }, true) => {
            send(&server, method, &format!("http://{authority}{path}"), &head)?;
        }
    }
    exchange(client, &server)
}

/// Sends a request on, with nothing that concerns the connection to us.
fn send(mut server: &TcpStream, method: &str, target: &str, head: &str) -> io::Result<()> {
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    for line in head.split("\r\n").skip(1).take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if !matches!(name.as_str(), "connection" | "proxy-connection" | "proxy-authorization") {
            text.push_str(line);
            text.push_str("\r\n");
        }
    }
    text.push_str("Connection: close\r\n\r\n");
    server.write_all(text.as_bytes())
}

/// Returns `HOST:PORT` of the proxy that the host uses, without a scheme.
fn proxy_of_host(variable: &str) -> Option<String> {
    let value = std::env::var(variable)
        .or_else(|_| std::env::var(variable.to_ascii_uppercase()))
        .ok()
        .filter(|value| !value.is_empty())?;
    let value = value.strip_prefix("http://").unwrap_or(&value);
    let authority = value.split('/').next()?.rsplit('@').next()?;
    Some(authority.to_owned())
}

fn connect(authority: &str, port: u16) -> io::Result<TcpStream> {
    let addresses: Vec<_> = match authority.to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(_) => (authority, port).to_socket_addrs()?.collect(),
    };
    let mut outcome = Err(io::ErrorKind::NotFound.into());
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_PATIENCE) {
            Ok(server) => {
                server.set_read_timeout(Some(PATIENCE))?;
                server.set_write_timeout(Some(PATIENCE))?;
                return Ok(server);
            }
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

/// Passes bytes both ways until both sides have ended.
fn exchange(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    let upwards = std::thread::spawn(move || {
        let _ = io::copy(&mut &from, &mut &to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut &*server, &mut &*client);
    // An answer that has ended ends the request as well, read or not.
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
    let _ = upwards.join();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_proxy_is_asked_is_understood() {
        assert_eq!(
            wish("GET http://deb.example/a b HTTP/1.1\r\n\r\n"),
            Some(Wish::Fetch { method: "GET", authority: "deb.example", path: "/a" })
        );
        assert_eq!(
            wish("GET http://deb.example HTTP/1.1\r\n\r\n"),
            Some(Wish::Fetch { method: "GET", authority: "deb.example", path: "/" })
        );
        assert_eq!(
            wish("CONNECT a:443 HTTP/1.1\r\n\r\n"),
            Some(Wish::Tunnel { authority: "a:443" })
        );
        assert_eq!(wish("GET /local HTTP/1.1\r\n\r\n"), None);
        assert_eq!(wish(""), None);
    }
}
