//! A kernel that lacks what came lately: `close_range` (5.9), `clone3` into a cgroup (5.7), `clone3`
//! itself (5.3).
//!
//! A filter of system calls says so to the shim and to all that it starts.

// The filter is installed between fork and exec: there only system calls are made, on memory that
// was ready before.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;

use control::shim::{Containment, ExitStatus, Phase, SlotSpec};
use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{SLOT, Shim, start};

/// A descriptor that the starter left open by accident.
const LEFT_OPEN: i32 = 77;

/// Writes down which descriptors a process has, and that it is filtered as well.
const REPORT: &str = "import os, signal\n\
    names = os.listdir('/proc/self/fd')\n\
    fds = sorted(int(name) for name in names if os.path.exists('/proc/self/fd/' + name))\n\
    filtered = [l for l in open('/proc/self/status') if l.startswith('Seccomp:')][0]\n\
    open('out.part', 'w').write(f'{fds} {filtered}')\n\
    os.rename('out.part', 'out')\n\
    signal.pause()\n";

/// Starts a shim to which `clone3` fails with this and `close_range` is unknown.
fn launch(shim: &mut Shim, clone3_errno: i32) {
    let mut command = shim.command();
    let file = std::fs::File::open("/dev/null").unwrap();
    let mut filter = filter(clone3_errno);
    let before_exec = move || {
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: the filter lives in this closure, and the kernel copies it.
        let done = unsafe {
            libc::dup2(file.as_raw_fd(), LEFT_OPEN) == LEFT_OPEN
                && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
                    == 0
        };
        if done { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: three system calls, and no allocation.
    unsafe { command.pre_exec(before_exec) };
    shim.launch_as(command);
}

/// Returns a filter that lets everything through but these two calls.
fn filter(clone3_errno: i32) -> [libc::sock_filter; 6] {
    let instruction =
        |code: u32, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let give = |k| instruction(libc::BPF_RET | libc::BPF_K, 0, k);
    let unless = |call: i64| {
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, u32::try_from(call).unwrap())
    };
    let error = |errno: i32| give(libc::SECCOMP_RET_ERRNO | errno.cast_unsigned());
    [
        // The first field of `seccomp_data` is the call's number.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        unless(libc::SYS_close_range),
        error(libc::ENOSYS),
        unless(libc::SYS_clone3),
        error(clone3_errno),
        give(libc::SECCOMP_RET_ALLOW),
    ]
}

#[test]
fn processes_are_started_and_have_nothing_that_is_not_theirs() {
    for containment in [Containment::Cgroup, Containment::Session] {
        for clone3_errno in [libc::ENOSYS, libc::E2BIG] {
            let Some(mut shim) = Shim::place_for(containment) else {
                println!("not tried with cgroups");
                continue;
            };
            launch(&mut shim, clone3_errno);
            assert!(!crate::fixture::exists(&format!("/proc/{}/fd/{LEFT_OPEN}", shim.pid())));
            let mut client = shim.client();
            assert_eq!(client.ready.unwrap().1, containment);
            client.accepted(start(SlotSpec { socket: shim.unix(), ..shim.python(REPORT) }));
            // The standard ones and the socket.
            assert_eq!(shim.wait_file("out"), "[0, 1, 2, 3] Seccomp:\t2\n");

            let first = client.wait_slot(SLOT, "runs", |state| state.phase == Phase::Running);
            let pid = Pid::from_raw(first.process.unwrap().pid as i32).unwrap();
            kill_process(pid, Signal::KILL).unwrap();
            let second = client.wait_slot(SLOT, "runs again", |state| {
                state.starts == 2 && state.phase == Phase::Running
            });
            assert_eq!(second.last_exit.unwrap().status, ExitStatus::Signal(9));
        }
    }
}
