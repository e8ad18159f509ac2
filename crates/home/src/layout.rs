//! Every path below SKEP_HOME.

use std::path::{Path, PathBuf};

/// The root of one installation. Cheap to clone; touches the disk only where a method says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

/// Where root's installation lies.
const ROOT_HOME: &str = "/var/lib/skep";

impl Home {
    /// Returns the home at an absolute path.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns `$SKEP_HOME`, else `/var/lib/skep` as root, else `$XDG_STATE_HOME/skep`, else
    /// `~/.local/state/skep`. `None` when an ordinary user has no home directory.
    pub fn from_environment() -> Option<Self> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let current = std::env::current_dir().unwrap_or_default();
        if let Some(home) = variable("SKEP_HOME") {
            return Some(Self::at(current.join(home)));
        }
        if rustix::process::geteuid().is_root() {
            return Some(Self::root_installation());
        }
        let state = variable("XDG_STATE_HOME")
            .map(PathBuf::from)
            .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".local/state")))?;
        Some(Self::at(current.join(state).join("skep")))
    }

    /// Returns the home of root's installation.
    pub fn root_installation() -> Self {
        Self::at(ROOT_HOME)
    }

    /// The root itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `FORMAT`: version and installation id.
    pub fn format_file(&self) -> PathBuf {
        self.root.join("FORMAT")
    }

    /// The store; written by the agent only.
    pub fn store(&self) -> PathBuf {
        self.root.join("store.db")
    }

    /// The key that seals variables, 0600.
    pub fn key(&self) -> PathBuf {
        self.root.join("key")
    }

    /// All artifacts.
    pub fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }

    /// The artifacts of one app.
    pub fn app_artifacts(&self, app: &str) -> PathBuf {
        self.artifacts().join(app)
    }

    /// One app: `current`, `data/`.
    pub fn app(&self, app: &str) -> PathBuf {
        self.root.join("apps").join(app)
    }

    /// The symlink for humans.
    pub fn current(&self, app: &str) -> PathBuf {
        self.app(app).join("current")
    }

    /// What outlives releases; written by the app only.
    pub fn data(&self, app: &str) -> PathBuf {
        self.app(app).join("data")
    }

    /// The HOME of the app's own user; written by the app only.
    pub fn app_home(&self, app: &str) -> PathBuf {
        self.app(app).join("home")
    }

    /// Archives of removed apps.
    pub fn archives(&self) -> PathBuf {
        self.root.join("archives")
    }

    /// What may be deleted at any time.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Programs that Skep installed for itself.
    pub fn tools(&self) -> PathBuf {
        self.root.join("tools")
    }

    /// All shims' directories, 0700.
    pub fn shims(&self) -> PathBuf {
        self.root.join("shims")
    }

    /// One shim's journal, lock and logs; written by that shim. `service` is `app.service`.
    pub fn shim(&self, service: &str) -> PathBuf {
        self.shims().join(service)
    }

    /// Log segments of one service.
    pub fn logs(&self, service: &str) -> PathBuf {
        self.shim(service).join("logs")
    }

    /// The proxy's last-known-good routes.
    pub fn proxy(&self) -> PathBuf {
        self.root.join("proxy")
    }

    /// The proxy's table on disk.
    pub fn routes(&self) -> PathBuf {
        self.proxy().join("routes")
    }

    /// Sockets; emptied on another boot.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The agent's HTTP interface; held by its shim.
    pub fn api_socket(&self) -> PathBuf {
        self.run().join("api.sock")
    }

    /// A shim's control socket. `service` is `app.service`. It lies in the shim's own directory,
    /// which has the service's whole name: as the name of a socket that could be too long.
    pub fn shim_socket(&self, service: &str) -> PathBuf {
        self.shim(service).join("control")
    }

    /// The directory of all slots' own sockets: the only one that the proxy's user may enter.
    pub fn slots(&self) -> PathBuf {
        self.run().join("slots")
    }

    /// A slot's own socket.
    ///
    /// `service` may be two names of 63 bytes, which no socket name holds; the generation is
    /// unique in the installation, so the name needs the generation, the slot and, for people, a
    /// piece of the service.
    pub fn slot_socket(&self, service: &str, generation: u64, slot: u32) -> PathBuf {
        let short: String = service.chars().take(40).collect();
        self.slots().join(format!("{short}.g{generation}.{slot}"))
    }

    /// A private directory of one slot, owned by its user (`XDG_RUNTIME_DIR`).
    pub fn slot_runtime(&self, service: &str, generation: u64, slot: u32) -> PathBuf {
        let short: String = service.chars().take(40).collect();
        self.slot_runtimes().join(format!("{short}.g{generation}.{slot}"))
    }

    /// The directory of all slots' private directories.
    pub fn slot_runtimes(&self) -> PathBuf {
        self.run().join("private")
    }

    /// What converge has to know of this machine: its lock, journal and ledger; written by it alone.
    pub fn converge(&self) -> PathBuf {
        self.root.join("converge")
    }

    /// The key of the digests in saved plans, 0600.
    pub fn plan_key(&self) -> PathBuf {
        self.converge().join("plan.key")
    }

    /// Cookbooks that were fetched from elsewhere; may be deleted at any time.
    pub fn fetched_cookbooks(&self) -> PathBuf {
        self.cache().join("cookbooks")
    }

    /// Machines to try cookbooks in, 0700; written by `skep kitchen:…` alone.
    pub fn kitchen(&self) -> PathBuf {
        self.root.join("kitchen")
    }

    /// Root trees that such machines are made from, 0700; may be deleted while there is no machine.
    pub fn kitchen_trees(&self) -> PathBuf {
        self.cache().join("kitchen")
    }

    /// Build logs of one app.
    pub fn build_logs(&self, app: &str) -> PathBuf {
        self.app(app).join("builds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_slot_socket_still_fits_a_socket_name() {
        let service = format!("{}.{}", "a".repeat(63), "b".repeat(63));
        let path = Home::at("/x").slot_socket(&service, u64::MAX, u32::MAX);
        assert!(disk::socket::name_fits(path.file_name().unwrap()));
    }
}
