//! From the command line to a running shim, and its end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cgroup::{CgroupError, Leaf};
use control::{Hello, PROTOCOL, Role, ServiceName};
use disk::{DiskError, Lock};

use crate::clients::Clients;
use crate::command_line::CommandLine;
use crate::context::{Context, note};
use crate::journal::Journal;
use crate::keeper::Keeper;
use crate::output::{Output, OutputError};
use crate::own_process::{self, Signals};
use crate::poll::Poll;
use crate::process::Stat;
use crate::refuse::Refusals;
use crate::survivors::{self, OWN_LEAF, SurvivorsError};

/// Longest lock file that is read: a process id.
const MAX_LOCK_BYTES: u64 = 32;

/// Why a shim did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShimError {
    /// There is one already.
    #[error("{service} is kept by another shim{holder}")]
    Held { service: ServiceName, holder: String },
    /// A file or the control socket.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// What an earlier shim left cannot be seen, so that something of it could be started twice.
    #[error(transparent)]
    Survivors(#[from] SurvivorsError),
    /// Anything else.
    #[error("failed to {what}")]
    Io { what: &'static str, source: io::Error },
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> ShimError {
    move |source| ShimError::Io { what, source }
}

/// Starts a shim and keeps its service until it is asked to end.
pub(crate) fn run(line: &CommandLine) -> Result<(), ShimError> {
    own_process::close_inherited();
    own_process::survive_file_size_limit();
    let is_init = own_process::is_init();
    let open_files = own_process::detach().map_err(failed("become a parent of orphans"))?;
    disk::create_directories(&line.directory, 0o700)?;
    let _lock = lock(line)?;
    let signals = Signals::open().map_err(failed("read signals"))?;
    let home = line.cgroup.as_deref().and_then(|base| move_in(base, line));
    let boot_id = disk::boot_id()?;
    let (journal, written) = Journal::open(&line.directory, &boot_id);
    let service_cgroup = home.as_ref().map(|home| home.service.clone());
    let cgroup = service_cgroup.as_deref();
    let survivors = survivors::find(&line.installation, &line.service, cgroup, &journal)?;
    let hello = Hello {
        protocol: PROTOCOL,
        role: Role::Shim,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id,
        installation: line.installation.clone(),
    };
    let nothing = fs::File::options().read(true).write(true).open("/dev/null");
    let mut context = Context {
        installation: line.installation.clone(),
        service: line.service.clone(),
        poll: Poll::new().map_err(failed("make an epoll instance"))?,
        journal,
        journal_trouble: None,
        output: Output::open(&line.directory.join("logs"))?,
        refusals: Refusals::default(),
        cgroup: service_cgroup,
        shared: Vec::new(),
        nothing: nothing.map_err(failed("open `/dev/null`"))?.into(),
        open_files,
    };
    context.judge_journal(written);
    let listener = disk::socket::bind_stream(&line.socket, 0o600)?;
    rustix::io::ioctl_fionbio(&listener, true)
        .map_err(|e| failed("prepare accepting")(e.into()))?;
    let clients = Clients::new(hello);
    let mut keeper = Keeper::new(context, survivors, clients, listener, signals, is_init)
        .map_err(failed("watch descriptors"))?;
    own_process::redirect(&line.directory.join("shim.log"))
        .map_err(failed("turn away the standard streams"))?;
    keeper.run().map_err(failed("wait for events"))?;
    drop(keeper);
    // One that stays is replaced by whoever binds it next.
    let _ = crate::sockets::unlink(&line.socket);
    if let Some(home) = home {
        home.move_out();
    }
    Ok(())
}

/// Takes the lock that makes this the only shim of the service.
fn lock(line: &CommandLine) -> Result<Lock, ShimError> {
    let path = line.directory.join("lock");
    match Lock::try_exclusive(&path)? {
        Some(lock) => {
            // Only for the message of whoever comes too late.
            let _ = fs::write(&path, format!("{}\n", std::process::id()));
            Ok(lock)
        }
        None => Err(ShimError::Held { service: line.service.clone(), holder: holder(&path) }),
    }
}

/// Describes the process that holds the lock.
fn holder(path: &Path) -> String {
    use std::io::Read as _;
    let mut text = String::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(MAX_LOCK_BYTES).read_to_string(&mut text));
    let pid = read.ok().and_then(|_| text.trim().parse::<u32>().ok());
    match pid.and_then(|pid| Some((pid, Stat::read(pid)?))) {
        Some((pid, stat)) if matches!(stat.state, b'T' | b't') => {
            format!(", process {pid}, which is stopped: continue it or kill it")
        }
        Some((pid, _)) => format!(", process {pid}"),
        None => String::new(),
    }
}

/// Where in the cgroup hierarchy a shim lives, and where it came from.
struct Home {
    service: PathBuf,
    own: Leaf,
    /// The installation's base.
    base: PathBuf,
}

/// Moves the shim to its own leaf. Where that is not possible the service is kept without cgroups,
/// which every client is told.
fn move_in(base: &Path, line: &CommandLine) -> Option<Home> {
    let service = base.join(line.service.file_name());
    let own = service.join(OWN_LEAF);
    let enter = || -> Result<Leaf, CgroupError> {
        let leaf = match Leaf::create(&own) {
            // Something of a killed shim is in there still: good enough to join.
            Err(CgroupError::InUse { .. }) => {
                Leaf::open(&own)?.map_or_else(|| Leaf::create(&own), Ok)
            }
            made => made,
        }?;
        leaf.join()?;
        Ok(leaf)
    };
    match enter() {
        Ok(own) => Some(Home { service, own, base: base.to_owned() }),
        Err(error) => {
            note(&format!("without cgroups: {}", crate::requests::chain(&error)));
            None
        }
    }
}

impl Home {
    /// Leaves nothing behind: the shim goes to its base's parent, and what is empty then is removed.
    fn move_out(self) {
        let parent = self.base.parent().and_then(|parent| Leaf::open(parent).ok().flatten());
        if parent.is_some_and(|parent| parent.join().is_ok()) {
            let _ = self.own.remove();
            // Fails while there is anything else below, which is then somebody else's.
            let _ = fs::remove_dir(&self.service);
            let _ = fs::remove_dir(&self.base);
        }
    }
}
