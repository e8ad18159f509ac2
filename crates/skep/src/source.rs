//! The app in a directory, read before the agent is asked: a mistake in the app file needs no
//! agent to be told.

use std::path::Path;

use app::model::App;
use report::Failure;

use crate::error::Result;

/// Reads the app in `directory`.
pub(crate) fn load(directory: &Path) -> Result<App> {
    Ok(app::load(directory).map_err(Failure::from)?)
}
