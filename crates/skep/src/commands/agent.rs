//! `agent:` – the daemon.

pub(crate) mod install;
pub(crate) mod run;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
