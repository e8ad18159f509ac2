//! SHA-256, in hexadecimal.

use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Returns the digest of bytes.
pub(crate) fn of(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Returns the digest of a file's content.
pub(crate) fn of_file(file: &mut File) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hexadecimal(&digest.finalize())),
            count => digest.update(&chunk[..count]),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
