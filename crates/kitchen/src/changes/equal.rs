//! Whether a file is another than the one below it.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use disk::{DiskError, PathContext};

/// Read at once of each of two files.
const CHUNK_BYTES: usize = 64 << 10;

/// Returns whether type, permissions, owner or content differ.
pub(super) fn differs(
    now: &Metadata,
    upper: &Path,
    was: &Metadata,
    lower: &Path,
) -> Result<bool, DiskError> {
    let known =
        |metadata: &Metadata| (metadata.mode(), metadata.uid(), metadata.gid(), metadata.rdev());
    if known(now) != known(was) {
        return Ok(true);
    }
    if now.is_file() {
        return Ok(now.len() != was.len() || !same_content(upper, lower)?);
    }
    if now.is_symlink() {
        let target = |path: &Path| fs::read_link(path).context("read", path);
        return Ok(target(upper)? != target(lower)?);
    }
    Ok(false)
}

fn same_content(left: &Path, right: &Path) -> Result<bool, DiskError> {
    let mut files = [left, right].map(|path| (path, File::open(path)));
    let mut chunks = [vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]];
    loop {
        let mut counts = [0; 2];
        for (index, (path, file)) in files.iter_mut().enumerate() {
            let file = match file {
                Ok(file) => file,
                Err(error) => return Err(DiskError::new("open", path, error.kind())),
            };
            counts[index] = fill(file, &mut chunks[index]).context("read", path)?;
        }
        if chunks[0][..counts[0]] != chunks[1][..counts[1]] {
            return Ok(false);
        }
        if counts[0] == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match file.read(&mut buffer[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}
