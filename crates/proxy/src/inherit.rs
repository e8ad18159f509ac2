//! The descriptors that the shim passes: `LISTEN_FDS` and its companions (sd_listen_fds(3)).
#![allow(unsafe_code)]
//!
//! The one place of this crate with `unsafe`: a descriptor number becomes an owned descriptor.
//! That is sound because the numbers are taken only if `LISTEN_PID` says that they were passed to
//! this very process, because [`take`] gives them out at most once, and because it is called
//! before anything else could have opened or closed descriptors of these numbers.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// First passed descriptor.
const FIRST: RawFd = 3;

/// Most descriptors that are taken; a proxy has one control socket and a listener an address.
const MAX_DESCRIPTORS: RawFd = 256;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Descriptors that are missing or not ours.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// Not started by a shim.
    #[error("`LISTEN_PID` does not name this process: the proxy is started by its shim")]
    NotOurs,
    /// No number, or an absurd one.
    #[error("`LISTEN_FDS` is not a number from 1 to {MAX_DESCRIPTORS}")]
    Count,
    /// Names and descriptors differ in number.
    #[error("`LISTEN_FDNAMES` has {names} names for {count} descriptors")]
    Names {
        /// Names.
        names: usize,
        /// Descriptors.
        count: usize,
    },
    /// A number that is no open descriptor.
    #[error("descriptor {fd} was announced and is not open")]
    Closed {
        /// Its number.
        fd: RawFd,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// One could not be kept from being inherited further.
    #[error("failed to set the flags of a passed descriptor")]
    Flags(#[source] io::Error),
    /// They were taken before.
    #[error("the passed descriptors were taken already")]
    Twice,
}

/// Takes the passed descriptors with their names; they are not inherited further.
pub(crate) fn take() -> Result<Vec<(String, OwnedFd)>, InheritError> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    if variable("LISTEN_PID") != std::process::id().to_string() {
        return Err(InheritError::NotOurs);
    }
    let count = variable("LISTEN_FDS")
        .parse::<RawFd>()
        .ok()
        .filter(|count| (1..=MAX_DESCRIPTORS).contains(count))
        .ok_or(InheritError::Count)?;
    let names = variable("LISTEN_FDNAMES");
    let names = control::shim::decode_listener_names(&names);
    if names.len() != count as usize {
        return Err(InheritError::Names { names: names.len(), count: count as usize });
    }
    if TAKEN.swap(true, SeqCst) {
        return Err(InheritError::Twice);
    }
    let mut descriptors = Vec::new();
    for (name, fd) in names.into_iter().zip(FIRST..) {
        let open = std::fs::symlink_metadata(format!("/proc/self/fd/{fd}"));
        open.map_err(|source| InheritError::Closed { fd, source })?;
        // SAFETY: `fd` is open, as was just seen; `LISTEN_PID` says that it was passed to this
        // process to be used, and `TAKEN` that nobody got it before.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let flags = rustix::io::FdFlags::CLOEXEC;
        rustix::io::fcntl_setfd(&fd, flags).map_err(|errno| InheritError::Flags(errno.into()))?;
        descriptors.push((name, fd));
    }
    Ok(descriptors)
}
