//! The layers.

use serde::{Deserialize, Serialize};

/// Where a variable comes from, lowest first: a higher layer overrides a lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Skep itself: `HOME`, `PATH`, `LANG` …
    Base,
    /// The server profile, and `PORT`.
    Profile,
    /// `[env]` of the app file.
    AppFile,
    /// `[services.NAME.env]` and the words before the command.
    Service,
    /// Drawn once at random.
    Generated,
    /// `skep env:set`.
    Operator,
}
