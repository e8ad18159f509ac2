//! Whose rights a program has, and the environment that goes with them.
//!
//! As root, a program may run as any user with that user's groups; as an ordinary user only as
//! itself. The change happens in the child, after `fork` and before `exec`, so that this process
//! never holds other rights than its own.
//!
//! # Safety
//!
//! `pre_exec` code runs in a copy of a process that may have had other threads: it may only make
//! system calls. The closure below calls `umask`, `setgroups`, `setresgid` and `setresuid` through
//! rustix, which makes each a bare system call on the child's only thread, without allocation, locks
//! or libc's signalling of other threads; what it needs was made before the fork.
#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::fs::Mode;
use rustix::process::{Gid, Uid};

use crate::host::{Host, User};
use crate::problem::Problem;

/// Whom a program runs as.
#[derive(Debug)]
pub(super) struct Credentials {
    user: User,
    /// Groups to take on; `None`: this process's own rights are the right ones.
    groups: Option<Vec<Gid>>,
}

impl Credentials {
    /// Returns the rights of a named user, else of this process.
    pub(super) fn of(host: &Host, name: Option<&str>) -> Result<Self, Problem> {
        let own = rustix::process::geteuid().as_raw();
        let accounts = host.accounts()?;
        let Some(name) = name else {
            let known = accounts.user(&accounts.user_name(own)).cloned();
            let user = known.unwrap_or_else(|| User {
                name: own.to_string(),
                uid: own,
                gid: rustix::process::getegid().as_raw(),
                comment: String::new(),
                home: "/".to_owned(),
                shell: String::new(),
            });
            return Ok(Self { user, groups: None });
        };
        let Some(user) = accounts.user(name).cloned() else {
            return Err(Problem::Nobody { what: "user", name: name.to_owned() });
        };
        if user.uid == own {
            return Ok(Self { user, groups: None });
        }
        if own != 0 {
            return Err(Problem::Refused(format!("only root may run commands as `{name}`")));
        }
        let further = accounts.groups_of(name).into_iter().map(|group| group.gid);
        let mut groups: Vec<u32> = further.chain([user.gid]).collect();
        groups.sort_unstable();
        groups.dedup();
        let groups = groups.into_iter().map(Gid::from_raw).collect();
        Ok(Self { user, groups: Some(groups) })
    }

    /// Returns the constructed environment.
    pub(super) fn variables(&self, search_path: &str) -> [(&'static str, String); 7] {
        let or = |value: &str, otherwise: &str| {
            if value.is_empty() { otherwise.to_owned() } else { value.to_owned() }
        };
        [
            ("PATH", search_path.to_owned()),
            ("HOME", or(&self.user.home, "/")),
            ("USER", self.user.name.clone()),
            ("LOGNAME", self.user.name.clone()),
            ("SHELL", or(&self.user.shell, "/bin/sh")),
            // Without it Python and many tools fall back to ASCII.
            ("LANG", "C.UTF-8".to_owned()),
            ("TMPDIR", "/tmp".to_owned()),
        ]
    }

    /// Makes a command take these rights and this umask on.
    pub(super) fn apply(&self, command: &mut Command, umask: u32) {
        let umask = Mode::from_bits_truncate(umask);
        let (uid, gid) = (Uid::from_raw(self.user.uid), Gid::from_raw(self.user.gid));
        let groups = self.groups.clone();
        let take_on = move || -> io::Result<()> {
            rustix::process::umask(umask);
            if let Some(groups) = &groups {
                // The user last: without root's rights neither of the others could be changed.
                rustix::thread::set_thread_groups(groups)?;
                rustix::thread::set_thread_res_gid(gid, gid, gid)?;
                rustix::thread::set_thread_res_uid(uid, uid, uid)?;
            }
            Ok(())
        };
        // SAFETY: only system calls; see the module's documentation.
        unsafe { command.pre_exec(take_on) };
    }
}
