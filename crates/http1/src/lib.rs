//! A strict HTTP/1.1 codec for both sides of a proxy, without I/O.
//!
//! Server side: [`parse_request`] and [`HeadWriter::response`]. Client side:
//! [`HeadWriter::request`] and [`parse_response`]. Bodies: [`BodyDecoder`] and [`encode_chunk`].
//! Bytes come in as the peer sent them, in any split; what comes out does not depend on the split.
//!
//! # Strictness
//!
//! Two parties that read the same bytes differently are how requests are smuggled, so everything
//! that is read differently in the field is refused instead of repaired (RFC 9112, and what its
//! section 11.2 warns of):
//!
//! - a line that does not end in CR LF, a CR anywhere else, a control byte anywhere (a tab in a
//!   value is fine), folded lines, white space before a colon;
//! - `Transfer-Encoding` together with `Content-Length`, in HTTP/1.0, twice, or as anything but
//!   `chunked`; several lengths that differ, a list, a sign, anything but digits;
//! - no `Host` in HTTP/1.1, two of them, or one that is no authority; in the absolute form the
//!   target's authority counts and `Host` is ignored (RFC 9112 §3.2.2);
//! - chunk sizes with a sign, a prefix, white space or more than [`MAX_CHUNK_DIGITS`] digits.
//!
//! One empty line before a request is skipped (RFC 9112 §2.2). Chunk extensions and trailers are
//! checked and dropped. `httparse` is the tokenizer; it runs only behind [`HeadScanner`], which
//! has seen every byte.
//!
//! # It is not
//!
//! a client or a server: no sockets, no timeouts, no retries, and no opinion on which headers a
//! proxy passes on (it only names those that belong to one connection, [`is_hop_by_hop`]).

mod body;
mod chunked;
mod collect;
mod fields;
mod framing;
mod host;
mod limits;
mod request;
mod response;
mod scan;
mod write;

pub use body::{BodyDecoder, BodyError, Decoded};
pub use chunked::{ChunkError, LAST_CHUNK, encode_chunk};
pub use collect::{CollectError, Collected, ResponseCollector};
pub use fields::{Connection, Header, HeaderSpace, Version, is_hop_by_hop, tokens};
pub use framing::{BodyLength, FramingError};
pub use host::{Authority, is_authority};
pub use limits::{
    MAX_CHUNK_DIGITS, MAX_CHUNK_LINE_BYTES, MAX_HEAD_BYTES, MAX_HEADERS, MAX_METHOD_BYTES,
    MAX_TARGET_BYTES, MAX_TRAILER_BYTES,
};
pub use request::{Expectation, Request, RequestError, Target, is_idempotent, parse_request};
pub use response::{Response, ResponseError, has_no_body, parse_response, reason_phrase};
pub use scan::{HeadError, HeadScanner};
pub use write::HeadWriter;

/// Runs every server-side parser on arbitrary bytes, for the fuzzer.
#[doc(hidden)]
pub fn fuzz_request(bytes: &[u8]) {
    let mut space = HeaderSpace::new();
    if let Ok(Some((request, length))) =
        parse_request(bytes, &mut HeadScanner::default(), &mut space)
    {
        assert!(length <= bytes.len(), "a head ends within what was read");
        assert!(request.target().path() == "*" || request.target().path().starts_with('/'));
        body::fuzz(BodyDecoder::new(request.body()), &bytes[length..]);
    }
    body::fuzz(BodyDecoder::new(BodyLength::Chunked), bytes);
}

/// Runs every client-side parser on arbitrary bytes, for the fuzzer.
#[doc(hidden)]
pub fn fuzz_response(bytes: &[u8]) {
    let mut space = HeaderSpace::new();
    if let Ok(Some((response, length))) =
        parse_response(bytes, "GET", &mut HeadScanner::default(), &mut space)
    {
        assert!(length <= bytes.len(), "a head ends within what was read");
        body::fuzz(BodyDecoder::new(response.body()), &bytes[length..]);
    }
    let mut collector = ResponseCollector::new("GET", 1 << 16);
    if collector.feed(bytes).is_ok() {
        let _ = collector.end();
    }
}
