//! Process 1 of a machine: makes it, says that it runs, and then only waits for others.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use disk::{DiskError, PathContext};
use rustix::io::IoSlice;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Signal, WaitOptions, set_parent_process_death_signal, wait};

use super::network::{self, Doors};
use super::{Setup, own_files, root};

/// What the keeper is told when the machine stands; the descriptors come with its first byte.
pub(super) const STANDS: &[u8] = b"stands";

/// Becomes the machine: mounts, network, name. Ends only with the machine.
pub(super) fn run(directory: &Path, setup: &Setup, keeper: &UnixStream, leaf: Option<&Path>) -> ! {
    // The keeper's standard output says whether the machine runs, and ends when it has.
    let quiet = std::fs::OpenOptions::new().write(true).open("/dev/null");
    let quiet = quiet.and_then(|null| Ok(rustix::stdio::dup2_stdout(&null)?));
    let quiet = quiet.context("write to", Path::new("/dev/null"));
    let made = quiet.and_then(|()| make(directory, setup, leaf)).and_then(|(changes, doors)| {
        let mut handed: Vec<BorrowedFd<'_>> = vec![changes.as_fd()];
        handed.extend(doors.all().map(AsFd::as_fd));
        hand_over(keeper, &handed).context("report to the keeper of", directory)
    });
    if let Err(error) = made {
        let text = report::chain(&error).join(": ");
        let _ = io::Write::write_all(&mut &*keeper, text.as_bytes());
        end(1);
    }
    wait_for_others();
}

fn make(
    directory: &Path,
    setup: &Setup,
    leaf: Option<&Path>,
) -> Result<(OwnedFd, Doors), DiskError> {
    let name = Path::new(&setup.hostname);
    // Without its keeper nobody could end it.
    set_parent_process_death_signal(Some(Signal::KILL))
        .context("follow the keeper of", directory)?;
    if let Some(leaf) = leaf {
        enter_leaf(leaf)?;
    }
    rustix::system::sethostname(setup.hostname.as_bytes()).context("set the name", name)?;
    let doors = network::bring_up(setup).context("bring up the network of", directory)?;
    let changes = root::enter_root(directory, setup)?;
    own_files::write(setup)?;
    Ok((changes, doors))
}

/// Moves into a cgroup of the machine's own and makes it the top of what the machine sees.
fn enter_leaf(leaf: &Path) -> Result<(), DiskError> {
    let processes = leaf.join("cgroup.procs");
    std::fs::write(&processes, "0").context("join", &processes)?;
    #[expect(unsafe_code, reason = "a namespace of this process's own")]
    // SAFETY: descriptors are not unshared, and this process has one thread.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWCGROUP) }
        .context("make a cgroup namespace at", leaf)
}

fn hand_over(keeper: &UnixStream, fds: &[BorrowedFd<'_>]) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_HANDED))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(fds));
    sendmsg(keeper, &[IoSlice::new(STANDS)], &mut ancillary, SendFlags::NOSIGNAL).map(drop)
}

/// The directory of changes and the doors.
pub(super) const MAX_HANDED: usize = 3;

/// Reaps whatever is left to process 1. Signals from inside do nothing to it (pid_namespaces(7));
/// the one from outside that ends it cannot be handled.
fn wait_for_others() -> ! {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => child_appears(),
        }
    }
}

/// Blocks until some child has ended.
fn child_appears() {
    #[expect(unsafe_code, reason = "no safe wrapper for sigwait")]
    // SAFETY: the set lives for both calls and is initialised by the first; SIGCHLD is blocked, so
    // that one which came since the last look is still pending.
    unsafe {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        let mut number = 0;
        libc::sigwait(set.as_ptr(), &raw mut number);
    }
}

/// Keeps SIGCHLD pending until it is waited for. Before the process is cloned: what it blocks is
/// blocked in the child from its first instruction on.
pub(super) fn block_child_signal() {
    #[expect(unsafe_code, reason = "no safe wrapper for sigprocmask")]
    // SAFETY: the set lives for all calls and is initialised by the first; there is one thread.
    unsafe {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// Ends without what a process with a parent's memory must not do twice.
pub(super) fn end(status: i32) -> ! {
    #[expect(unsafe_code, reason = "no safe wrapper for _exit")]
    // SAFETY: ends the process; nothing of it is used afterwards.
    unsafe {
        libc::_exit(status)
    }
}
