//! Finds the end of a head and refuses bytes that no head may hold.

use memchr::memchr;

use crate::limits::MAX_HEAD_BYTES;

/// A head whose bytes alone say that it is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// No end within [`MAX_HEAD_BYTES`].
    #[error("the head is longer than {MAX_HEAD_BYTES} bytes")]
    TooLong,
    /// A line feed without a carriage return.
    #[error("a line ends in a bare line feed")]
    BareLineFeed,
    /// A carriage return that no line feed follows.
    #[error("a carriage return that does not end a line")]
    BareCarriageReturn,
    /// A control byte.
    #[error("control byte {0:#04x} in the head")]
    ControlByte(u8),
    /// The head begins with an empty line.
    #[error("an empty line where a head should begin")]
    Empty,
}

/// Remembers how far a growing head was looked at, so that a head that comes byte by byte costs
/// no more than one that comes at once.
///
/// One scanner a head: make a new one, or [`HeadScanner::default`] it, for the next.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeadScanner {
    /// Everything before was seen and is fine.
    scanned: usize,
    /// Where the current line starts.
    line: usize,
}

impl HeadScanner {
    /// Returns the length of the head at the beginning of `bytes`, its empty line included, or
    /// `None` until more bytes come. `bytes` must begin with what it began with last time.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        let window = &bytes[..bytes.len().min(MAX_HEAD_BYTES)];
        loop {
            let rest = &window[self.scanned..];
            let Some(line_feed) = memchr(b'\n', rest) else {
                // A carriage return at the very end may still be followed by its line feed.
                let checked = rest.strip_suffix(b"\r").unwrap_or(rest);
                check_line(checked)?;
                self.scanned += checked.len();
                if window.len() == MAX_HEAD_BYTES {
                    return Err(HeadError::TooLong);
                }
                return Ok(None);
            };
            let line_end = self.scanned + line_feed;
            let (content, ended) = match rest[..line_feed].strip_suffix(b"\r") {
                Some(content) => (content, true),
                None => (&rest[..line_feed], false),
            };
            // In the order of the bytes, so that the error does not depend on the split.
            check_line(content)?;
            if !ended {
                return Err(HeadError::BareLineFeed);
            }
            let empty = line_end - 1 == self.line;
            self.line = line_end + 1;
            self.scanned = self.line;
            if empty {
                return if line_end == 1 { Err(HeadError::Empty) } else { Ok(Some(self.line)) };
            }
        }
    }
}

/// Refuses control bytes but the tab.
fn check_line(line: &[u8]) -> Result<(), HeadError> {
    // Without an early exit, so that the compiler can look at many bytes at once.
    let bad = line.iter().fold(false, |bad, byte| bad | is_control(*byte));
    if !bad {
        return Ok(());
    }
    match line.iter().find(|byte| is_control(**byte)) {
        Some(b'\r') => Err(HeadError::BareCarriageReturn),
        Some(byte) => Err(HeadError::ControlByte(*byte)),
        None => Ok(()),
    }
}

fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        HeadScanner::default().scan(bytes)
    }

    #[test]
    fn the_end_is_the_first_empty_line() {
        assert_eq!(scan(b"a\r\nb\r\n\r\nbody\n"), Ok(Some(8)));
        assert_eq!(scan(b"a\r\nb\r\n\r"), Ok(None));
        assert_eq!(scan(b""), Ok(None));
    }

    #[test]
    fn bytes_that_no_head_holds() {
        assert_eq!(scan(b"a\nb"), Err(HeadError::BareLineFeed));
        assert_eq!(scan(b"a\r\n\nb"), Err(HeadError::BareLineFeed));
        assert_eq!(scan(b"\n"), Err(HeadError::BareLineFeed));
        assert_eq!(scan(b"a\rb\r\n"), Err(HeadError::BareCarriageReturn));
        assert_eq!(scan(b"a\rb"), Err(HeadError::BareCarriageReturn));
        assert_eq!(scan(b"a\r\r\n"), Err(HeadError::BareCarriageReturn));
        assert_eq!(scan(b"a\0"), Err(HeadError::ControlByte(0)));
        assert_eq!(scan(b"\x16\x03\x01"), Err(HeadError::ControlByte(0x16)));
        assert_eq!(scan(b"\r\n"), Err(HeadError::Empty));
        assert_eq!(scan(&vec![b'a'; MAX_HEAD_BYTES]), Err(HeadError::TooLong));
    }

    #[test]
    fn a_head_may_come_byte_by_byte() {
        let head = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let mut scanner = HeadScanner::default();
        for end in 0..head.len() {
            assert_eq!(scanner.scan(&head[..end]), Ok(None), "at {end}");
        }
        assert_eq!(scanner.scan(head), Ok(Some(head.len())));
    }
}
