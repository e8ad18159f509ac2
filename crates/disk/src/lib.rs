//! Files that survive a crash, with the path in every error.
//!
//! What is written here is whole or absent: [`write_atomically`] syncs the bytes, renames them
//! into place and syncs the directory. Locks are `flock`s that end with their holder.
//! [`socket`] binds and dials unix sockets through their directory's descriptor, so that the
//! 108 bytes of `sun_path` never limit where an installation may lie.
//!
//! Blocking throughout: callers on an event loop move it to a thread where it matters.

mod error;
mod file;
mod lock;
mod machine;
pub mod socket;

pub use error::{DiskError, PathContext};
pub use file::{
    create_directories, create_directory, read_limited, remove_file, remove_tree, replace_symlink,
    sync_directory, sync_tree, write_atomically,
};
pub use lock::Lock;
pub use machine::{boot_id, free_bytes, is_network_filesystem};
