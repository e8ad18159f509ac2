//! The key that seals values at rest.
//!
//! An age X25519 identity in a file of its own, 0600, outside the store: a copy of the store
//! alone tells nothing. The file is what `age-keygen` writes, so that `age --decrypt -i key`
//! works on what the store holds. It is made once and never replaced; without it the sealed
//! values are lost: those in the store, and those in the archives of removed apps, which hold them
//! as the store did.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use age::x25519::Identity;
use age::{DecryptError, EncryptError};
use disk::DiskError;
use report::{Failure, Kind};

/// Largest key file: one line of 74 bytes and a few comments.
const FILE_LIMIT_BYTES: u64 = 4096;

/// The installation's key.
#[derive(Clone)]
pub struct Key {
    identity: Identity,
    path: PathBuf,
}

/// Why the key cannot be used, or something sealed cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file contains no age identity.
    #[error("`{}` contains no key: a line `AGE-SECRET-KEY-1…` is missing", .0.display())]
    Malformed(PathBuf),
    /// Others than its owner may read the file.
    #[error("`{}` has mode {mode:04o}: others than its owner may use the key", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Something was sealed with another key.
    #[error("{what} was sealed with another key than the one in `{}`", path.display())]
    OtherKey {
        /// What was to be opened.
        what: String,
        /// The key file.
        path: PathBuf,
    },
    /// Something sealed is damaged.
    #[error("failed to unseal {what}")]
    Unseal {
        /// What was to be opened.
        what: String,
        /// What age says.
        #[source]
        source: Box<DecryptError>,
    },
    /// Something sealed opens, but is not what it should be.
    #[error("{what} is not what is sealed there")]
    Misplaced {
        /// What was to be opened.
        what: String,
    },
    /// Something could not be sealed.
    #[error("failed to seal {what}")]
    Seal {
        /// What was to be sealed.
        what: String,
        /// What age says.
        #[source]
        source: Box<EncryptError>,
    },
}

impl From<&KeyError> for Failure {
    fn from(error: &KeyError) -> Self {
        let failure = Self::from_error(Kind::Failed, error);
        match error {
            KeyError::Exposed { path, .. } => failure.hint(format!("chmod 600 {}", path.display())),
            KeyError::OtherKey { path, .. } | KeyError::Malformed(path) => failure
                .hint(format!("put the key that belongs to this store back to {}", path.display())),
            _ => failure,
        }
    }
}

impl Key {
    /// Reads the key, or makes it where there is none. The caller holds the installation's lock:
    /// two makers at once would each believe in their own key.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyError> {
        match Self::open(path) {
            Err(KeyError::Disk(error)) if error.is_not_found() => {}
            other => return other,
        }
        let identity = Identity::generate();
        let text = format!(
            "# Opens the variables in this installation's store. Keep a copy of it apart.\n\
             # public key: {}\n{}\n",
            identity.to_public(),
            identity.to_string().expose_secret()
        );
        disk::write_atomically(path, text.as_bytes(), 0o600)?;
        Ok(Self { identity, path: path.to_owned() })
    }

    /// Reads the key.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let bytes = disk::read_limited(path, FILE_LIMIT_BYTES)?;
        let metadata =
            std::fs::metadata(path).map_err(|source| DiskError::new("look at", path, source))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        let identity = parse(&bytes).ok_or_else(|| KeyError::Malformed(path.to_owned()))?;
        Ok(Self { identity, path: path.to_owned() })
    }

    /// Seals `value` as `what`; the name is sealed with it, so that the store cannot be made to
    /// hand out one thing for another.
    pub fn seal(&self, what: &str, value: &[u8]) -> Result<Vec<u8>, KeyError> {
        let plain = [what.as_bytes(), b"\0", value].concat();
        age::encrypt(&self.identity.to_public(), &plain)
            .map_err(|source| KeyError::Seal { what: what.to_owned(), source: Box::new(source) })
    }

    /// Returns what was sealed as `what`.
    pub fn unseal(&self, what: &str, sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        let what = || what.to_owned();
        let plain = age::decrypt(&self.identity, sealed).map_err(|source| match source {
            DecryptError::NoMatchingKeys => {
                KeyError::OtherKey { what: what(), path: self.path.clone() }
            }
            source => KeyError::Unseal { what: what(), source: Box::new(source) },
        })?;
        plain
            .strip_prefix(what().as_bytes())
            .and_then(|rest| rest.strip_prefix(b"\0"))
            .map(<[u8]>::to_vec)
            .ok_or_else(|| KeyError::Misplaced { what: what() })
    }

    /// Returns what was encrypted for this key outside of Skep, `age --encrypt --armor` for example;
    /// `what` is what errors call it.
    pub fn decrypt_armored(&self, what: &str, armored: &str) -> Result<Vec<u8>, KeyError> {
        age::decrypt(&self.identity, armored.as_bytes()).map_err(|source| match source {
            DecryptError::NoMatchingKeys => {
                KeyError::OtherKey { what: what.to_owned(), path: self.path.clone() }
            }
            source => KeyError::Unseal { what: what.to_owned(), source: Box::new(source) },
        })
    }

    /// Encrypts as `age --encrypt --armor` does for this key's recipient.
    pub fn encrypt_armored(&self, what: &str, value: &[u8]) -> Result<String, KeyError> {
        age::encrypt_and_armor(&self.identity.to_public(), value)
            .map_err(|source| KeyError::Seal { what: what.to_owned(), source: Box::new(source) })
    }
}

/// Reads an age identity file.
fn parse(bytes: &[u8]) -> Option<Identity> {
    let text = std::str::from_utf8(bytes).ok()?;
    let line = text.lines().map(str::trim).find(|line| line.starts_with("AGE-SECRET-KEY-1"))?;
    Identity::from_str(line).ok()
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.identity.to_public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(directory: &Path, name: &str) -> Key {
        Key::open_or_create(&directory.join(name)).unwrap()
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        assert!(matches!(Key::open(&path), Err(KeyError::Disk(error)) if error.is_not_found()));
        let made = Key::open_or_create(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let sealed = made.seal("x", b"value").unwrap();
        let again = Key::open_or_create(&path).unwrap();
        assert_eq!(again.unseal("x", &sealed).unwrap(), b"value");
        assert_eq!(format!("{made:?}"), format!("{again:?}"));
        assert!(!format!("{made:?}").contains("SECRET"));
    }

    #[test]
    fn an_exposed_or_foreign_file_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        Key::open_or_create(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Key::open_or_create(&path).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { mode: 0o644, .. }));
        assert_eq!(Failure::from(&error).hints, [format!("chmod 600 {}", path.display())]);

        std::fs::write(&path, "-----BEGIN RSA PRIVATE KEY-----\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(Key::open_or_create(&path), Err(KeyError::Malformed(_))));
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("-----BEGIN"));
    }

    #[test]
    fn what_is_sealed_opens_only_with_its_key_and_in_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (key(directory.path(), "one"), key(directory.path(), "other"));
        let sealed = one.seal("shop, version 1", b"hunter2").unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));

        let error = other.unseal("shop, version 1", &sealed).unwrap_err();
        assert!(matches!(error, KeyError::OtherKey { .. }), "{error:?}");
        let text = Failure::from(&error).to_string();
        assert!(text.contains("shop, version 1 was sealed with another key"), "{text}");

        let moved = one.unseal("blog, version 1", &sealed).unwrap_err();
        assert!(matches!(moved, KeyError::Misplaced { .. }));

        let mut damaged = sealed.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let error = one.unseal("shop, version 1", &damaged).unwrap_err();
        assert!(matches!(error, KeyError::Unseal { .. }), "{error:?}");
    }
}
