//! Frames without I/O: bytes in, whole JSON texts out.

/// Largest frame in bytes, without its length.
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// Most descriptors on one frame; well below the kernel's `SCM_MAX_FD` of 253.
pub const MAX_FRAME_FDS: usize = 64;

const LENGTH_BYTES: usize = 4;

/// A frame that was refused.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer announced, or we tried to send, more than [`MAX_FRAME_BYTES`].
    #[error("a frame of {size} bytes is over the limit of {MAX_FRAME_BYTES}")]
    TooLarge {
        /// The announced size in bytes.
        size: usize,
    },
    /// The frame is not the JSON of the expected message.
    #[error("a frame does not parse")]
    Json(#[source] serde_json::Error),
}

/// Returns `message` as one frame.
pub fn encode<T: serde::Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; LENGTH_BYTES];
    serde_json::to_writer(&mut bytes, message).map_err(FrameError::Json)?;
    let size = bytes.len() - LENGTH_BYTES;
    if size > MAX_FRAME_BYTES {
        return Err(FrameError::TooLarge { size });
    }
    bytes[..LENGTH_BYTES].copy_from_slice(&(size as u32).to_le_bytes());
    Ok(bytes)
}

/// Collects bytes and gives back whole frames.
///
/// Holds at most one partial frame and whatever was read behind it; an announced length over the
/// limit is an error before a byte of it is stored.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// How far `buffer` has been given out.
    start: usize,
}

impl Decoder {
    /// Adds bytes as they came from the peer.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next whole frame's JSON, or `None` until more bytes come.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let pending = &self.buffer[self.start..];
        let Some(length) = pending.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let size = u32::from_le_bytes(*length) as usize;
        if size > MAX_FRAME_BYTES {
            return Err(FrameError::TooLarge { size });
        }
        if pending.len() < LENGTH_BYTES + size {
            return Ok(None);
        }
        let from = self.start + LENGTH_BYTES;
        self.start = from + size;
        Ok(Some(&self.buffer[from..from + size]))
    }

    /// Returns whether bytes of an unfinished frame are left.
    pub fn is_mid_frame(&self) -> bool {
        self.start < self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_split() {
        let first = encode(&serde_json::json!({"a": 1})).unwrap();
        let second = encode(&serde_json::json!(["b"])).unwrap();
        let all: Vec<u8> = first.iter().chain(&second).copied().collect();
        for cut in 0..=all.len() {
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            for part in [&all[..cut], &all[cut..]] {
                decoder.extend(part);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    seen.push(frame.to_vec());
                }
            }
            assert_eq!(seen, [br#"{"a":1}"#.to_vec(), br#"["b"]"#.to_vec()], "cut at {cut}");
            assert!(!decoder.is_mid_frame());
        }
    }

    #[test]
    fn an_oversized_length_is_refused_at_once() {
        let mut decoder = Decoder::default();
        decoder.extend(&u32::MAX.to_le_bytes());
        assert!(matches!(decoder.next_frame(), Err(FrameError::TooLarge { .. })));
    }
}
