//! One question to a slot's own socket: do you answer?
//!
//! On a held socket a server that is still starting is *silent*: the connection waits in the
//! listener, so that one probe, patiently waited for, tells the first moment in which it serves. A
//! slot whose process is down is refused by its shim, see [`control::shim::REFUSED_RESPONSE`].

use std::time::Duration;

use app::model::Service;
use control::proxy::EndpointAddress;
use http1::ResponseCollector;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

/// Bytes of an answer's body that are kept for the report.
const MAX_BODY_BYTES: usize = 512;

/// What to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Where.
    pub address: EndpointAddress,
    /// The `Host` header.
    pub host: String,
    /// The path.
    pub path: String,
    /// Whether the user named the path: then only 2xx counts.
    pub explicit: bool,
}

/// What came of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An HTTP answer.
    Answered {
        /// Its status.
        status: u16,
        /// Its `Location`.
        location: Option<String>,
        /// The beginning of its body.
        body: String,
        /// How long it took, in milliseconds.
        after_ms: u64,
    },
    /// Nobody listens, or the shim answered for a process that is down.
    Refused,
    /// Connected, but no answer in time.
    Silent,
    /// Something that is not HTTP, or a connection that ended early.
    Broken(String),
}

/// Whether an outcome makes a slot ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It does; for people.
    Ready(String),
    /// It does not; for people.
    NotReady(String),
}

impl Probe {
    /// Returns the probe of a service's slot.
    pub fn of(service: &Service, address: EndpointAddress) -> Self {
        Self {
            address,
            host: service.hosts.first().cloned().unwrap_or_else(|| "localhost".to_owned()),
            path: service.health.clone().unwrap_or_else(|| "/".to_owned()),
            explicit: service.health.is_some(),
        }
    }

    /// Asks once.
    pub async fn ask(&self, patience: Duration) -> Outcome {
        let begun = Instant::now();
        match timeout(patience, self.exchange(begun)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Silent,
        }
    }

    async fn exchange(&self, begun: Instant) -> Outcome {
        match &self.address {
            EndpointAddress::Unix(path) => {
                let connect = || -> std::io::Result<UnixStream> {
                    let socket = disk::socket::connect_stream_nonblocking(path.as_ref())?;
                    UnixStream::from_std(socket.into())
                };
                match connect() {
                    Ok(stream) => self.talk(stream, begun).await,
                    Err(error) if is_refusal(&error) => Outcome::Refused,
                    // EAGAIN: the backlog is full of others; a server that busy accepts nothing.
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Outcome::Silent,
                    Err(error) => Outcome::Broken(error.to_string()),
                }
            }
            EndpointAddress::Tcp(address) => match TcpStream::connect(address).await {
                Ok(stream) => self.talk(stream, begun).await,
                Err(error) if is_refusal(&error) => Outcome::Refused,
                Err(error) => Outcome::Broken(error.to_string()),
            },
        }
    }

    async fn talk<S>(&self, mut stream: S, begun: Instant) -> Outcome
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: skep-probe\r\nAccept: */*\r\n\
             X-Forwarded-Proto: http\r\nX-Forwarded-For: 127.0.0.1\r\nConnection: close\r\n\r\n",
            self.path, self.host
        );
        // A slot that is refused by its shim may have closed already; its answer is still there.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut collector = ResponseCollector::new("GET", MAX_BODY_BYTES);
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => break,
                Ok(count) => match collector.feed(&buffer[..count]) {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(error) => return Outcome::Broken(error.to_string()),
                },
                Err(error) => return Outcome::Broken(error.to_string()),
            }
        }
        match collector.end() {
            Ok(response) if response.header("skep-refused").is_some() => Outcome::Refused,
            Ok(response) => Outcome::Answered {
                status: response.status,
                location: response.header("location").map(str::to_owned),
                body: String::from_utf8_lossy(&response.body).into_owned(),
                after_ms: begun.elapsed().as_millis() as u64,
            },
            Err(error) => Outcome::Broken(error.to_string()),
        }
    }

    /// Returns `GET / (Host shop.example.com)`.
    pub fn describe(&self) -> String {
        format!("GET {} (Host {})", self.path, self.host)
    }

    /// Judges an outcome: 2xx of a path that the user named, anything below 500 otherwise.
    pub fn judge(&self, outcome: &Outcome) -> Verdict {
        match outcome {
            Outcome::Answered { status, after_ms, .. }
                if (200..300).contains(status) || (!self.explicit && *status < 500) =>
            {
                Verdict::Ready(format!("GET {} {status} in {after_ms} ms", self.path))
            }
            Outcome::Answered { status, location, .. } => {
                let why = match (status, location) {
                    (301 | 302 | 303 | 307 | 308, Some(to)) if to.starts_with("https:") => {
                        format!(
                            "redirects to {to}: the app insists on https; name a health path \
                                 that answers over http, or trust X-Forwarded-Proto"
                        )
                    }
                    (301 | 302 | 303 | 307 | 308, Some(to)) => {
                        format!("redirects to {to}; `health` wants 2xx")
                    }
                    (400, _) => format!(
                        "refuses the request: does it allow the host `{}` (Django: ALLOWED_HOSTS)?",
                        self.host
                    ),
                    (401 | 403, _) => "wants a login; name a health path without one".to_owned(),
                    (404, _) => "knows no such path".to_owned(),
                    (500.., _) => "fails".to_owned(),
                    _ => "`health` wants 2xx".to_owned(),
                };
                Verdict::NotReady(format!("{status}: {why}"))
            }
            Outcome::Refused => Verdict::NotReady("nothing listens".to_owned()),
            Outcome::Silent => {
                Verdict::NotReady("nothing accepts on the slot's socket, or it hangs".to_owned())
            }
            Outcome::Broken(text) => Verdict::NotReady(format!("no HTTP answer: {text}")),
        }
    }
}

fn is_refusal(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(explicit: bool) -> Probe {
        Probe {
            address: EndpointAddress::Tcp(([127, 0, 0, 1], 9).into()),
            host: "shop.example.com".into(),
            path: "/".into(),
            explicit,
        }
    }

    fn answer(status: u16, location: Option<&str>) -> Outcome {
        let location = location.map(str::to_owned);
        Outcome::Answered { status, location, body: String::new(), after_ms: 3 }
    }

    #[test]
    fn without_a_health_path_anything_below_500_is_ready() {
        for status in [200, 301, 302, 400, 404] {
            assert!(matches!(probe(false).judge(&answer(status, None)), Verdict::Ready(_)));
        }
        assert!(matches!(probe(false).judge(&answer(500, None)), Verdict::NotReady(_)));
    }

    #[test]
    fn a_health_path_wants_2xx_and_says_why_not() {
        let judged = probe(true).judge(&answer(301, Some("https://shop.example.com/")));
        assert!(matches!(judged, Verdict::NotReady(text) if text.contains("https")));
        let judged = probe(true).judge(&answer(400, None));
        assert!(matches!(judged, Verdict::NotReady(text) if text.contains("ALLOWED_HOSTS")));
        assert!(matches!(probe(true).judge(&answer(204, None)), Verdict::Ready(_)));
    }
}
