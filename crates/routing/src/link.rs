//! The connection to one proxy: dialled again for as long as the proxy lives.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use control::proxy::{Message, Request};
use control::{Hello, Role, SlotId};
use control_tokio::Channel;
use tokio::sync::mpsc;

/// Which instance a link belongs to: a slot of `skep/proxy` and its start.
pub(crate) type InstanceId = (SlotId, u64);

/// What a link tells the router.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) from: InstanceId,
    pub(crate) what: What,
}

/// The news itself.
#[derive(Debug)]
pub(crate) enum What {
    /// Connected; everything must be sent again.
    Up(Message),
    /// The proxy said something.
    Said(Message),
    /// The connection ended; the link dials again.
    Down,
}

/// What the router tells a link.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) request: Request,
    pub(crate) fds: Vec<OwnedFd>,
}

/// How long a proxy may take to answer a hello.
const HELLO_PATIENCE: Duration = Duration::from_secs(2);

/// Between two dials of a proxy that does not answer.
const REDIAL: Duration = Duration::from_millis(50);

/// Orders that may wait for one proxy; more means that it hangs, and it is dialled again.
pub(crate) const MAX_ORDERS: usize = 256;

/// Connects to the proxy behind `socket` until the router drops its end.
pub(crate) async fn run(
    from: InstanceId,
    socket: PathBuf,
    hello: Hello,
    mut orders: mpsc::Receiver<Order>,
    news: mpsc::Sender<News>,
) {
    loop {
        match connect(&socket, &hello).await {
            Ok((mut channel, state)) => {
                // Orders of the connection before are void: the router sends all of it again.
                while orders.try_recv().is_ok() {}
                if news.send(News { from, what: What::Up(state) }).await.is_err() {
                    return;
                }
                let ended = converse(from, &mut channel, &mut orders, &news).await;
                if news.send(News { from, what: What::Down }).await.is_err()
                    || ended == Ended::Dismissed
                {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(proxy = %from.0, error, "a proxy cannot be reached yet");
                if orders.is_closed() {
                    return;
                }
            }
        }
        tokio::time::sleep(REDIAL).await;
    }
}

#[derive(PartialEq)]
enum Ended {
    /// The proxy is gone, or broke the protocol.
    ByPeer,
    /// The router has no more use for this link.
    Dismissed,
}

async fn connect(socket: &std::path::Path, hello: &Hello) -> Result<(Channel, Message), String> {
    let channel = Channel::connect(socket, HELLO_PATIENCE).await;
    let mut channel = channel.map_err(|error| error.to_string())?;
    let greeting = channel.handshake(hello, Role::Proxy, HELLO_PATIENCE).await;
    greeting.map_err(|error| error.to_string())?;
    match tokio::time::timeout(HELLO_PATIENCE, channel.receive::<Message>()).await {
        Ok(Ok(Some((state @ Message::State { .. }, _)))) => Ok((channel, state)),
        Ok(Ok(Some((other, _)))) => Err(format!("first said {other:?}")),
        Ok(Ok(None)) => Err("closed the connection".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("said nothing after its hello".to_owned()),
    }
}

async fn converse(
    from: InstanceId,
    channel: &mut Channel,
    orders: &mut mpsc::Receiver<Order>,
    news: &mpsc::Sender<News>,
) -> Ended {
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some(Order { request, fds }) = order else { return Ended::Dismissed };
                if let Err(error) = channel.queue(&request, fds) {
                    tracing::warn!(proxy = %from.0, %error, "failed to send to a proxy");
                    return Ended::ByPeer;
                }
            }
            received = channel.receive::<Message>() => match received {
                Ok(Some((message, _))) => {
                    if news.send(News { from, what: What::Said(message) }).await.is_err() {
                        return Ended::Dismissed;
                    }
                }
                Ok(None) => return Ended::ByPeer,
                Err(error) => {
                    tracing::warn!(proxy = %from.0, %error, "a proxy's connection failed");
                    return Ended::ByPeer;
                }
            },
        }
    }
}
