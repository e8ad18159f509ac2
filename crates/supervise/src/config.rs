//! What a supervisor has to know.

use std::path::{Path, PathBuf};

use control::{Hello, PROTOCOL, Role, ServiceName};
use home::Home;

/// How a shim is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShimProgram {
    /// The executable.
    pub path: PathBuf,
    /// Arguments before the shim's own.
    pub arguments: Vec<String>,
}

impl ShimProgram {
    /// Returns the small `skep-shim` where it lies beside `skep`, else `skep shim`: the same main,
    /// in a process with more private memory.
    pub fn beside(skep: &Path) -> Self {
        let small = skep.with_file_name("skep-shim");
        if small.is_file() {
            Self { path: small, arguments: Vec::new() }
        } else {
            Self { path: skep.to_owned(), arguments: vec!["shim".to_owned()] }
        }
    }
}

/// Everything a [`crate::Supervisor`] works with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where directories and sockets lie.
    pub home: Home,
    /// The installation's id, from `FORMAT`.
    pub installation: String,
    /// Version and commit of this build, for people.
    pub build: String,
    /// This boot.
    pub boot_id: String,
    /// How a shim is started.
    pub shim_program: ShimProgram,
    /// The cgroup below which each service gets its own; absent: sessions are used.
    pub cgroup_base: Option<PathBuf>,
}

impl Config {
    pub(crate) fn hello(&self, role: Role) -> Hello {
        Hello {
            protocol: PROTOCOL,
            role,
            build: self.build.clone(),
            boot_id: self.boot_id.clone(),
            installation: self.installation.clone(),
        }
    }

    pub(crate) fn socket(&self, service: &ServiceName) -> PathBuf {
        self.home.shim_socket(&service.file_name())
    }
}
