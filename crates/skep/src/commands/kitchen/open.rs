//! Which kitchen and which instances a command is about.

use std::path::{Path, PathBuf};

use ::kitchen::instance::{Instance, kitchen_directory};
use ::kitchen::kitchen_file::{self, KITCHEN_FILE, KitchenFile, Planned};
use disk::DiskError;
use home::Home;
use report::{Failure, Kind};

use crate::context::{Context, home};
use crate::error::{Result, usage};

/// The directory of a repository that has its cookbooks.
const COOKBOOKS: &str = "cookbooks";

/// The kitchen of one kitchen file.
#[derive(Debug)]
pub(super) struct Kitchen {
    /// The installation below which machines lie.
    pub(super) home: Home,
    /// Where the kitchen file lies.
    pub(super) directory: PathBuf,
    /// The repository it belongs to.
    pub(super) repository: PathBuf,
    file: KitchenFile,
    /// Where its instances lie.
    instances: PathBuf,
}

/// An instance that a command is about.
#[derive(Debug)]
pub(super) struct Chosen<'k> {
    /// Its name.
    pub(super) name: String,
    /// What the kitchen file says of it; absent if it says nothing any more.
    pub(super) planned: Option<&'k Planned>,
    /// Its place.
    pub(super) instance: Instance,
}

/// Returns a failure of a file operation.
pub(super) fn disk_failure(error: &DiskError) -> Failure {
    let kind = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Kind::Permission,
        _ => Kind::Failed,
    };
    Failure::from_error(kind, error)
}

/// Fails unless this is root.
pub(super) fn need_root(command: &str) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let message = "only root makes and enters the machines of a kitchen";
    Err(Failure::new(Kind::Permission, message).hint(format!("sudo skep {command}")).into())
}

impl Kitchen {
    /// Reads the kitchen file of this directory.
    pub(super) fn open(context: &Context) -> Result<Self> {
        let directory = context.directory.canonicalize().map_err(|error| {
            usage(format!("failed to open `{}`", context.directory.display())).because(&error)
        })?;
        let path = directory.join(KITCHEN_FILE);
        let text = nodes::repository::read_text(&path, kitchen_file::MAX_FILE_BYTES);
        let Some(text) = text.map_err(Failure::from)? else {
            return Err(missing(&directory).into());
        };
        let file = kitchen_file::parse(KITCHEN_FILE, &text)?;
        let home = home()?;
        let instances = kitchen_directory(&home.kitchen(), &directory);
        let above = directory.parent();
        let repository = above
            .filter(|above| above.file_name().is_some_and(|name| name == COOKBOOKS))
            .and_then(Path::parent)
            .unwrap_or(&directory)
            .to_owned();
        Ok(Self { home, directory, repository, file, instances })
    }

    /// Returns the instances that a word means, or all that the kitchen file names.
    pub(super) fn chosen(&self, word: Option<&str>) -> Result<Vec<Chosen<'_>>> {
        let planned = self.file.chosen(word)?;
        Ok(planned.into_iter().map(|planned| self.of(planned)).collect())
    }

    /// Returns like [`Kitchen::chosen`], with those that are there and that the file does not name any more.
    pub(super) fn chosen_or_left(&self, word: Option<&str>) -> Result<Vec<Chosen<'_>>> {
        let mut left = self.left()?;
        match word {
            Some(word) if left.iter().any(|one| one.name == word) => {
                left.retain(|one| one.name == word);
                Ok(left)
            }
            Some(_) => self.chosen(word),
            None => {
                let mut all = self.chosen(None)?;
                all.append(&mut left);
                Ok(all)
            }
        }
    }

    /// Returns the one instance that a word means.
    pub(super) fn one(&self, word: Option<&str>) -> Result<Chosen<'_>> {
        let mut chosen = self.chosen(word)?;
        if chosen.len() == 1 {
            return Ok(chosen.remove(0));
        }
        // Those that live are more likely to be meant.
        let mut living = Vec::new();
        for one in chosen {
            if one.instance.machine().map_err(|error| disk_failure(&error))?.is_some() {
                living.push(one);
            }
        }
        if living.len() == 1 {
            return Ok(living.remove(0));
        }
        let names: Vec<_> = living.iter().map(|one| one.name.as_str()).collect();
        let failure = usage("which instance?");
        Err(match names.is_empty() {
            true => failure.hint("skep kitchen:list    what there is"),
            false => failure.hint(format!("one of {}", names.join(", "))),
        }
        .into())
    }

    fn of<'k>(&self, planned: &'k Planned) -> Chosen<'k> {
        let instance = Instance::at(self.instances.join(&planned.name));
        Chosen { name: planned.name.clone(), planned: Some(planned), instance }
    }

    fn left(&self) -> Result<Vec<Chosen<'_>>> {
        let failed = |error| disk_failure(&DiskError::new("list", &self.instances, error));
        let entries = match std::fs::read_dir(&self.instances) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error).into()),
        };
        let mut left = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if !self.file.instances.iter().any(|planned| planned.name == name) {
                let instance = Instance::at(self.instances.join(&name));
                left.push(Chosen { name, planned: None, instance });
            }
        }
        left.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(left)
    }
}

fn missing(directory: &Path) -> Failure {
    let failure = usage(format!("there is no `{KITCHEN_FILE}` in `{}`", directory.display()));
    let entries = std::fs::read_dir(directory.join(COOKBOOKS)).into_iter().flatten().flatten();
    let mut with: Vec<_> = entries
        .filter(|entry| entry.path().join(KITCHEN_FILE).is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    with.sort();
    match with.first() {
        Some(first) => failure.hint(format!("skep kitchen:list -C {COOKBOOKS}/{first}")),
        None => failure.hint("-C DIR    names the cookbook or repository that has it"),
    }
}
