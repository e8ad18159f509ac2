//! What every command starts from: where it prints, where it works, which installation it means.

use std::path::{Path, PathBuf};

use home::{Home, HomeError};
use report::{Failure, Kind};

use crate::client::{Client, start};
use crate::error::{Result, usage};
use crate::output::Output;

/// The context of one command.
#[derive(Debug)]
pub(crate) struct Context {
    /// The printer.
    pub(crate) output: Output,
    /// `-C DIR`, else the current directory.
    pub(crate) directory: PathBuf,
}

impl Context {
    /// Returns `path` as seen from the directory of this command.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        // Through its components, which drops a `.` in the middle: for messages.
        self.directory.join(path).components().collect()
    }

    /// Returns a client; makes the installation and starts the agent where that is needed.
    pub(crate) async fn client(&self) -> Result<Client> {
        start::connect_or_start(&home()?, &self.output).await
    }

    /// Returns a client of an installation that exists; fails with "nothing here yet" else.
    pub(crate) async fn existing_client(&self) -> Result<Client> {
        match self.nothing_here().await? {
            Some(failure) => Err(failure.into()),
            None => self.client().await,
        }
    }

    /// Returns a client for a list, or `None` where nothing was ever installed: an empty list is
    /// no failure, so that is said here and the list is empty.
    pub(crate) async fn client_for_list(&self) -> Result<Option<Client>> {
        let Some(failure) = self.nothing_here().await? else {
            return self.client().await.map(Some);
        };
        self.output.say(&failure.message);
        for hint in &failure.hints {
            self.output.hint(hint);
        }
        Ok(None)
    }

    /// Returns what to say if nothing was ever installed.
    pub(crate) async fn nothing_here(&self) -> Result<Option<Failure>> {
        let home = home()?;
        match home.open() {
            Err(HomeError::Missing(_)) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(None),
        }
        let root = Home::root_installation();
        let named = std::env::var_os("SKEP_HOME").is_some();
        if named || home == root || root.open().is_err() {
            let failure = Failure::new(Kind::Usage, "nothing here yet")
                .hint("skep up    in an app's directory");
            return Ok(Some(failure));
        }
        // Root's agent lets in root, its own group and group `skep`; whoever is let in may count.
        let what = match start::connect(&root, &self.output) {
            Ok(client) => match client.apps().await {
                Ok(apps) => crate::render::quantity::count(apps.len(), "app", "apps"),
                Err(_) => "an installation".to_owned(),
            },
            Err(_) => "an installation".to_owned(),
        };
        let place = root.root().display();
        Ok(Some(
            Failure::new(Kind::Usage, format!("nothing here; {place} has {what}"))
                .hint(format!("sudo skep …, or SKEP_HOME={place} as a member of group `skep`")),
        ))
    }
}

/// Returns the installation that is meant; it need not exist.
pub(crate) fn home() -> Result<Home> {
    Home::from_environment().ok_or_else(|| {
        usage("there is no place for Skep's state: HOME is not set")
            .hint("set HOME, or SKEP_HOME to a directory of yours")
            .into()
    })
}
