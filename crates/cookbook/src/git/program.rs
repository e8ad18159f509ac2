//! Running git: to its end or a deadline, with bounded output.

use std::io::{self, Read};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// How long one call of git may take: a first clone over a slow line fits.
pub(super) const TIMEOUT: Duration = Duration::from_secs(300);

/// Most output of git that is read: a list of tags, a manifest, or a cookbook as an archive.
const MAX_OUTPUT_BYTES: u64 = 256 << 20;

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Well,
    Badly,
    Late,
}

/// Runs a program to its end or its deadline; its whole group ends with it.
pub(super) fn run(command: &mut Command) -> io::Result<(Ended, Vec<u8>, Vec<u8>)> {
    let mut child = command.spawn()?;
    let reader = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(pipe) = pipe {
                let _ = pipe.take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes);
            }
            bytes
        })
    };
    let stdout = reader(child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    let stderr = reader(child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    let pid = Pid::from_child(&child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let deadline = Instant::now() + TIMEOUT;
    let late = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left =
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left)) {
            Ok(0) => break true,
            Ok(_) => break false,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    };
    if late {
        // Not reaped yet, so the group is still this one.
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let status = child.wait()?;
    let ended = match (late, status.success()) {
        (true, _) => Ended::Late,
        (false, true) => Ended::Well,
        (false, false) => Ended::Badly,
    };
    let bytes = |thread: std::thread::JoinHandle<Vec<u8>>| thread.join().unwrap_or_default();
    Ok((ended, bytes(stdout), bytes(stderr)))
}
