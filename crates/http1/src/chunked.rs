//! Chunks (RFC 9112 §7.1).

use std::io::Write;

use crate::limits::{MAX_CHUNK_DIGITS, MAX_CHUNK_LINE_BYTES, MAX_TRAILER_BYTES};

/// Ends a body in chunks.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Chunks that two readers could understand differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Not plain hexadecimal digits, or too many.
    #[error("a chunk size is not a hexadecimal number")]
    Size,
    /// The size line is longer than [`MAX_CHUNK_LINE_BYTES`].
    #[error("a chunk size line is longer than {MAX_CHUNK_LINE_BYTES} bytes")]
    LineTooLong,
    /// A line that does not end in CR LF, or a control byte in one.
    #[error("a chunk line does not end in CR LF")]
    LineEnd,
    /// The data is longer than its size.
    #[error("a chunk is longer than its size")]
    DataEnd,
    /// A trailer line that is no header, or too many of them.
    #[error("malformed trailers")]
    Trailer,
}

/// Where a decoder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the digits of a size.
    Size,
    /// In the extensions behind them.
    Extension,
    /// Behind the CR of a size line.
    SizeLineFeed,
    /// In the data, so many bytes to go.
    Data,
    /// Behind the data.
    DataCarriageReturn,
    /// Behind the CR behind the data.
    DataLineFeed,
    /// At the beginning of a trailer line.
    TrailerStart,
    /// In a trailer's name.
    TrailerName,
    /// In a trailer's value.
    TrailerValue,
    /// Behind the CR of a trailer line.
    TrailerLineFeed,
    /// Behind the CR of the empty line.
    LastLineFeed,
    /// Nothing follows.
    Done,
}

/// Decodes chunks; extensions and trailers are checked and dropped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChunkedDecoder {
    state: State,
    /// Of the current chunk; what is left of it while in its data.
    size: u64,
    /// Digits of the current size.
    digits: usize,
    /// Bytes of the current size line, or of all trailers.
    line: usize,
}

impl ChunkedDecoder {
    pub(crate) fn new() -> Self {
        Self { state: State::Size, size: 0, digits: 0, line: 0 }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes bytes up to and including the next piece of data; returns how many were taken and
    /// how many of these, at the end, are data.
    pub(crate) fn decode(&mut self, input: &[u8]) -> Result<(usize, usize), ChunkError> {
        let mut taken = 0;
        while taken < input.len() && self.state != State::Done {
            if self.state == State::Data {
                let available = (input.len() - taken) as u64;
                let data = available.min(self.size);
                self.size -= data;
                if self.size == 0 {
                    self.state = State::DataCarriageReturn;
                }
                return Ok((taken + data as usize, data as usize));
            }
            self.step(input[taken])?;
            taken += 1;
        }
        Ok((taken, 0))
    }

    #[allow(clippy::match_same_arms)] // one line a transition
    fn step(&mut self, byte: u8) -> Result<(), ChunkError> {
        self.state = match (self.state, byte) {
            (State::Size, digit) if digit.is_ascii_hexdigit() => {
                self.digits += 1;
                if self.digits > MAX_CHUNK_DIGITS {
                    return Err(ChunkError::Size);
                }
                let value = (digit as char).to_digit(16).unwrap_or_default();
                self.size = self.size * 16 + u64::from(value);
                State::Size
            }
            (State::Size, _) if self.digits == 0 => return Err(ChunkError::Size),
            (State::Size | State::Extension, b'\r') => State::SizeLineFeed,
            (State::Size, b';') => State::Extension,
            (State::Size, b'\n') => return Err(ChunkError::LineEnd),
            (State::Size, _) => return Err(ChunkError::Size),
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => State::Extension,
            (State::SizeLineFeed, b'\n') => {
                self.digits = 0;
                self.line = 0;
                if self.size == 0 { State::TrailerStart } else { State::Data }
            }
            (State::Extension | State::SizeLineFeed, _) => return Err(ChunkError::LineEnd),
            (State::DataCarriageReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => State::Size,
            (State::DataCarriageReturn | State::DataLineFeed, _) => {
                return Err(ChunkError::DataEnd);
            }
            (State::TrailerStart, b'\r') => State::LastLineFeed,
            (State::TrailerStart | State::TrailerName, byte) if is_token(byte) => {
                State::TrailerName
            }
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerLineFeed,
            (State::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => State::TrailerValue,
            (State::TrailerLineFeed, b'\n') => State::TrailerStart,
            (State::LastLineFeed, b'\n') => State::Done,
            (State::Data | State::Done, _) => self.state,
            _ => return Err(ChunkError::Trailer),
        };
        match self.state {
            State::Size | State::Extension | State::SizeLineFeed => {
                self.line += 1;
                if self.line > MAX_CHUNK_LINE_BYTES {
                    return Err(ChunkError::LineTooLong);
                }
            }
            State::TrailerName | State::TrailerValue => {
                self.line += 1;
                if self.line > MAX_TRAILER_BYTES {
                    return Err(ChunkError::Trailer);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// `tchar` of RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Appends `data` as one chunk; nothing for no data, because an empty chunk ends the body.
pub fn encode_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    // Writing to a vector cannot fail.
    let _ = write!(out, "{:x}\r\n", data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}
