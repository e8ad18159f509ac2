//! dpkg's status file: which packages are installed, in which version.
//!
//! Stanzas of `Name: value` lines, separated by empty lines; a line that begins with a space
//! belongs to the one before. A package is installed if the last word of `Status` is `installed`:
//! half-configured and removed ones are not. Of a package of several architectures any counts, as
//! for `apt-get install NAME`.

use std::collections::{HashMap, HashSet};

/// The installed packages.
#[derive(Debug, Default)]
pub(crate) struct Packages {
    versions: HashMap<String, String>,
    /// Removed with their configuration left behind.
    configured: HashSet<String>,
}

impl Packages {
    /// Parses the status file.
    pub(crate) fn parse(status: &[u8]) -> Self {
        let mut packages = Self::default();
        let mut stanza = Stanza::default();
        for line in status.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                packages.take(&stanza);
                stanza = Stanza::default();
            } else if let Some(value) = line.strip_prefix(b"Package: ") {
                stanza.name = value;
            } else if let Some(value) = line.strip_prefix(b"Status: ") {
                stanza.status = value;
            } else if let Some(value) = line.strip_prefix(b"Version: ") {
                stanza.version = value;
            }
        }
        packages.take(&stanza);
        packages
    }

    fn take(&mut self, stanza: &Stanza<'_>) {
        let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
        let name = text(stanza.name);
        if name.is_empty() {
            return;
        }
        match text(stanza.status).rsplit(' ').next() {
            Some("installed") => {
                self.versions.entry(name).or_insert_with(|| text(stanza.version));
            }
            Some("config-files") => {
                self.configured.insert(name);
            }
            _ => {}
        }
    }

    /// Returns the version of an installed package.
    pub(crate) fn version(&self, name: &str) -> Option<&str> {
        // `nginx:amd64` asks for an architecture; the status file names them apart.
        let bare = name.split(':').next().unwrap_or(name);
        self.versions.get(bare).map(String::as_str)
    }

    /// Returns whether anything of a package is there, its configuration included.
    pub(crate) fn has_anything(&self, name: &str) -> bool {
        self.version(name).is_some() || self.configured.contains(name)
    }
}

#[derive(Default)]
struct Stanza<'a> {
    name: &'a [u8],
    status: &'a [u8],
    version: &'a [u8],
}

/// Parses any bytes.
#[doc(hidden)]
pub fn fuzz_packages(bytes: &[u8]) {
    let packages = Packages::parse(bytes);
    for name in packages.versions.keys() {
        assert!(!name.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATUS: &str = "Package: nginx\nStatus: install ok installed\nVersion: 1.22.1-9\n\
        Description: a server\n Package: trick\n\nPackage: apache2\nStatus: deinstall ok config-files\n\
        Version: 2\n\nPackage: half\nStatus: install ok half-configured\nVersion: 1\n\n\
        Package: tzdata\nVersion: 2024a-0+deb12u1\nStatus: hold ok installed";

    #[test]
    fn only_what_is_installed_counts() {
        let packages = Packages::parse(STATUS.as_bytes());
        assert_eq!(packages.version("nginx"), Some("1.22.1-9"));
        assert_eq!(packages.version("nginx:amd64"), Some("1.22.1-9"));
        assert_eq!(packages.version("tzdata"), Some("2024a-0+deb12u1"));
        for absent in ["apache2", "half", "trick", "x"] {
            assert_eq!(packages.version(absent), None, "{absent}");
        }
        assert!(packages.has_anything("apache2") && !packages.has_anything("half"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            fuzz_packages(&bytes);
        }
    }
}
