//! What the kernel offers and whom it takes us for.

use cgroup::Mount;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::process::{PidfdFlags, pidfd_open};

use super::Check;

pub(super) fn user() -> Check {
    let user = rustix::process::geteuid();
    if user.is_root() {
        return Check::ok("user", "root: each app gets a user of its own");
    }
    Check::warning(
        "user",
        format!("uid {}: not enforced are a user for each app and ports below 1024", user.as_raw()),
    )
    .hint("run as root to separate apps from each other and from you")
}

pub(super) fn kernel() -> Check {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let features: [(&str, bool); 2] = [
        ("pidfd_open (5.3)", pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).is_ok()),
        ("openat2 (5.6)", has_openat2()),
    ];
    let missing: Vec<&str> =
        features.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        Check::ok("kernel", format!("Linux {release}"))
    } else {
        Check::problem("kernel", format!("Linux {release} lacks {}", missing.join(", ")))
            .hint("Linux 5.6 or newer; a container's seccomp filter may also hide them")
    }
}

fn has_openat2() -> bool {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat2(rustix::fs::CWD, "/", flags, Mode::empty(), ResolveFlags::empty()).is_ok()
}

pub(super) fn cgroups() -> Check {
    match Mount::find().and_then(|mount| mount.own().map(|own| (mount, own))) {
        Ok((mount, own)) => {
            // As root the installation's cgroup is at the hierarchy's root, else below our own.
            let parent =
                if rustix::process::geteuid().is_root() { mount.path.clone() } else { own };
            match rustix::fs::access(&parent, rustix::fs::Access::WRITE_OK) {
                Ok(()) => Check::ok("cgroups", format!("version 2 at {}", mount.path.display())),
                Err(_) => fallback(&format!("{} may not be written", parent.display()))
                    .hint("systemd-run --user --scope -p Delegate=yes skep …, or a user unit"),
            }
        }
        Err(error) => fallback(&error.to_string()),
    }
}

fn fallback(why: &str) -> Check {
    let text = format!("{why}; processes are held together by their sessions instead");
    Check::warning("cgroups", text)
}
