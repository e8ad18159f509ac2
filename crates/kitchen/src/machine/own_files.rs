//! The files that a machine has of Skep: its names, and where the way out is.
//!
//! They are written into the machine like any other, so that recipes may change them; as long as they are as they were
//! written, they are nobody's change.

use std::path::Path;

use disk::DiskError;

use super::{NEIGHBOUR, OUTSIDE_PORT, Setup};

impl Setup {
    /// Returns the files that a machine has of Skep: paths without the first slash, and content.
    pub fn own_files(&self) -> Vec<(&'static str, String)> {
        let name = &self.hostname;
        let hosts = format!(
            "127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost ip6-loopback\n"
        );
        let mut files = vec![("etc/hosts", hosts), ("etc/hostname", format!("{name}\n"))];
        if self.outside {
            let proxy = format!("Acquire::http::Proxy \"http://{NEIGHBOUR}:{OUTSIDE_PORT}\";\n");
            files.push(("etc/apt/apt.conf.d/99skep-kitchen", proxy));
        }
        files
    }
}

/// Writes them, in the machine, each only where its directory is: a tree without apt is told nothing of it.
pub(super) fn write(setup: &Setup) -> Result<(), DiskError> {
    let root = Path::new("/");
    for (path, text) in setup.own_files() {
        if root.join(path).parent().is_some_and(Path::is_dir) {
            disk::write_atomically(&root.join(path), text.as_bytes(), 0o644)?;
        }
    }
    Ok(())
}
