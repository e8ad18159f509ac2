//! One client connection: requests in order, one at a time, until somebody closes.
//!
//! One task does everything for it, both sides of the exchange included; nothing is handed over a
//! channel. Requests that wait behind the current one stay in the socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http1::{HeadScanner, HeaderSpace, RequestError, parse_request};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::body::{Inbound, RequestBody};
use crate::buffer::Buffer;
use crate::limits::{LINGER, LINGER_BYTES, MAX_SPARE_BYTES};
use crate::outbound::Outbound;
use crate::reason::Reason;
use crate::request::Request;
use crate::shared::Shared;
use crate::tracker::{Phase, Record, Tracked};
use crate::wait::{Stop, Timer, Watch, fill, poll_others};

/// What a connection knows of itself.
pub(crate) struct Origin {
    pub(crate) shared: Arc<Shared>,
    /// Which worker serves it.
    pub(crate) worker: usize,
    /// The listener's name, as routes have it.
    pub(crate) listener: Arc<str>,
    /// The client's address as text.
    pub(crate) peer: String,
    /// Address and port that it connected to.
    pub(crate) local: String,
}

/// One client connection with everything that is kept between requests.
pub(crate) struct Connection<'s> {
    pub(crate) origin: &'s Origin,
    pub(crate) record: &'s Record,
    pub(crate) inbound: Inbound<'s>,
    pub(crate) outbound: Outbound<'s>,
    /// What comes from the slot.
    pub(crate) response: Buffer,
    pub(crate) request: Request,
    pub(crate) body: RequestBody,
}

/// How a connection goes on after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// With the next request.
    Again,
    /// Not at all; everything was said.
    Close,
    /// Not at all, but the client may still be sending: read on for a moment.
    Linger,
    /// Not at all, and visibly so: the response is not whole.
    Abort,
}

/// A connection that was just accepted.
pub(crate) struct Arrival {
    /// The client's.
    pub(crate) address: SocketAddr,
    /// Tracked from the moment it was accepted, so that none is forgotten on the way out.
    pub(crate) tracked: Tracked,
    /// Its place among all connections.
    pub(crate) place: OwnedSemaphorePermit,
}

/// Serves a connection to its end.
pub(crate) async fn serve(
    mut stream: TcpStream,
    arrival: Arrival,
    listener: Arc<str>,
    shared: Arc<Shared>,
    worker: usize,
) {
    let Arrival { address, tracked, place: _place } = arrival;
    // Fails only on a socket that is gone already.
    let _ = stream.set_nodelay(true);
    let peer = address.ip().to_canonical().to_string();
    let local = stream.local_addr().map_or_else(|_| listener.to_string(), |a| a.to_string());
    let origin = Origin { shared, worker, listener, peer, local };
    std::future::poll_fn(|context| {
        tracked.record.set_waker(context.waker());
        std::task::Poll::Ready(())
    })
    .await;
    let limits = origin.shared.limits;
    let (reader, writer) = stream.split();
    let mut connection = Connection {
        origin: &origin,
        record: &tracked.record,
        inbound: Inbound { reader, buffer: Buffer::default(), timer: Timer::new() },
        outbound: Outbound {
            writer,
            bytes: Vec::new(),
            timer: Timer::new(),
            patience: limits.send,
        },
        response: Buffer::default(),
        request: Request::new(),
        body: RequestBody::new(limits),
    };
    let end = connection.run().await;
    drop(connection);
    match end {
        Next::Again | Next::Close => {}
        Next::Linger => linger(&mut stream).await,
        Next::Abort => {
            // Closing with a linger time of zero sends a reset.
            let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
        }
    }
}

/// Says that nothing more comes and reads on for a while.
async fn linger(stream: &mut TcpStream) {
    let _ = rustix::net::shutdown(&*stream, rustix::net::Shutdown::Write);
    let mut left = LINGER_BYTES;
    let mut bytes = vec![0; 4 << 10];
    let drain = async {
        while let Ok(count) = stream.read(&mut bytes).await {
            left = left.saturating_sub(count);
            if count == 0 || left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, drain).await;
}

impl Connection<'_> {
    async fn run(&mut self) -> Next {
        loop {
            if let Err(end) = self.next_head().await {
                return end;
            }
            let next = self.serve_request().await;
            self.record.current().endpoint = None;
            // An order to cut was meant for the request that is over.
            self.record.begin();
            self.request.shrink(MAX_SPARE_BYTES);
            self.body.shrink(MAX_SPARE_BYTES);
            self.outbound.shrink();
            self.response.release();
            if next != Next::Again {
                return next;
            }
        }
    }

    /// Waits for the next request's head and takes it.
    async fn next_head(&mut self) -> Result<(), Next> {
        if self.inbound.buffer.is_empty() {
            self.wait_for_bytes().await?;
        }
        let deadline = Instant::now() + self.origin.shared.limits.head;
        let mut scanner = HeadScanner::default();
        loop {
            match self.take_head(&mut scanner) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => return Err(self.refuse_head(error).await),
            }
            let Inbound { reader, buffer, timer } = &mut self.inbound;
            let mut watch = Watch::record(self.record);
            match fill(reader, buffer, timer, deadline, &mut watch).await {
                Ok(0) => return Err(Next::Close),
                Ok(_) => {}
                Err(Stop::Timeout) => {
                    self.request.forget();
                    return Err(self.answer(408, Reason::ClientTooSlow, None).await);
                }
                Err(_) => return Err(Next::Close),
            }
        }
    }

    /// Waits, without a buffer, until the client says something.
    async fn wait_for_bytes(&mut self) -> Result<(), Next> {
        let deadline = Instant::now() + self.origin.shared.limits.client_idle;
        let Inbound { reader, buffer, timer } = &mut self.inbound;
        let (tracker, record) = (&self.origin.shared.tracker, self.record);
        let outcome = std::future::poll_fn(|context| {
            if let std::task::Poll::Ready(outcome) = buffer.poll_fill(reader, context) {
                return std::task::Poll::Ready(outcome.map_err(Stop::Io));
            }
            if tracker.phase() == Phase::Closing {
                return std::task::Poll::Ready(Err(Stop::Cut));
            }
            poll_others(timer, context, deadline, &mut Watch::record(record))
        });
        match outcome.await {
            Ok(count) if count > 0 => Ok(()),
            _ => Err(Next::Close),
        }
    }

    /// Takes a head that is complete; says whether it was.
    fn take_head(&mut self, scanner: &mut HeadScanner) -> Result<bool, RequestError> {
        let mut space = HeaderSpace::new();
        let bytes = self.inbound.buffer.bytes();
        let Some((request, length)) = parse_request(bytes, scanner, &mut space)? else {
            // Room for an empty line before the longest head is all that can be missing.
            return if self.inbound.buffer.is_full() {
                Err(RequestError::Head(http1::HeadError::TooLong))
            } else {
                Ok(false)
            };
        };
        self.record.begin();
        self.body.begin(request.body());
        self.request.begin(&request, self.origin, &mut self.record.current());
        self.inbound.buffer.consume(length);
        Ok(true)
    }

    async fn refuse_head(&mut self, error: RequestError) -> Next {
        let status = error.status();
        let reason = match status {
            414 | 431 => Reason::HeaderTooBig,
            _ => Reason::BadRequest,
        };
        self.request.forget();
        self.answer(status, reason, Some(&error.to_string())).await
    }
}
