//! What the processes of one node say to each other.
//!
//! Three parties talk over unix stream sockets: the agent to each shim ([`shim`]) and the agent to
//! each proxy ([`proxy`]). The crate holds the messages, the framing and the passing of
//! descriptors; it starts nothing and waits for nothing.
//!
//! # Wire format
//!
//! A frame is a little-endian `u32` length followed by that many bytes of JSON, at most
//! [`MAX_FRAME_BYTES`]. Descriptors travel as `SCM_RIGHTS` on the frame's first byte, at most
//! [`MAX_FRAME_FDS`] a frame; how many a frame carries is said in its JSON (`"fds": n`), so that a
//! receiver never guesses. The first frame in both directions is a [`Hello`].
//!
//! # Compatibility
//!
//! Unknown fields are ignored. An unknown message parses as `Unknown` and is answered
//! `unsupported`. One golden file per message and version lies in `testdata/`, and all of them are
//! replayed by the tests for ever.
//!
//! # It is not
//!
//! a transport with retries, an authentication layer (the socket's directory and `SO_PEERCRED`
//! decide who may connect) or an async runtime (`control-tokio` drives a [`Connection`] there).

mod connection;
mod frame;
mod hello;
mod ids;
pub mod proxy;
pub mod shim;

pub use connection::{Connection, ConnectionError, Received};
pub use frame::{Decoder, FrameError, MAX_FRAME_BYTES, MAX_FRAME_FDS, encode};
pub use hello::{Hello, HelloError, PROTOCOL, Role};
pub use ids::{Generation, IdError, MAX_NAME_BYTES, Revision, ServiceName, SlotId, SlotNumber};

/// Fuzz target: whatever a peer sends, the decoder ends with frames or an error, and what parses as
/// a message is written back as one.
#[doc(hidden)]
pub fn fuzz_frames(bytes: &[u8]) {
    let mut decoder = Decoder::default();
    decoder.extend(bytes);
    while let Ok(Some(frame)) = decoder.next_frame() {
        if let Ok(message) = serde_json::from_slice::<shim::Message>(frame) {
            assert!(encode(&message).is_ok(), "what was read fits a frame");
        }
        let _ = serde_json::from_slice::<shim::Numbered>(frame);
        let _ = serde_json::from_slice::<proxy::Message>(frame);
        let _ = serde_json::from_slice::<proxy::Request>(frame);
        let _ = serde_json::from_slice::<Hello>(frame);
    }
}
