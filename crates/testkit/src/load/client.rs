//! One keep-alive connection that never forgives.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::request::Request;
use super::response::{Broken, Response, ResponseReader};

/// Sends requests one after the other over a connection that is made when there is none.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    timeout: Duration,
    idle: Option<TcpStream>,
    /// Connections made.
    pub(crate) connects: u64,
    /// Connections that the server had closed while they were idle.
    pub(crate) idle_closes: u64,
}

/// What stopped an exchange.
enum Stopped {
    /// The connection had ended before a byte of the request was accepted.
    IdleClosed,
    /// Anything else; for people.
    Failed(String),
}

impl Client {
    pub(crate) fn new(address: SocketAddr, timeout: Duration) -> Self {
        Self { address, timeout, idle: None, connects: 0, idle_closes: 0 }
    }

    /// Sends a request and returns its answer, or what went wrong, for people.
    pub(crate) fn send(&mut self, request: &Request) -> Result<Response, String> {
        let deadline = Instant::now() + self.timeout;
        if let Some(stream) = self.idle.take() {
            match check_idle(&stream).and_then(|()| exchange(&stream, request, deadline)) {
                Ok(response) => return Ok(self.keep(stream, response)),
                Err(Stopped::IdleClosed) => self.idle_closes += 1,
                Err(Stopped::Failed(what)) => return Err(format!("{what} (connection reused)")),
            }
        }
        let stream = TcpStream::connect_timeout(&self.address, self.timeout)
            .map_err(|error| format!("failed to connect: {error}"))?;
        self.connects += 1;
        stream.set_nodelay(true).map_err(|error| format!("failed to set up: {error}"))?;
        match exchange(&stream, request, deadline) {
            Ok(response) => Ok(self.keep(stream, response)),
            Err(Stopped::Failed(what)) => Err(what),
            Err(Stopped::IdleClosed) => Err("a new connection was closed at once".to_owned()),
        }
    }

    fn keep(&mut self, stream: TcpStream, response: Response) -> Response {
        if !response.closes {
            self.idle = Some(stream);
        }
        response
    }
}

/// An idle connection says nothing: an end is fine, a byte is an answer to no request.
fn check_idle(stream: &TcpStream) -> Result<(), Stopped> {
    let failed = |error| Stopped::Failed(format!("failed to look at the connection: {error}"));
    stream.set_nonblocking(true).map_err(failed)?;
    let seen = stream.peek(&mut [0]);
    stream.set_nonblocking(false).map_err(failed)?;
    match seen {
        Ok(0) => Err(Stopped::IdleClosed),
        Ok(_) => Err(Stopped::Failed("bytes came that answer no request".to_owned())),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) if is_end(&error) => Err(Stopped::IdleClosed),
        Err(error) => Err(failed(error)),
    }
}

fn exchange(stream: &TcpStream, request: &Request, deadline: Instant) -> Result<Response, Stopped> {
    let mut stream = Timed { stream, deadline };
    // Only the very first write can tell that nothing was accepted.
    let accepted = match stream.write(&request.first) {
        Ok(count) => count,
        Err(error) if is_end(&error) => return Err(Stopped::IdleClosed),
        Err(error) => return Err(Stopped::Failed(format!("failed to write: {error}"))),
    };
    let mut written = stream.write_all(&request.first[accepted..]);
    if let (Ok(()), Some((pause, body))) = (&written, &request.second) {
        std::thread::sleep(*pause);
        written = stream.write_all(body);
    }
    // A server may answer before it has read everything; the answer counts, not the write.
    let answer = ResponseReader::new(&mut stream).read();
    answer.map_err(|broken| {
        let what = match broken {
            Broken::Closed { after: 0 } => "closed without an answer".to_owned(),
            Broken::Closed { after } => format!("closed after {after} bytes of the answer"),
            Broken::Failed { after, error } => {
                format!("failed to read after {after} bytes of the answer: {error}")
            }
            Broken::Malformed(why) => format!("malformed answer: {why}"),
        };
        Stopped::Failed(match written {
            Ok(()) => what,
            Err(error) => {
                format!("{what}; before that, failed to write all of the request: {error}")
            }
        })
    })
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

/// A stream on which everything together has one deadline.
struct Timed<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(bytes).map_err(plain)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes).map_err(plain)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The kernel calls a time-out "temporarily unavailable".
fn plain(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}
