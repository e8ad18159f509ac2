//! A control connection driven by tokio.
//!
//! [`Channel`] is a [`control::Connection`] whose waiting is done by the runtime. It has one
//! owner and no halves: [`Channel::queue`] never waits, and [`Channel::receive`] writes out what
//! is queued while it waits for the peer, so that one task serves both directions:
//!
//! ```no_run
//! # async fn task(
//! #     mut channel: control_tokio::Channel,
//! #     mut requests: tokio::sync::mpsc::Receiver<control::shim::Numbered>,
//! # ) -> Result<(), control_tokio::ChannelError> {
//! loop {
//!     tokio::select! {
//!         message = channel.receive::<control::shim::Message>() => match message? {
//!             Some((_message, _descriptors)) => {}
//!             None => return Ok(()),
//!         },
//!         Some(request) = requests.recv() => channel.queue(&request, Vec::new())?,
//!     }
//! }
//! # }
//! ```
//!
//! # Guarantees
//!
//! - Every method is cancel-safe: a message is queued whole or not at all, and a received message
//!   is returned or still there.
//! - What the peer said before it closed is received before the close is reported, also when
//!   writing to it fails already.
//! - Both directions are bounded by the connection: a peer that does not read is an error
//!   ([`control::ConnectionError::PeerStalled`]), not memory.
//! - A peer that never pauses cannot keep the task from yielding to others.
//!
//! # It is not
//!
//! a client with retries or request numbers: `supervise` has those.

mod channel;
mod dial;
mod watch;

pub use channel::{Channel, ChannelError, HandshakeError};
pub use dial::{DialError, dial};
pub use watch::Watched;
