//! SHA-256 digests, as values and as they are made from several parts.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Hexadecimal digits of a digest that name a directory: 64 bits tell the artifacts of one app
/// apart for ever, and paths stay readable.
const SHORT_HEX_DIGITS: usize = 16;

/// A SHA-256 digest; written as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// Text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not 64 lowercase hexadecimal digits")]
pub struct NotADigest;

impl Digest {
    /// Returns the digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Returns the first 16 digits: what directories are named after.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(SHORT_HEX_DIGITS);
        text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let digits = text.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return Err(NotADigest);
        }
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(NotADigest),
        };
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;

    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// Makes a digest of named parts. Names and values are preceded by their lengths, so that no two
/// different lists of parts give the same bytes.
#[derive(Clone)]
pub(crate) struct Parts(Sha256);

impl Parts {
    /// Starts a digest of the given kind.
    pub(crate) fn new(kind: &str) -> Self {
        let mut parts = Self(Sha256::new());
        parts.add("kind", kind);
        parts
    }

    /// Adds one part.
    pub(crate) fn add(&mut self, name: &str, value: impl AsRef<[u8]>) {
        for bytes in [name.as_bytes(), value.as_ref()] {
            self.0.update((bytes.len() as u64).to_be_bytes());
            self.0.update(bytes);
        }
    }

    /// Ends it.
    pub(crate) fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// Bytes read at a time: large enough that system calls cost little beside hashing.
const CHUNK_BYTES: usize = 256 * 1024;

/// Reads everything, gives each piece to `sink`, and returns the digest and the length.
pub(crate) fn copy_hashed(
    mut from: impl Read,
    mut sink: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut length = 0;
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok((Digest(hasher.finalize().into()), length)),
            Ok(count) => {
                hasher.update(&chunk[..count]);
                sink(&chunk[..count])?;
                length += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_what_it_writes_and_nothing_else() {
        let digest = Digest::of(b"skep");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest.short().len(), 16);
        for wrong in ["", "ab", &"g".repeat(64), &"A".repeat(64), &"a".repeat(65)] {
            assert_eq!(wrong.parse::<Digest>(), Err(NotADigest), "{wrong}");
        }
    }

    #[test]
    fn parts_cannot_be_shifted_into_each_other() {
        let digest = |list: &[(&str, &str)]| {
            let mut parts = Parts::new("test");
            for (name, value) in list {
                parts.add(name, value);
            }
            parts.finish()
        };
        assert_ne!(digest(&[("a", "bc")]), digest(&[("ab", "c")]));
        assert_ne!(digest(&[("a", "b"), ("c", "d")]), digest(&[("a", "bcd")]));
    }
}
