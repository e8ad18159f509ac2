//! What a machine is made from: the host's own files, or a root tree that is made once.
//!
//! ```text
//! SKEP_HOME/cache/kitchen/
//!   lock                 held while a tree is made
//!   NAME-DIGEST/         a tree, whole; no machine ever writes to it
//!   .new                 one that is being made
//!   .new.log             what the program that makes it says
//!   archives.json        which archive had which digest when it was last seen
//! ```
//!
//! A tree's name says what it was made from: for Debian the release, the options and the architecture, for an archive
//! the sha256 of its bytes. A tree is renamed into place when it is whole; what was cut short is removed by the next.

mod archive;
mod debian;
mod unpack;

use std::path::{Path, PathBuf};

use disk::{DiskError, Lock};
use home::Home;
use report::{Failure, Kind};

use crate::kitchen_file::Base;
use crate::machine::Lower;

pub use unpack::fuzz_root_archive;

/// What of the host is empty in a machine: homes, keys of the host, credentials.
const HIDDEN: [&str; 9] = [
    "/root",
    "/home",
    "/var/lib/skep",
    "/etc/ssl/private",
    "/etc/ssh/ssh_host_rsa_key",
    "/etc/ssh/ssh_host_ecdsa_key",
    "/etc/ssh/ssh_host_ed25519_key",
    "/var/lib/cloud",
    "/etc/kubernetes",
];

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// A program that makes trees is not there.
    #[error("neither mmdebstrap nor debootstrap is installed; one of them makes trees of Debian")]
    NoProgram,
    /// It failed.
    #[error("`{command}` failed: {status}")]
    Program {
        /// What was run.
        command: String,
        /// How it ended.
        status: String,
        /// What it said last.
        said: String,
    },
    /// An archive is not what a root tree is made from.
    #[error("`{}` is refused{}: {why}", path.display(), .entry.as_ref().map(|entry| format!(" at `{entry}`")).unwrap_or_default())]
    Archive {
        /// Which.
        path: PathBuf,
        /// The entry that is at fault.
        entry: Option<String>,
        /// What is wrong.
        why: String,
    },
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl From<BaseError> for Failure {
    fn from(error: BaseError) -> Self {
        match &error {
            BaseError::NoProgram => Self::from_error(Kind::Unavailable, &error)
                .hint("apt-get install mmdebstrap")
                .hint("or `base = \"tar:PATH\"`, an archive of a root tree"),
            BaseError::Program { said, .. } => {
                Self::from_error(Kind::Failed, &error).detail("said", said.clone())
            }
            BaseError::Archive { .. } => Self::from_error(Kind::Usage, &error),
            BaseError::Disk(_) => Self::from_error(Kind::Failed, &error),
        }
    }
}

/// Returns the files that a machine starts from; makes them where they are not there yet. Paths of archives are
/// relative to `kitchen`; `say` tells what takes long.
pub fn lower(
    home: &Home,
    kitchen: &Path,
    base: &Base,
    say: &dyn Fn(&str),
) -> Result<Lower, BaseError> {
    match base {
        Base::Host => {
            let mut hidden: Vec<PathBuf> = HIDDEN.iter().map(PathBuf::from).collect();
            hidden.extend(home.root().canonicalize());
            Ok(Lower::Host { hidden })
        }
        Base::Debian(release) => {
            let name = debian::name(release);
            tree(home, &name, |new, log, lock| {
                let program = debian::program()?;
                say(&format!("making a tree of Debian {release}; this is done once"));
                debian::make(program, release, new, log, lock)
            })
        }
        Base::Tar(path) => {
            let path = kitchen.join(path);
            let digest = archive::digest(&home.kitchen_trees(), &path)?;
            tree(home, &format!("tar-{}", &digest[..32]), |new, _, _| {
                say(&format!("unpacking `{}`; this is done once", path.display()));
                archive::unpack(&path, new)
            })
        }
    }
}

/// Returns a tree, made by `make` unless it is there.
fn tree(
    home: &Home,
    name: &str,
    make: impl FnOnce(&Path, &Path, &Lock) -> Result<(), BaseError>,
) -> Result<Lower, BaseError> {
    let trees = home.kitchen_trees();
    let tree = trees.join(name);
    if tree.is_dir() {
        return Ok(Lower::Tree(tree));
    }
    disk::create_directories(&trees, 0o700)?;
    // Whoever makes another one is waited for: it is bounded by what makes trees.
    let lock = Lock::exclusive(&trees.join("lock"))?;
    if tree.is_dir() {
        return Ok(Lower::Tree(tree));
    }
    let (new, log) = (trees.join(".new"), trees.join(".new.log"));
    disk::remove_tree(&new)?;
    disk::create_directory(&new, 0o755)?;
    if let Err(error) = make(&new, &log, &lock) {
        // The error is told; what is left is removed by the next one too.
        let _ = disk::remove_tree(&new);
        return Err(error);
    }
    disk::sync_tree(&new)?;
    std::fs::rename(&new, &tree).map_err(|error| DiskError::new("rename to", &tree, error))?;
    disk::sync_directory(&trees)?;
    Ok(Lower::Tree(tree))
}
