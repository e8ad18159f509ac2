//! The agent watches its own shim.
//!
//! Whoever restarts the agent must itself be restarted by somebody. That is the agent: its shim is
//! a service's shim like any other, and is replaced like any other. The new shim is given the
//! duplicates of the API listener and the agent's log pipes, and adopts the agent's own process.

use control::ServiceName;
use control::shim::SlotSpec;

use crate::bootstrap::agent_service;
use crate::error::SuperviseError;
use crate::handle::ServiceHandle;
use crate::keeper::Found;
use crate::supervisor::Supervisor;

/// Why an agent cannot watch its own shim.
#[derive(Debug, thiserror::Error)]
pub enum ParentError {
    /// Another agent is the one that the shim keeps.
    #[error("another agent runs for this installation, process {pid}")]
    AnotherAgent {
        /// Its process.
        pid: u32,
    },
    /// The shim cannot be talked to.
    #[error(transparent)]
    Shim(#[from] SuperviseError),
}

/// Connects the agent to its own shim and has it replaced whenever it dies.
///
/// `recipe` is how the agent is started, see [`crate::bootstrap::agent_recipe`]. Returns `None` for
/// an agent that was started by hand and has no shim. An unresponsive shim is no error: the handle
/// shows it, and it is tried again.
pub async fn watch_parent(
    supervisor: &Supervisor,
    recipe: SlotSpec,
) -> Result<Option<ServiceHandle>, ParentError> {
    let service: ServiceName = agent_service();
    let own = std::process::id();
    let slot = recipe.id;
    let handle = supervisor.service(&service);
    handle.expect(vec![recipe]).await?;
    match handle.probe().await? {
        Found::Connected => {
            let view = handle.view();
            let kept = view.slots.get(&slot).and_then(|state| state.process);
            match kept.map(|process| process.pid) {
                Some(pid) if pid != own => Err(ParentError::AnotherAgent { pid }),
                Some(_) => Ok(Some(handle)),
                None => Ok(None),
            }
        }
        Found::NotRunning if was_started_by_a_shim(own) => {
            // It died between our start and now.
            handle.ensure_shim().await?;
            Ok(Some(handle))
        }
        Found::NotRunning => Ok(None),
        Found::Unresponsive(_) => Ok(Some(handle)),
    }
}

/// A shim passes the API listener to the agent, addressed to its process (sd_listen_fds(3)).
fn was_started_by_a_shim(own: u32) -> bool {
    std::env::var("LISTEN_PID").is_ok_and(|pid| pid == own.to_string())
}
