//! The place for Skep's state.

use std::path::Path;

use home::{Home, HomeError};
use rustix::fs::{Access, access};

use super::Check;
use super::tools::closed_to_others;
use crate::render::quantity::size;

/// Below this a Python environment or two fill the disk.
const FREE_MIN_BYTES: u64 = 1 << 30;

pub(super) fn checks(home: &Home) -> Vec<Check> {
    let shown = home.root().display();
    let first = match home.open() {
        Ok(installation) => Check::ok("home", format!("{shown}, installation {}", installation.id)),
        Err(HomeError::Missing(_)) => match existing_ancestor(home.root()) {
            Some(above) if access(above, Access::WRITE_OK).is_err() => {
                Check::problem("home", format!("{shown} cannot be made in {}", above.display()))
                    .hint("set SKEP_HOME to a directory you may write")
            }
            _ => Check::ok("home", format!("{shown}, nothing there yet")),
        },
        Err(error) => {
            let failure = report::Failure::from(error);
            let mut text = failure.message;
            for cause in failure.causes {
                text.push_str(": ");
                text.push_str(&cause);
            }
            let check = Check::problem("home", text);
            match failure.hints.into_iter().next() {
                Some(hint) => check.hint(hint),
                None => check,
            }
        }
    };
    let mut checks = vec![first];
    if let Some(place) = existing_ancestor(home.root()) {
        checks.push(disk(place));
        if rustix::process::geteuid().is_root() {
            checks.extend(closed(place));
        }
    }
    checks
}

/// As root each app has a user of its own, who must come to its files.
fn closed(place: &Path) -> Option<Check> {
    let closed = closed_to_others(place)?;
    let closed = closed.display();
    let text = format!("apps' own users may not enter {closed}, which SKEP_HOME lies in");
    Some(Check::problem("home", text).hint(format!(
        "chmod a+x {closed}, or set SKEP_HOME to a directory that every user may pass through"
    )))
}

fn disk(place: &Path) -> Check {
    match (disk::is_network_filesystem(place), disk::free_bytes(place)) {
        (Ok(true), _) => {
            Check::problem("disk", format!("{} is a network filesystem", place.display()))
                .hint("set SKEP_HOME to a local disk: the store needs its locks and its order")
        }
        (_, Ok(free)) if free < FREE_MIN_BYTES => {
            Check::warning("disk", format!("only {} free", size(free)))
                .hint("a deploy is refused where twice the artifact does not fit")
        }
        (Ok(false), Ok(free)) => Check::ok("disk", format!("{} free", size(free))),
        (Err(error), _) | (_, Err(error)) => {
            Check::warning("disk", format!("unknown: {error}: {}", error.source))
        }
    }
}

fn existing_ancestor(path: &Path) -> Option<&Path> {
    path.ancestors().find(|ancestor| ancestor.is_dir())
}
