//! Bodies, whatever their framing.

use std::ops::Range;

use crate::chunked::{ChunkError, ChunkedDecoder};
use crate::framing::BodyLength;

/// A body that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Its chunks.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// The connection ended before the body did.
    #[error("the connection ended before the body")]
    Truncated,
}

/// What one [`BodyDecoder::decode`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// Which of them are data; may be empty.
    pub data: Range<usize>,
}

/// Finds a body's data in the bytes of its connection and the place where it ends.
#[derive(Debug, Clone, Copy)]
pub struct BodyDecoder(Kind);

#[derive(Debug, Clone, Copy)]
enum Kind {
    Length { left: u64 },
    Chunked(ChunkedDecoder),
    UntilClose,
}

impl BodyDecoder {
    /// Returns a decoder for a body of this length.
    pub fn new(length: BodyLength) -> Self {
        Self(match length {
            BodyLength::Length(left) => Kind::Length { left },
            BodyLength::Chunked => Kind::Chunked(ChunkedDecoder::new()),
            BodyLength::UntilClose => Kind::UntilClose,
        })
    }

    /// Returns the next piece of data in `input`. Call again with what is behind `consumed` until
    /// nothing is consumed.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, BodyError> {
        match &mut self.0 {
            Kind::Length { left } => {
                let length = (input.len() as u64).min(*left) as usize;
                *left -= length as u64;
                Ok(Decoded { consumed: length, data: 0..length })
            }
            Kind::Chunked(decoder) => {
                let (consumed, data) = decoder.decode(input)?;
                Ok(Decoded { consumed, data: consumed - data..consumed })
            }
            Kind::UntilClose => Ok(Decoded { consumed: input.len(), data: 0..input.len() }),
        }
    }

    /// Returns whether the body is complete; never true for one that ends with its connection.
    pub fn is_done(&self) -> bool {
        match &self.0 {
            Kind::Length { left } => *left == 0,
            Kind::Chunked(decoder) => decoder.is_done(),
            Kind::UntilClose => false,
        }
    }

    /// Returns how many bytes are still to come, where that is known.
    pub fn left(&self) -> Option<u64> {
        match &self.0 {
            Kind::Length { left } => Some(*left),
            Kind::Chunked(_) | Kind::UntilClose => None,
        }
    }

    /// Says whether a connection that ends here has ended the body too.
    pub fn end_of_connection(&self) -> Result<(), BodyError> {
        if self.is_done() || matches!(self.0, Kind::UntilClose) {
            Ok(())
        } else {
            Err(BodyError::Truncated)
        }
    }
}

/// Decodes everything, in one piece and byte by byte, and compares.
pub(crate) fn fuzz(decoder: BodyDecoder, bytes: &[u8]) {
    let run = |step: usize| -> Result<(Vec<u8>, usize, bool), BodyError> {
        let mut decoder = decoder;
        let (mut data, mut total) = (Vec::new(), 0);
        let mut available = 0;
        while available < bytes.len() {
            available = (available + step).min(bytes.len());
            loop {
                let input = &bytes[total..available];
                let decoded = decoder.decode(input)?;
                data.extend_from_slice(&input[decoded.data.clone()]);
                total += decoded.consumed;
                if decoded.consumed == 0 {
                    break;
                }
            }
        }
        Ok((data, total, decoder.is_done()))
    };
    assert_eq!(run(bytes.len().max(1)), run(1), "the split changed the body");
}
