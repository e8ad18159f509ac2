//! The machine's files: an overlay of its lower tree, and what every Linux machine has mounted.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use disk::{DiskError, PathContext};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
    mount_remount, unmount,
};
use rustix::process::pivot_root;

use super::{Lower, Setup};

/// Where a machine finds what the host shares with it.
pub const SHARED: &str = "run/skep";

/// Devices that programs expect: name, major, minor.
const DEVICES: &[(&str, u32, u32)] = &[
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// Mounts everything in the calling process's own mount namespace and makes it the root. Returns
/// the directory that will hold all changes.
pub(super) fn enter_root(directory: &Path, setup: &Setup) -> Result<OwnedFd, DiskError> {
    let host = Path::new("/");
    // Nothing that is mounted here is seen outside, and the other way round.
    mount_change(host, MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .context("make private", host)?;
    let (upper, work) = layers(directory, &setup.lower)?;
    let root = directory.join("root");
    disk::create_directories(&root, 0o755)?;
    let lower = setup.lower.root();
    // A changed upper is undone by throwing it away, so nothing of it need reach the disk.
    // Whether directories are renamed by a mark is told here and not by how the kernel was built: whoever
    // lists the changes reads no such marks.
    for path in [lower, upper.as_path(), work.as_path()] {
        let refused = |byte: &u8| matches!(byte, b',' | b':' | b'\\');
        if path.as_os_str().as_encoded_bytes().iter().any(refused) {
            let why = "a path with `,`, `:` or a backslash cannot be given to an overlay";
            return Err(DiskError::new("mount an overlay of", path, io::Error::other(why)));
        }
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={},volatile,redirect_dir=off,metacopy=off",
        lower.display(),
        upper.display(),
        work.display()
    );
    let options = std::ffi::CString::new(options)
        .map_err(|error| DiskError::new("mount an overlay of", lower, io::Error::from(error)))?;
    mount("overlay", &root, "overlay", MountFlags::NODEV, Some(options.as_c_str()))
        .context("mount an overlay at", &root)?;
    let changes =
        rustix::fs::open(&upper, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .context("open", &upper)?;
    kernel_trees(&root)?;
    devices(&root)?;
    memory(&root.join("run"), "mode=755")?;
    memory(&root.join("tmp"), "mode=1777")?;
    if let Lower::Host { hidden } = &setup.lower {
        for path in hidden {
            let inside = root.join(path.strip_prefix("/").unwrap_or(path));
            match fs::symlink_metadata(&inside).map(|found| found.file_type()) {
                Ok(kind) if kind.is_dir() => memory(&inside, "mode=755")?,
                Ok(kind) if kind.is_file() => read_only(&root.join("dev/null"), &inside)?,
                _ => {}
            }
        }
    }
    share(&root, &setup.shared)?;
    rustix::process::chdir(&root).context("enter", &root)?;
    // As pivot_root(2) describes: the old root goes on top of the new one and away.
    pivot_root(".", ".").context("make the root", &root)?;
    unmount(".", UnmountFlags::DETACH).context("leave", host)?;
    rustix::process::chdir("/").context("enter", host)?;
    Ok(changes)
}

/// Returns the upper and the work directory. An overlay may not lie in its own lower tree, so a
/// machine over the host keeps its changes in memory.
fn layers(directory: &Path, lower: &Lower) -> Result<(PathBuf, PathBuf), DiskError> {
    let above = match lower {
        Lower::Tree(_) => directory.to_owned(),
        Lower::Host { .. } => {
            let memory_directory = directory.join("memory");
            disk::create_directories(&memory_directory, 0o700)?;
            memory(&memory_directory, "mode=700")?;
            memory_directory
        }
    };
    let layers = (above.join("upper"), above.join("work"));
    for layer in [&layers.0, &layers.1] {
        disk::create_directories(layer, 0o755)?;
    }
    Ok(layers)
}

fn memory(path: &Path, options: &str) -> Result<(), DiskError> {
    make_directory(path)?;
    let options = std::ffi::CString::new(options)
        .map_err(|error| DiskError::new("mount", path, io::Error::from(error)))?;
    let flags = MountFlags::NODEV | MountFlags::NOSUID;
    mount("tmpfs", path, "tmpfs", flags, Some(options.as_c_str())).context("mount a tmpfs at", path)
}

/// Makes a mount point that the tree may lack.
fn make_directory(path: &Path) -> Result<(), DiskError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(DiskError::new("create", path, error))
        }
        _ => Ok(()),
    }
}

/// /proc and /sys. Only what belongs to the machine's own namespaces is writable.
fn kernel_trees(root: &Path) -> Result<(), DiskError> {
    let safe = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let proc = root.join("proc");
    make_directory(&proc)?;
    mount("proc", &proc, "proc", safe, None).context("mount /proc at", &proc)?;
    // The host's own settings: neither a recipe nor its mistakes reach them.
    for name in ["sysrq-trigger", "sys"] {
        let path = proc.join(name);
        if path.exists() {
            read_only(&path, &path)?;
        }
    }
    let sys = root.join("sys");
    make_directory(&sys)?;
    mount("sysfs", &sys, "sysfs", safe | MountFlags::RDONLY, None)
        .context("mount /sys at", &sys)?;
    let cgroup = sys.join("fs/cgroup");
    // Seen from the machine's own cgroup namespace; where the host has none, it goes without.
    if cgroup.is_dir() {
        let _ = mount("cgroup2", &cgroup, "cgroup2", safe, None);
    }
    Ok(())
}

fn devices(root: &Path) -> Result<(), DiskError> {
    let dev = root.join("dev");
    make_directory(&dev)?;
    mount("tmpfs", &dev, "tmpfs", MountFlags::NOSUID, Some(c"mode=755"))
        .context("mount a tmpfs at", &dev)?;
    for (name, major, minor) in DEVICES {
        let path = dev.join(name);
        let mode = Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(
            CWD,
            &path,
            FileType::CharacterDevice,
            mode,
            rustix::fs::makedev(*major, *minor),
        )
        .context("create", &path)?;
        // The mask took from it.
        rustix::fs::chmod(&path, mode).context("change the mode of", &path)?;
    }
    let terminals = dev.join("pts");
    make_directory(&terminals)?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount("devpts", &terminals, "devpts", flags, Some(c"newinstance,ptmxmode=0666,mode=620"))
        .context("mount terminals at", &terminals)?;
    memory(&dev.join("shm"), "mode=1777")?;
    for (name, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        let link = dev.join(name);
        std::os::unix::fs::symlink(target, &link).context("create", &link)?;
    }
    Ok(())
}

/// Mounts what the host shares, read-only.
fn share(root: &Path, shared: &[(String, PathBuf)]) -> Result<(), DiskError> {
    let directory = root.join(SHARED);
    disk::create_directories(&directory, 0o755)?;
    for (name, source) in shared {
        let target = directory.join(name);
        if let Some(above) = target.parent() {
            disk::create_directories(above, 0o755)?;
        }
        match source.is_dir() {
            true => make_directory(&target)?,
            false => drop(fs::File::create(&target).context("create", &target)?),
        }
        read_only(source, &target)?;
    }
    Ok(())
}

fn read_only(source: &Path, target: &Path) -> Result<(), DiskError> {
    mount_bind_recursive(source, target).context("mount", source)?;
    mount_remount(target, MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID, "")
        .context("make read-only", target)
}
