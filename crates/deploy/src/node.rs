//! What every deploy of this node works with.

use std::sync::Arc;

use environment::Key;
use home::Home;
use routing::Router;
use store::Store;
use supervise::Supervisor;

use crate::journal::Journal;
use crate::users::{User, Users};

/// The node: shared by all executors.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where everything lies.
    pub home: Home,
    /// The installation's id.
    pub installation: String,
    /// This boot.
    pub boot_id: String,
    /// Desired state.
    pub store: Arc<Store>,
    /// Opens sealed variables.
    pub key: Arc<Key>,
    /// Shims.
    pub supervisor: Supervisor,
    /// Proxies.
    pub router: Router,
    /// Who runs what.
    pub users: Users,
    /// The group of the proxy's user, which may dial slots' sockets; absent: everything runs as
    /// one user.
    pub proxy_group: Option<u32>,
    /// Held from the look for who claims an address until one's own claim is in the store: of two
    /// deploys at once only one may win.
    pub claiming: Arc<tokio::sync::Mutex<()>>,
}

impl Node {
    /// Returns the records.
    pub fn journal(&self) -> Journal<'_> {
        Journal::new(&self.store)
    }

    /// Returns who an app runs as; `None`: the agent's own user.
    pub fn user(&self, app: &str) -> Result<Option<User>, crate::DeployError> {
        self.users.of(&self.store, app)
    }

    /// Returns the name of the user that runs an app.
    pub fn user_name(&self, app: &str) -> Result<String, crate::DeployError> {
        Ok(match self.user(app)? {
            Some(user) => user.name,
            None => std::env::var("USER")
                .unwrap_or_else(|_| format!("uid-{}", rustix::process::geteuid().as_raw())),
        })
    }
}

/// Returns the present time as records have it.
pub fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Millisecond).unwrap_or(now).to_string()
}
