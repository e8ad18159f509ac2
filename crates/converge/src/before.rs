//! What was at a path before our first change of it: the record of files, templates and links.
//!
//! A file is kept whole, a link by its target; of anything else it is only known that it was there.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use disk::PathContext;
use resource::Thing;
use serde::{Deserialize, Serialize};

use crate::attributes::{Have, Want};
use crate::change::Change;
use crate::held::Held;
use crate::kind::{Context, Record, Undoing, read_record, write_record};
use crate::problem::Problem;
use crate::replace::{Staged, place_link};
use crate::shadow::{Known, View};

/// What a path was before our first change of it.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    path: PathBuf,
    before: Before,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "was", rename_all = "snake_case")]
enum Before {
    Nothing,
    File {
        have: Have,
        /// The kept content; absent: nobody wanted it kept.
        kept: Option<String>,
    },
    Link {
        to: PathBuf,
    },
    /// A socket, a pipe or a device: nothing that could be kept.
    Other,
}

/// Records what is at a path that a resource is about to change; also for links.
pub(crate) fn prepare(
    path: &Path,
    keep: bool,
    previous: Option<&Record>,
    context: &mut Context<'_>,
) -> Result<Record, Problem> {
    if let Some(previous) = previous {
        return Ok(previous.clone());
    }
    let real = context.real(path);
    let before = match context.host.look(path)? {
        None => Before::Nothing,
        Some(found) if found.is_symlink() => Before::Link { to: context.host.link_target(path)? },
        Some(found) if found.is_file() => {
            let kept = match keep {
                true => Some(context.keep.take(&real)?),
                false => None,
            };
            Before::File { have: Have::of(&found), kept }
        }
        Some(_) => Before::Other,
    };
    write_record(&Made { path: path.to_owned(), before })
}

/// Says what [`undo`] would do.
pub(crate) fn undoing(record: &Record, view: View<'_>) -> Result<Undoing, Problem> {
    let made: Made = read_record(record)?;
    let there = matches!(view.own_path(&made.path)?, Known::Here(_));
    if !has_directory(view, &made.path)? {
        return Ok(Undoing::default());
    }
    let gone = || vec![Thing::Path(made.path.clone())];
    Ok(match &made.before {
        Before::Nothing if !there => Undoing::default(),
        Before::Nothing => Undoing { changes: vec![Change::said("removed")], gone: gone() },
        Before::File { kept: Some(_), .. } => {
            Undoing { changes: vec![Change::said("brought back as it was found")], gone: vec![] }
        }
        Before::Link { to } => {
            let text = format!("a link to {} again", to.display());
            Undoing { changes: vec![Change::said(text)], gone: Vec::new() }
        }
        Before::File { have, kept: None } => {
            let text = format!("mode {:04o} again; what was in it was not kept", have.mode);
            Undoing { changes: vec![Change::said(text)], gone: Vec::new() }
        }
        Before::Other => {
            let text = "left as it is: what it replaced cannot be brought back";
            Undoing { changes: vec![Change::said(text)], gone: Vec::new() }
        }
    })
}

/// Returns whether there is a directory in which something could be brought back: if somebody has
/// removed it, that went with it.
fn has_directory(view: View<'_>, path: &Path) -> Result<bool, Problem> {
    Ok(!matches!(view.path(path.parent().unwrap_or(path))?, Known::No))
}

/// Removes what is at a path, durably, and what a killed run left beside it.
pub(crate) fn remove(held: &Held) -> Result<(), Problem> {
    Staged::sweep(held)?;
    disk::remove_file(held.path()).map_err(|error| held.named(error))?;
    held.sync()
}

/// Takes back what was made at a path.
pub(crate) fn undo(record: &Record, context: &mut Context<'_>) -> Result<(), Problem> {
    let made: Made = read_record(record)?;
    let found = context.host.look(&made.path)?;
    if !has_directory(View::live(context.host), &made.path)? {
        return Ok(());
    }
    match &made.before {
        Before::Other => Ok(()),
        Before::Nothing => match found.is_some_and(|found| !found.is_dir()) {
            true => remove(&context.hold(&made.path)?),
            false => Ok(()),
        },
        Before::Link { to } => place_link(&context.hold(&made.path)?, to),
        Before::File { have, kept: None } => match found.filter(Metadata::is_file) {
            Some(found) => Want::back(*have).set(&context.hold(&made.path)?, Have::of(&found)),
            None => Ok(()),
        },
        Before::File { have, kept: Some(name) } => {
            let kept = context.keep.path(name);
            if !kept.try_exists().context("look at", &kept)? {
                // An undo that was cut off after its last step.
                return Ok(());
            }
            let held = context.hold(&made.path)?;
            let staged = Staged::copy(&held, &kept)?;
            staged.set(&Want::back(*have))?;
            staged.place()?;
            Ok(context.keep.forget(name)?)
        }
    }
}
