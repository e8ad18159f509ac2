//! Refuses to build what would fill the disk.

use std::path::Path;

use crate::error::BuildError;

/// What an environment takes when none was ever built: a web framework with a database driver.
const UNKNOWN_ENVIRONMENT_BYTES: u64 = 100_000_000;
/// What `npm ci` installs when it never ran here.
const UNKNOWN_NODE_BYTES: u64 = 200_000_000;
/// Free space that must be there per byte of the artifact: one copy in the stage, one to keep.
const FACTOR: u64 = 2;

/// What is known of the size of what would be built.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Estimate {
    pub(crate) source_bytes: u64,
    /// Code of the last artifact.
    pub(crate) last_code_bytes: Option<u64>,
    /// The last environment.
    pub(crate) last_environment_bytes: Option<u64>,
    pub(crate) builds_environment: bool,
    pub(crate) node: bool,
}

impl Estimate {
    fn needed_bytes(self) -> u64 {
        let node = if self.node { UNKNOWN_NODE_BYTES } else { 0 };
        let code = self.last_code_bytes.unwrap_or(node).max(self.source_bytes);
        let environment = if self.builds_environment {
            self.last_environment_bytes.unwrap_or(UNKNOWN_ENVIRONMENT_BYTES)
        } else {
            0
        };
        FACTOR.saturating_mul(code.saturating_add(environment))
    }

    /// Fails when less is free than needed.
    pub(crate) fn check(self, path: &Path, free_bytes: u64) -> Result<(), BuildError> {
        let needed_bytes = self.needed_bytes();
        if free_bytes < needed_bytes {
            return Err(BuildError::Space { path: path.to_owned(), free_bytes, needed_bytes });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_last_artifact_or_the_source_must_be_free() {
        let estimate = Estimate {
            source_bytes: 10,
            last_code_bytes: Some(30),
            last_environment_bytes: Some(500),
            ..Estimate::default()
        };
        assert!(estimate.check(Path::new("/x"), 60).is_ok());
        let error = estimate.check(Path::new("/x"), 59).unwrap_err();
        assert_eq!(
            error.to_string(),
            "not enough space below `/x`: 59 bytes free, 60 bytes needed"
        );
        let with_environment = Estimate { builds_environment: true, ..estimate };
        assert!(with_environment.check(Path::new("/x"), 1060).is_ok());
        assert!(with_environment.check(Path::new("/x"), 1059).is_err());
    }
}
