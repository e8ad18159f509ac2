//! How long a body is (RFC 9112 §6).

use crate::fields::{Header, Version};

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// So many bytes; 0 when there is none.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Until the sender closes the connection; responses only.
    UntilClose,
}

/// Framing headers that two readers could understand differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// Not a plain number below 2^63.
    #[error("`Content-Length` is not a number")]
    Length,
    /// Two lengths that differ.
    #[error("two `Content-Length` that differ")]
    Lengths,
    /// Anything but one `chunked`.
    #[error("`Transfer-Encoding` is not `chunked`")]
    Encoding,
    /// Both ways at once.
    #[error("`Transfer-Encoding` and `Content-Length` in one head")]
    Both,
    /// Chunks in a version that has none.
    #[error("`Transfer-Encoding` in HTTP/1.0")]
    EncodingVersion,
}

/// Collects the framing headers of one head.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    length: Option<u64>,
    chunked: bool,
}

impl Framing {
    /// Looks at one header; says whether it was a framing header.
    pub(crate) fn add(&mut self, header: Header<'_>) -> Result<bool, FramingError> {
        if header.is("content-length") {
            let length = parse_length(header.value).ok_or(FramingError::Length)?;
            if self.length.is_some_and(|before| before != length) {
                return Err(FramingError::Lengths);
            }
            self.length = Some(length);
            return Ok(true);
        }
        if header.is("transfer-encoding") {
            if self.chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
                return Err(FramingError::Encoding);
            }
            self.chunked = true;
            return Ok(true);
        }
        Ok(false)
    }

    /// Returns what the headers say; `None` when they say nothing.
    pub(crate) fn finish(&self, version: Version) -> Result<Option<BodyLength>, FramingError> {
        if !self.chunked {
            return Ok(self.length.map(BodyLength::Length));
        }
        if version == Version::Http10 {
            return Err(FramingError::EncodingVersion);
        }
        if self.length.is_some() {
            return Err(FramingError::Both);
        }
        Ok(Some(BodyLength::Chunked))
    }
}

fn parse_length(value: &[u8]) -> Option<u64> {
    /// Digits that always fit a `u63`, so that a file offset can hold it too.
    const MAX_DIGITS: usize = 18;
    if value.is_empty() || value.len() > MAX_DIGITS || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_plain_digits() {
        assert_eq!(parse_length(b"0"), Some(0));
        assert_eq!(parse_length(b"007"), Some(7));
        for bad in [&b"+3"[..], b"-1", b"0x10", b"1 2", b"", b"3,3", b"1e3", b"9999999999999999999"]
        {
            assert_eq!(parse_length(bad), None, "{bad:?}");
        }
    }
}
