//! The nodes file: every group of machines, in one file.
//!
//! ```text
//! nodes.toml ─ value with places ─ checked against the schema ─ group + __base__ ─ role ─ bytes
//! ```
//!
//! - [`parse`] reads a text of either format; a [`NodesFile`] has no mistakes. [`schema`] has the keys.
//! - [`NodesFile::group`] resolves a group by the rules of [`mod@merge`]. Each [`Value`] keeps its file,
//!   line, column, the group that gave it and what it hides: [`explain()`] tells, [`diff()`] compares.
//! - [`Role`] is a group as Chef reads it; [`mod@role`] has the rules for its bytes. [`parse_role`] reads
//!   those that others wrote.
//! - [`roles::plan`] decides what is to be done to the files of roles, by [`generated`], the record of
//!   which files are Skep's.
//! - [`lint()`] finds what is allowed and probably not meant.
//! - [`repository`] reads and writes the files; everything else is pure.
//!
//! Guarantees: every mistake of a file is reported at once, each with its place, up to a bound; an
//! unknown key and a key that is there twice are never passed over; the same groups give the same
//! bytes of roles, whatever the format and the order of the file. Files, nesting, names and the number
//! of groups are bounded.
//!
//! It is *not* concerned with cookbooks: whether a recipe exists is a fact that [`lint()`] is given.

mod check;
mod diff;
mod document;
mod explain;
pub mod generated;
mod group;
mod item;
mod json;
mod lint;
mod locate;
pub mod merge;
mod name;
mod nodes_file;
mod problem;
pub mod reference;
pub mod repository;
pub mod role;
mod role_file;
pub mod roles;
pub mod schema;
mod toml;
mod value;
mod writer;

pub use check::MAX_ITEMS;
pub use diff::{Difference, Side, diff};
pub use document::{Format, MAX_DEPTH, MAX_FILE_BYTES, read_value};
pub use explain::{Fact, Hidden, explain};
pub use group::{Autoscale, Converge, Group, Packer, RunList, SSH_USERNAME, Step};
pub use item::{DEFAULT_RECIPE, Item, ItemError};
pub use lint::{Facts, Lint, RecipeFacts, Rule, Severity, lint};
pub use name::{BASE, MAX_NAME_BYTES, is_role_name};
pub use nodes_file::{MAX_GROUPS, NodesFile, Settings, Stage, UnknownGroup, parse};
pub use problem::{MAX_PROBLEMS, ParseErrors};
pub use role::Role;
pub use role_file::parse_role;
pub use value::{Data, Entry, Origin, Value};

/// Fuzz target: a `nodes.json` of any bytes neither panics nor hangs.
#[doc(hidden)]
pub fn fuzz_nodes_json(bytes: &[u8]) {
    fuzz_nodes(repository::NODES_JSON, bytes);
}

/// Fuzz target: a `nodes.toml` of any bytes neither panics nor hangs.
#[doc(hidden)]
pub fn fuzz_nodes_toml(bytes: &[u8]) {
    fuzz_nodes(repository::NODES_TOML, bytes);
}

/// Fuzz target: a role of any bytes neither panics nor hangs, and is written as it was read.
#[doc(hidden)]
pub fn fuzz_role_json(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse_role("roles/web.json", text) {
        Ok(role) => {
            let written = role.to_text();
            let again = parse_role("roles/web.json", &written).expect("a role reads back");
            assert_eq!(again.to_text(), written, "a role is written the same twice");
        }
        Err(errors) => drop(report::Failure::from(errors).to_string()),
    }
}

/// Fuzz target: a `generated.lock` of any bytes neither panics nor hangs, and is written as it was
/// read.
#[doc(hidden)]
pub fn fuzz_generated_lock(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(lock) = generated::Lock::parse(text) {
        assert_eq!(generated::Lock::parse(&lock.to_text()), Ok(lock), "a lock reads back");
    }
}

fn fuzz_nodes(file: &str, bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse(file, text) {
        Ok(nodes) => {
            for group in nodes.groups() {
                let facts = explain(&group);
                assert!(facts.iter().all(|fact| &*fact.origin.file == file), "all have origins");
                assert!(diff(&group, &group).is_empty(), "a group is like itself");
                let _ = Role::of(&group, &nodes.settings).map(|role| role.to_text());
            }
            let _ = lint(&nodes, &Facts::default());
        }
        Err(errors) => drop(report::Failure::from(errors).to_string()),
    }
}
