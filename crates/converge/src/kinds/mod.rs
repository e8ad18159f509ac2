//! All kinds of resources: one file each. A new one is its file and its line in `ALL`.

mod authorized_keys;
mod directory;
mod execute;
mod file;
mod group;
mod http_check;
mod line_in_file;
mod link;
mod package;
mod template;
mod user;
mod wait_for;

use resource::{Declaration, Relations, Schema, Thing};
use std::path::Path;

use crate::kind::Kind;

static ALL: &[&Kind] = &[
    &file::KIND,
    &template::KIND,
    &directory::KIND,
    &link::KIND,
    &execute::KIND,
    &package::KIND,
    &user::KIND,
    &group::KIND,
    &authorized_keys::KIND,
    &line_in_file::KIND,
    &http_check::KIND,
    &wait_for::KIND,
];

/// Returns all kinds, in the order of the reference.
pub fn all() -> &'static [&'static Kind] {
    ALL
}

/// Returns a kind.
pub fn find(name: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|kind| kind.schema.kind == name)
}

/// Returns what a kind takes.
pub fn schema(name: &str) -> Option<&'static Schema> {
    find(name).map(|kind| kind.schema)
}

/// For a kind whose schema says everything.
#[allow(clippy::unnecessary_wraps, reason = "the type that a check has")]
fn unchecked(_: &Declaration) -> Result<(), String> {
    Ok(())
}

/// For a kind whose actions are never asked for together.
fn equal_strength(_: &str) -> u8 {
    0
}

/// Returns the relations of something at a path: it is that path, and needs the one above and
/// whom it belongs to. Taking it away needs nobody.
fn relations_of_path(path: &Path, declaration: &Declaration) -> Relations {
    let properties = resource::Properties(declaration);
    let provides = vec![Thing::Path(path.to_owned())];
    if declaration.action == "delete" {
        return Relations { provides, needs: Vec::new() };
    }
    let name = |property| properties.text(property).map(str::to_owned);
    let needs = [
        path.parent().map(|above| Thing::Path(above.to_owned())),
        name("owner").map(Thing::User),
        name("group").map(Thing::Group),
    ];
    Relations { provides, needs: needs.into_iter().flatten().collect() }
}

/// Refuses a name that a tool would take for an option or a list, as `useradd` does.
fn account_name(name: &str) -> Result<(), String> {
    /// `utmp` holds no longer one.
    const MAX_NAME_BYTES: usize = 32;
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let fits = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.$".contains(c));
    match begins && fits && name.len() <= MAX_NAME_BYTES {
        true => Ok(()),
        false => Err(format!("`{name}` is no name of a user or a group")),
    }
}
