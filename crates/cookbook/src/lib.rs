//! Cookbooks: what an infrastructure repository brings to an evaluation of recipes.
//!
//! ```text
//! cookbooks/ + cookbooks.toml ─ resolved ─ cookbooks.lock ─ Files ─┐
//! run list, DNA ─ roles expanded ─ Effective ─ layers ─ Attributes ┼─ recipe::evaluate
//! data_bags/ ─ checked, decrypted ─ DataBags ──────────────────────┘
//! ```
//!
//! - [`Repository`] knows which cookbooks there are: its own, those of a path, those of git
//!   ([`sources`]). [`Repository::resolve`] chooses versions (pubgrub) from what each `cookbook.toml`
//!   ([`manifest`]) asks; [`lock`] keeps the choice with a digest of every file ([`tree`]).
//! - [`Effective`] is a run list with its roles expanded ([`run_list`]), from the nodes file, from DNA
//!   ([`dna`]) or from the command line.
//! - [`Attributes`] are merged from levels and know where each value comes from ([`attributes`]).
//! - [`DataBags`] are typed; what is encrypted is a secret ([`data_bag`], [`codebase`]).
//!
//! Guarantees: a mistake in a file is told with file, line and column, all of a file at once; an unknown
//! key is never passed over; the same files give the same lock; a cookbook is what its digest says, so it
//! has no links; files, nesting and counts are bounded.
//!
//! It is *not* concerned with evaluating recipes, and it knows no machine.

pub mod attributes;
pub mod codebase;
pub mod data_bag;
pub mod dna;
mod files;
mod git;
pub mod lock;
pub mod manifest;
mod mistakes;
mod name;
mod recipe_facts;
mod repository;
mod resolution;
mod resolve_error;
pub mod run_list;
mod scaffold;
mod sentences;
mod shelf;
mod solve;
pub mod sources;
pub mod tree;
mod value;
mod version;

pub use attributes::{Attributes, Effect, Layer, Level, Said, Why};
pub use codebase::{CODEBASES, Codebase};
pub use data_bag::{BagError, DATA_BAGS, DataBags};
pub use dna::{Dna, parse_dna, parse_node_attributes};
pub use files::Files;
pub use git::GitError;
pub use lock::{LOCK, Lock, Locked, parse_lock};
pub use manifest::{Dependency, MANIFEST, Manifest, parse_manifest};
pub use repository::{COOKBOOKS, Repository};
pub use resolution::{Resolution, Resolved};
pub use resolve_error::ResolveError;
pub use run_list::{Effective, Roles, RunListError, Step, Written};
pub use scaffold::{BadName, scaffold};
pub use sources::{Declared, GitSource, SOURCES, Source, SourcesFile, parse_sources};
pub use tree::TreeError;
pub use version::{Requirement, Version, VersionError};

/// Fuzz target: a `cookbook.toml` of any bytes neither panics nor hangs.
#[doc(hidden)]
pub fn fuzz_cookbook_toml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse_manifest("cookbooks/x/cookbook.toml", text) {
        Ok(manifest) => {
            for dependency in manifest.dependencies.values() {
                drop(manifest.excerpt(dependency, "").to_string());
            }
        }
        Err(errors) => drop(report::Failure::from(errors).to_string()),
    }
}

/// Fuzz target: a `cookbooks.toml` of any bytes neither panics nor hangs.
#[doc(hidden)]
pub fn fuzz_cookbooks_toml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(errors) = parse_sources(text) {
        drop(report::Failure::from(errors).to_string());
    }
}

/// Fuzz target: a `cookbooks.lock` of any bytes neither panics nor hangs, and is written as it was read.
#[doc(hidden)]
pub fn fuzz_cookbooks_lock(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse_lock(text) {
        Ok(lock) => {
            let written = lock.to_text();
            let again = parse_lock(&written).expect("a lock reads back");
            assert_eq!(again.to_text(), written, "a lock is written the same twice");
        }
        Err(errors) => drop(report::Failure::from(errors).to_string()),
    }
}

/// Fuzz target: DNA of any bytes neither panics nor hangs.
#[doc(hidden)]
pub fn fuzz_dna(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse_dna("dna.json", text) {
        Ok(dna) => {
            let attributes = Attributes::new(vec![dna.attributes]);
            let _ = attributes.why("a.b");
        }
        Err(errors) => drop(report::Failure::from(errors).to_string()),
    }
}

/// Fuzz target: an item of a data bag of any bytes neither panics nor hangs.
#[doc(hidden)]
pub fn fuzz_data_bag(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for bag in ["users", CODEBASES] {
        if let Err(errors) = data_bag::parse_item("data_bags/b/x.json", bag, "x", text) {
            drop(report::Failure::from(errors).to_string());
        }
    }
}
