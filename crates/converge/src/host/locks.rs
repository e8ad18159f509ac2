//! Who holds a lock, from `/proc/locks`: for messages only.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Returns `apt-get (process 812)` if somebody holds a record lock on a file.
pub(crate) fn lock_holder(path: &Path) -> Option<String> {
    let inode = fs::metadata(path).ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let pid = locks.lines().find_map(|line| holder(line, inode))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("{} (process {pid})", name.trim()))
}

/// Reads `1: POSIX  ADVISORY  WRITE 812 fd:00:2098 0 EOF`. A line with `->` only waits. The device
/// is not compared: that of a file on an overlay is another one there.
fn holder(line: &str, inode: u64) -> Option<u32> {
    let mut fields = line.split_whitespace().skip(1);
    let (_, _, mode, pid, file) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let found: u64 = file.rsplit(':').next()?.parse().ok()?;
    (mode == "WRITE" && found == inode).then(|| pid.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_holder_of_this_file_is_found() {
        let line = "1: POSIX  ADVISORY  WRITE 812 fd:00:2098 0 EOF";
        assert_eq!(holder(line, 2098), Some(812));
        assert_eq!(holder(line, 2099), None);
        assert_eq!(holder("1: -> POSIX  ADVISORY  WRITE 812 fd:00:2098 0 EOF", 2098), None);
        assert_eq!(holder("nonsense", 1), None);
    }
}
