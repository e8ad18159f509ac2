//! One control connection and its waiting.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use control::{Connection, ConnectionError, Hello, HelloError, Received, Role};
use rustix::net::sockopt::socket_peercred;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

use crate::dial::{DialError, dial};
use crate::watch;

/// Why a channel ended.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The runtime could not watch the socket.
    #[error("failed to watch the control connection")]
    Watch(#[source] io::Error),
    /// The socket failed or the peer broke the protocol.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

/// Why two parties did not come together.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The connection ended in the middle.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The peer closed the connection without a hello.
    #[error("the peer closed the connection before its hello")]
    Closed,
    /// The peer is there but says nothing.
    #[error("the peer said no hello in {} ms", patience.as_millis())]
    Silent {
        /// How long it was given.
        patience: Duration,
    },
    /// The two must not work together.
    #[error(transparent)]
    Disagreed(#[from] HelloError),
}

/// A control connection in a runtime; see the crate's documentation for how it is used.
#[derive(Debug)]
pub struct Channel {
    connection: AsyncFd<Connection>,
}

impl Channel {
    /// Takes over a connection; must be called inside a runtime with I/O enabled.
    pub fn new(connection: Connection) -> Result<Self, ChannelError> {
        Ok(Self { connection: watch::connection(connection).map_err(ChannelError::Watch)? })
    }

    /// Takes over a connected unix stream socket.
    pub fn from_socket(socket: OwnedFd) -> Result<Self, ChannelError> {
        Self::new(Connection::new(socket).map_err(ConnectionError::Io)?)
    }

    /// Connects to the unix socket at `path`, whatever the path's length.
    ///
    /// Waits only while the listener's backlog is full, for at most `patience`. Cancel-safe.
    pub async fn connect(path: &Path, patience: Duration) -> Result<Self, DialError> {
        let socket = match dial(path, Duration::ZERO) {
            Err(DialError::Backlog { .. }) if !patience.is_zero() => {
                let owned = path.to_owned();
                tokio::task::spawn_blocking(move || dial(&owned, patience)).await.unwrap_or_else(
                    |error| {
                        Err(DialError::Connect {
                            path: path.to_owned(),
                            source: io::Error::other(error),
                        })
                    },
                )?
            }
            outcome => outcome?,
        };
        Self::from_socket(socket).map_err(|error| DialError::Connect {
            path: path.to_owned(),
            source: io::Error::other(error),
        })
    }

    /// Returns the process behind a connection that we dialled: the one that called `listen()`.
    ///
    /// `None` when the kernel does not tell (another pid namespace).
    pub fn peer_pid(&self) -> Option<u32> {
        let credentials = socket_peercred(self.connection.get_ref()).ok()?;
        u32::try_from(credentials.pid.as_raw_nonzero().get()).ok()
    }

    /// Queues a message with its descriptors and sends what the socket takes at once; the rest
    /// goes out in [`Self::receive`] or [`Self::flush`]. Never waits.
    pub fn queue<T: Serialize>(
        &mut self,
        message: &T,
        fds: Vec<OwnedFd>,
    ) -> Result<(), ChannelError> {
        Ok(self.connection.get_mut().send(message, fds)?)
    }

    /// Sends a message with its descriptors and waits until the socket has taken all of it.
    ///
    /// Cancel-safe in this sense: the message is queued before the first wait, so a cancelled call
    /// has sent it, or will with the next `receive` or `flush`. A peer that does not read makes
    /// this wait without end; `queue` does not.
    pub async fn send<T: Serialize>(
        &mut self,
        message: &T,
        fds: Vec<OwnedFd>,
    ) -> Result<(), ChannelError> {
        self.queue(message, fds)?;
        self.flush().await
    }

    /// Waits until everything queued has been taken by the socket. Cancel-safe.
    pub async fn flush(&mut self) -> Result<(), ChannelError> {
        loop {
            self.connection.get_mut().flush()?;
            if !self.connection.get_ref().wants_write() {
                return Ok(());
            }
            let mut guard =
                self.connection.ready_mut(Interest::WRITABLE).await.map_err(ChannelError::Watch)?;
            guard.get_inner_mut().flush()?;
            if guard.get_inner().wants_write() {
                guard.clear_ready_matching(Ready::WRITABLE);
            }
        }
    }

    /// Returns the next message and its descriptors, or `None` once the peer has closed; writes
    /// out what is queued while it waits.
    ///
    /// Cancel-safe: a message is taken from the connection only in the moment it is returned.
    pub async fn receive<T: DeserializeOwned>(
        &mut self,
    ) -> Result<Option<(T, Vec<OwnedFd>)>, ChannelError> {
        // Before anything is taken, so that being cancelled here loses nothing.
        tokio::task::coop::consume_budget().await;
        loop {
            let connection = self.connection.get_mut();
            match connection.receive()? {
                Received::Message(message, fds) => return Ok(Some((message, fds))),
                Received::Closed => return Ok(None),
                Received::Pending => {}
            }
            if let Err(error) = connection.flush() {
                // The peer may have spoken and closed since the look above: its last words first.
                return match connection.receive()? {
                    Received::Message(message, fds) => Ok(Some((message, fds))),
                    Received::Closed => Ok(None),
                    Received::Pending => Err(error.into()),
                };
            }
            let interest = if connection.wants_write() {
                Interest::READABLE | Interest::WRITABLE
            } else {
                Interest::READABLE
            };
            let mut guard =
                self.connection.ready_mut(interest).await.map_err(ChannelError::Watch)?;
            // Readiness is cleared only after the socket has said, behind the guard's back, that
            // nothing is there: an event in between belongs to a later tick and is not lost.
            if guard.ready().is_writable()
                && guard.get_inner_mut().flush().is_ok()
                && guard.get_inner().wants_write()
            {
                guard.clear_ready_matching(Ready::WRITABLE);
            }
            if guard.ready().is_readable() {
                match guard.get_inner_mut().receive()? {
                    Received::Message(message, fds) => return Ok(Some((message, fds))),
                    Received::Closed => return Ok(None),
                    Received::Pending => guard.clear_ready_matching(Ready::READABLE),
                }
            }
        }
    }

    /// Sends our hello, waits for the peer's and returns it with the highest protocol version
    /// both speak.
    ///
    /// Refuses a peer of another installation, of another role than `expected`, without a common
    /// protocol version, or without a hello within `patience`. After an error the channel is of no
    /// use; not cancel-safe for the same reason.
    pub async fn handshake(
        &mut self,
        hello: &Hello,
        expected: Role,
        patience: Duration,
    ) -> Result<(Hello, u32), HandshakeError> {
        let exchange = async {
            self.queue(hello, Vec::new())?;
            let received = self.receive::<Hello>().await?;
            self.flush().await?;
            Ok::<_, ChannelError>(received)
        };
        let received = tokio::time::timeout(patience, exchange)
            .await
            .map_err(|_| HandshakeError::Silent { patience })??;
        let (theirs, _) = received.ok_or(HandshakeError::Closed)?;
        theirs.expect_role(expected)?;
        let protocol = hello.agree(&theirs)?;
        Ok((theirs, protocol))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use serde_json::{Value, json};

    /// Long enough that only a hang reaches it.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn pair() -> (Channel, Channel) {
        let (a, b) = UnixStream::pair().unwrap();
        (Channel::from_socket(a.into()).unwrap(), Channel::from_socket(b.into()).unwrap())
    }

    fn hello(role: Role, installation: &str) -> Hello {
        Hello {
            protocol: control::PROTOCOL,
            role,
            build: "0.1.0".into(),
            boot_id: "b".into(),
            installation: installation.into(),
        }
    }

    #[tokio::test]
    async fn messages_and_descriptors_arrive_in_order() {
        let (mut a, mut b) = pair();
        let (mut reader, writer) = UnixStream::pair().unwrap();
        a.send(&json!({"n": 1}), vec![]).await.unwrap();
        a.send(&json!({"n": 2}), vec![writer.into()]).await.unwrap();
        drop(a);
        assert_eq!(b.receive::<Value>().await.unwrap().unwrap().0["n"], 1);
        let (second, mut fds) = b.receive::<Value>().await.unwrap().unwrap();
        assert_eq!(second["n"], 2);
        UnixStream::from(fds.pop().unwrap()).write_all(b"through").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        assert!(b.receive::<Value>().await.unwrap().is_none());
    }

    /// Both sides queue more than a socket buffer holds before either reads: without writing in
    /// `receive` they would wait for each other for ever.
    #[tokio::test]
    async fn two_peers_that_both_talk_first_do_not_deadlock() {
        const MESSAGES: usize = 3;
        let (a, b) = pair();
        let filler = "x".repeat(900 << 10);
        let side = |mut channel: Channel| {
            let message = json!({ "filler": filler });
            async move {
                for _ in 0..MESSAGES {
                    channel.queue(&message, vec![]).unwrap();
                }
                for _ in 0..MESSAGES {
                    let (received, _) = channel.receive::<Value>().await.unwrap().unwrap();
                    assert_eq!(received, message);
                }
                channel.flush().await.unwrap();
                channel
            }
        };
        tokio::time::timeout(PATIENCE, async { tokio::join!(side(a), side(b)) }).await.unwrap();
    }

    /// `receive` is dropped after every single poll while a writer trickles bytes and descriptors
    /// in; nothing may be lost, doubled or reordered.
    #[tokio::test]
    async fn receive_is_cancel_safe() {
        const MESSAGES: u64 = 200;
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut b = Channel::from_socket(theirs.into()).unwrap();
        let (kept, given) = UnixStream::pair().unwrap();
        let writer = tokio::spawn(async move {
            let mut a = Channel::from_socket(ours.into()).unwrap();
            for n in 0..MESSAGES {
                let fds = if n % 3 == 0 { vec![given.try_clone().unwrap().into()] } else { vec![] };
                let filler = "x".repeat((n as usize * 997) % 40_000);
                a.send(&json!({ "n": n, "filler": filler }), fds).await.unwrap();
            }
        });
        let mut seen = Vec::new();
        let mut cancelled = 0u64;
        let all = async {
            loop {
                let outcome = tokio::select! {
                    biased;
                    outcome = b.receive::<Value>() => outcome,
                    () = tokio::task::yield_now() => { cancelled += 1; continue }
                };
                match outcome.unwrap() {
                    Some((message, fds)) => {
                        let n = message["n"].as_u64().unwrap();
                        assert_eq!(fds.len(), usize::from(n % 3 == 0), "at {n}");
                        seen.push(n);
                    }
                    None => break,
                }
            }
        };
        tokio::time::timeout(PATIENCE, all).await.unwrap();
        writer.await.unwrap();
        drop(kept);
        assert_eq!(seen, (0..MESSAGES).collect::<Vec<_>>());
        assert!(cancelled > 0, "no call was ever cancelled");
    }

    #[tokio::test]
    async fn last_words_are_heard_although_writing_fails() {
        let (mut a, mut b) = pair();
        b.send(&json!({"last": true}), vec![]).await.unwrap();
        drop(b);
        // Fails with EPIPE, now or from the queue; what came before must still be read.
        let _ = a.queue(&json!({"too": "late"}), vec![]);
        assert!(a.receive::<Value>().await.unwrap().is_some());
        assert!(a.receive::<Value>().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_handshake_finds_out_who_is_there() {
        let (mut a, mut b) = pair();
        let (agent, shim) = (hello(Role::Agent, "i"), hello(Role::Shim, "i"));
        let (left, right) = tokio::join!(
            a.handshake(&agent, Role::Shim, PATIENCE),
            b.handshake(&shim, Role::Agent, PATIENCE)
        );
        assert_eq!(left.unwrap(), (shim.clone(), control::PROTOCOL[1]));
        assert_eq!(right.unwrap().0, agent);

        let (mut a, mut b) = pair();
        let other = hello(Role::Shim, "another");
        let (left, _) = tokio::join!(
            a.handshake(&agent, Role::Shim, PATIENCE),
            b.handshake(&other, Role::Agent, PATIENCE)
        );
        let error = left.unwrap_err();
        assert!(matches!(error, HandshakeError::Disagreed(HelloError::Installation { .. })));

        let (mut a, _silent) = pair();
        let error = a.handshake(&agent, Role::Shim, Duration::from_millis(1)).await.unwrap_err();
        assert!(matches!(error, HandshakeError::Silent { .. }));

        let (mut a, b) = pair();
        drop(b);
        let error = a.handshake(&agent, Role::Shim, PATIENCE).await.unwrap_err();
        assert!(matches!(error, HandshakeError::Closed | HandshakeError::Channel(_)));
    }
}
