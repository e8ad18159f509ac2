//! The keeper: process 1's parent, and who stands behind the machine's doors.

use std::ffi::OsString;
use std::io::{IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use disk::{DiskError, Lock, PathContext};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, WaitOptions, waitpid};

use super::clear::{CGROUP_FILE, KEEPER_FILE};
use super::create::RUNS;
use super::init::{self, MAX_HANDED, STANDS};
use super::{Processes, Setup, metadata, outside, write_record};

/// Longest reason that process 1 may give.
const MAX_REASON_BYTES: usize = 4096;

/// The whole program of a keeper; `words` are its arguments after [`KEEPER`](super::KEEPER). Must
/// be called before the process has a second thread.
pub fn keep(words: &[OsString]) -> ExitCode {
    let [directory] = words else { return ExitCode::from(64) };
    let directory = Path::new(directory);
    match serve(directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = report::chain(&error).join(": ");
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn serve(directory: &Path) -> Result<(), DiskError> {
    // Its terminal may go away.
    let _ = rustix::process::setsid();
    let lock = directory.join("lock");
    let Some(_lock) = Lock::try_exclusive(&lock)? else {
        return Err(DiskError::new("lock", &lock, std::io::ErrorKind::WouldBlock));
    };
    // Before anything is made: whoever finds this directory without a machine knows whom to end.
    let number = std::process::id().to_string();
    write_record(&directory.join(KEEPER_FILE), number.as_bytes())?;
    let setup = Setup::read(directory)?;
    let leaf = leaf(directory)?;
    let (ours, theirs) = UnixStream::pair().context("make a machine in", directory)?;
    init::block_child_signal();
    let Some(init) = clone_into_namespaces().context("make a machine in", directory)? else {
        drop(ours);
        init::run(directory, &setup, &theirs, leaf.as_deref());
    };
    drop(theirs);
    let outcome = attend(directory, &setup, &ours, init);
    if outcome.is_err() {
        // It must not stand without anybody who knows it: also where nobody listened any more.
        let _ = rustix::process::kill_process(init, rustix::process::Signal::KILL);
    }
    let _ = waitpid(Some(init), WaitOptions::empty());
    if let Some(leaf) = leaf
        && let Ok(Some(leaf)) = cgroup::Leaf::open(&leaf)
    {
        // Empty: everything in it died with process 1.
        let _ = leaf.remove();
    }
    outcome
}

/// Waits until the machine stands, opens its doors, says so, and waits for its end.
fn attend(directory: &Path, setup: &Setup, init: &UnixStream, pid: Pid) -> Result<(), DiskError> {
    let mut handed = received(init).context("make a machine in", directory)?.into_iter();
    let nothing =
        || DiskError::new("make a machine in", directory, std::io::ErrorKind::InvalidData);
    let changes = handed.next().ok_or_else(nothing)?;
    let door = handed.next().ok_or_else(nothing)?;
    metadata::serve(TcpListener::from(door), setup.metadata.clone());
    if let Some(door) = handed.next() {
        outside::serve(TcpListener::from(door));
    }
    let processes = Processes {
        keeper: std::process::id(),
        init: pid.as_raw_nonzero().get().unsigned_abs(),
        changes: changes.as_raw_fd(),
    };
    let record = directory.join("machine.json");
    let text =
        serde_json::to_vec(&processes).map_err(|error| DiskError::new("write", &record, error))?;
    write_record(&record, &text)?;
    say(RUNS).context("report on", directory)?;
    // Ends with the machine, or when somebody ends the machine.
    let _ = waitpid(Some(pid), WaitOptions::empty());
    Ok(())
}

/// Says something to whoever waits for the machine, and leaves.
fn say(text: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout();
    output.write_all(text.as_bytes())?;
    output.flush()?;
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}

/// Makes a cgroup for the machine, where there can be one.
fn leaf(directory: &Path) -> Result<Option<PathBuf>, DiskError> {
    // Always the same one for a directory: what a killed keeper left is taken over.
    let digest = crate::digest::of(directory.as_os_str().as_encoded_bytes());
    let Ok(base) = cgroup::Base::establish(&format!("kitchen-{}", &digest[..16])) else {
        return Ok(None);
    };
    let path = base.path().to_owned();
    let bytes = path.as_os_str().as_encoded_bytes();
    write_record(&directory.join(CGROUP_FILE), bytes)?;
    Ok(Some(path))
}

/// Forks into new namespaces. Returns the child's number, and nothing in the child.
#[expect(unsafe_code, reason = "no safe wrapper forks into namespaces")]
fn clone_into_namespaces() -> std::io::Result<Option<Pid>> {
    let flags = libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWNET
        | libc::SIGCHLD;
    // SAFETY: without CLONE_VM this is fork(2): the child has a copy of everything. The process has
    // one thread, so no lock is held by anybody who is not there in the child.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match pid {
        -1 => Err(std::io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid as i32)),
    }
}

/// Receives what process 1 hands out, or its reason why it cannot.
fn received(init: &UnixStream) -> std::io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_HANDED))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut text = vec![0; MAX_REASON_BYTES];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let length = recvmsg(init, &mut [IoSliceMut::new(&mut text)], &mut ancillary, flags)?.bytes;
    if text[..length] != *STANDS {
        let reason = String::from_utf8_lossy(&text[..length]).into_owned();
        return Err(std::io::Error::other(match reason.is_empty() {
            true => "process 1 ended at once".to_owned(),
            false => reason,
        }));
    }
    let fds = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    Ok(fds.flatten().collect())
}
