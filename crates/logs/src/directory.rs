//! A log directory: the segments in it, by number.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use crate::LogError;

/// Digits of a segment's number: as many as the largest `u64` has.
const SEQUENCE_DIGITS: usize = 20;
const SUFFIX: &[u8] = b".log";

/// An open log directory. Names are looked up relative to it, so that it may be moved and its path
/// may be of any length.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    fd: OwnedFd,
}

impl Directory {
    /// Opens an existing directory.
    pub(crate) fn open(path: &Path) -> Result<Self, LogError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| LogError::Directory { path: path.into(), source: errno.into() })?;
        Ok(Self { path: path.into(), fd })
    }

    /// Opens a directory, making it (but not those above it) for its owner alone if it is missing.
    pub(crate) fn open_or_create(path: &Path) -> Result<Self, LogError> {
        match rustix::fs::mkdir(path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Self::open(path),
            Err(errno) => Err(LogError::Create { path: path.into(), source: errno.into() }),
        }
    }

    /// Returns the numbers of all segments, lowest first. Other files are nobody's business.
    pub(crate) fn sequences(&self) -> Result<Vec<u64>, LogError> {
        let list = || -> Result<Vec<u64>, Errno> {
            let mut sequences = Vec::new();
            for entry in Dir::read_from(&self.fd)? {
                sequences.extend(parse_name(entry?.file_name()));
            }
            sequences.sort_unstable();
            Ok(sequences)
        };
        list().map_err(|errno| self.error(errno))
    }

    /// Opens a segment for reading; `None` if it is gone.
    pub(crate) fn open_segment(&self, sequence: u64) -> Result<Option<OwnedFd>, LogError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match rustix::fs::openat(&self.fd, name(sequence), flags, Mode::empty()) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.segment_error(sequence, errno)),
        }
    }

    /// Opens a segment for reading and writing.
    pub(crate) fn reopen_segment(&self, sequence: u64) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::openat(&self.fd, name(sequence), flags, Mode::empty())
    }

    /// Makes a new segment.
    pub(crate) fn create_segment(&self, sequence: u64) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, name(sequence), flags, Mode::RUSR | Mode::WUSR)
    }

    /// Returns a segment's size in bytes; 0 if it is gone.
    pub(crate) fn segment_bytes(&self, sequence: u64) -> Result<u64, Errno> {
        match rustix::fs::statat(&self.fd, name(sequence), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(stat.st_size as u64),
            Err(Errno::NOENT) => Ok(0),
            Err(errno) => Err(errno),
        }
    }

    /// Deletes a segment.
    pub(crate) fn remove_segment(&self, sequence: u64) -> Result<(), Errno> {
        match rustix::fs::unlinkat(&self.fd, name(sequence), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Returns the error of something done to a segment.
    pub(crate) fn segment_error(&self, sequence: u64, source: impl Into<io::Error>) -> LogError {
        LogError::Segment { path: self.path.join(name(sequence)), source: source.into() }
    }

    fn error(&self, source: Errno) -> LogError {
        LogError::Directory { path: self.path.clone(), source: source.into() }
    }
}

fn name(sequence: u64) -> String {
    format!("{sequence:0SEQUENCE_DIGITS$}.log")
}

fn parse_name(name: &CStr) -> Option<u64> {
    let digits = name.to_bytes().strip_suffix(SUFFIX)?;
    if digits.len() != SEQUENCE_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_are_segments() {
        assert_eq!(parse_name(c"00000000000000000007.log"), Some(7));
        assert_eq!(parse_name(c"18446744073709551615.log"), Some(u64::MAX));
        for other in [c"7.log", c"00000000000000000007.log~", c"+0000000000000000007.log"] {
            assert_eq!(parse_name(other), None);
        }
        assert_eq!(parse_name(c"99999999999999999999.log"), None);
        assert_eq!(name(7), "00000000000000000007.log");
    }
}
