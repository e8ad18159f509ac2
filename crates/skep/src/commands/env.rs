//! `env:` – variables.

pub(crate) mod explain;
pub(crate) mod list;
pub(crate) mod set;
pub(crate) mod unset;
