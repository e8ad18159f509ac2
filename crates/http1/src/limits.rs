//! Every bound of the codec.

/// Longest head in bytes, its empty line included: nginx's default for requests (4 × 8 KiB), and
/// far above what a server that works elsewhere puts into a response.
pub const MAX_HEAD_BYTES: usize = 32 << 10;

/// Most header lines in a head; gunicorn, nginx and hyper allow about as many.
pub const MAX_HEADERS: usize = 128;

/// Longest request target in bytes; twice what RFC 9110 §4.1 asks recipients to support.
pub const MAX_TARGET_BYTES: usize = 16 << 10;

/// Longest method in bytes; the longest registered one has 17.
pub const MAX_METHOD_BYTES: usize = 32;

/// Most digits of a chunk size: 2^60 cannot overflow whatever it is added to.
pub const MAX_CHUNK_DIGITS: usize = 15;

/// Longest chunk size line in bytes, extensions included; extensions are dropped, so that a long
/// one is only a way to send bytes that nobody counts.
pub const MAX_CHUNK_LINE_BYTES: usize = 256;

/// Longest trailer section in bytes; trailers are dropped too.
pub const MAX_TRAILER_BYTES: usize = 4 << 10;
