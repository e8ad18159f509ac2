//! Facts of the machine that decide whether state may be trusted or written.

use std::path::Path;

use crate::error::{DiskError, PathContext};

/// Returns the id of this boot; state that says another one is void.
pub fn boot_id() -> Result<String, DiskError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = std::fs::read_to_string(path).context("read", path)?;
    Ok(text.trim().to_owned())
}

/// Returns the bytes that an ordinary user may still write to the filesystem of `path`.
pub fn free_bytes(path: &Path) -> Result<u64, DiskError> {
    let found = rustix::fs::statvfs(path).context("read the free space of", path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Filesystems on which locks and write ordering are not what SQLite and `flock` need
/// (`linux/magic.h`): NFS, SMB1, SMB2, CIFS, Ceph, 9p, AFS, GFS2, OCFS2, FUSE is left out because
/// local ones are common.
const NETWORK_FILESYSTEMS: [i64; 9] = [
    0x6969,
    0x517B,
    0xFE53_4D42,
    0xFF53_4D42,
    0x00C3_6400,
    0x0102_1997,
    0x5346_414F,
    0x0116_1970,
    0x7461_636F,
];

/// Returns whether `path` lies on a network filesystem.
pub fn is_network_filesystem(path: &Path) -> Result<bool, DiskError> {
    let found = rustix::fs::statfs(path).context("read the filesystem type of", path)?;
    #[allow(clippy::useless_conversion)] // `f_type` differs in width between architectures
    Ok(NETWORK_FILESYSTEMS.contains(&i64::try_from(found.f_type).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_be_read() {
        assert_eq!(boot_id().unwrap().len(), 36);
        assert!(free_bytes(Path::new("/")).unwrap() > 0);
        assert!(!is_network_filesystem(Path::new("/proc")).unwrap());
    }
}
