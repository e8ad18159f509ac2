//! `kitchen.toml`: which machines a cookbook is tried in, and how.
//!
//! ```toml
//! [platforms.debian12]
//! base = "debian:bookworm"
//!
//! [suites.default]
//! run_list = ["recipe[thena-infra]"]
//! attributes = { thena = { port = 8080 } }
//! ```
//!
//! Every suite on every platform is an **instance**, named `SUITE-PLATFORM` without dots. The file lies in a
//! cookbook or at the root of a repository. Unknown keys, mistakes of type and instances of one name are errors
//! with their places, all told at once.

mod parse;
mod reader;

use std::collections::BTreeMap;

use report::{Failure, Kind, did_you_mean};
use serde::Serialize;

pub use parse::parse;

/// The file's name.
pub const KITCHEN_FILE: &str = "kitchen.toml";

/// Largest `kitchen.toml`; a person wrote it.
pub const MAX_FILE_BYTES: u64 = 256 << 10;

/// A `kitchen.toml` without mistakes.
#[derive(Debug, Clone, PartialEq)]
pub struct KitchenFile {
    /// Suite by suite, in the order of the names.
    pub instances: Vec<Planned>,
}

/// An instance that can be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// `SUITE-PLATFORM`, without dots.
    pub name: String,
    /// Its suite.
    pub suite: Suite,
    /// The name of its suite.
    pub suite_name: String,
    /// The name of its platform.
    pub platform: String,
    /// What its platform is made from.
    pub base: Base,
}

/// What the machines of a platform are made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Base {
    /// The files of this machine.
    Host,
    /// A release of Debian, by its code name.
    Debian(String),
    /// An archive of a root tree; relative to the kitchen file.
    Tar(String),
}

/// What is tried.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Suite {
    /// What is run.
    pub runs: Runs,
    /// The stage, if one is chosen.
    pub stage: Option<String>,
    /// Attributes of the node level.
    pub attributes: serde_json::Map<String, serde_json::Value>,
    /// Files of checks, below `checks/` beside the kitchen file; absent: what is there of `default` and the
    /// suite's name.
    pub checks: Option<Vec<String>>,
    /// Instance metadata, by path below `/latest/`.
    pub metadata: BTreeMap<String, String>,
    /// Whether the machine may fetch from outside.
    pub network: Network,
}

/// What a suite runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// The items of a run list.
    RunList(Vec<String>),
    /// What a node group runs.
    Group(String),
}

impl Default for Runs {
    fn default() -> Self {
        Self::RunList(Vec::new())
    }
}

/// What a machine reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// Itself, its metadata, and the outside through a proxy.
    #[default]
    Outside,
    /// Itself and its metadata.
    None,
}

impl KitchenFile {
    /// Returns the instances that a word means: one of this name, those of a suite or a platform, or all.
    pub fn chosen(&self, word: Option<&str>) -> Result<Vec<&Planned>, Failure> {
        let Some(word) = word else { return Ok(self.instances.iter().collect()) };
        if let Some(one) = self.instances.iter().find(|one| one.name == word) {
            return Ok(vec![one]);
        }
        let of = |one: &&Planned| one.suite_name == word || one.platform == word;
        let chosen: Vec<_> = self.instances.iter().filter(of).collect();
        if !chosen.is_empty() {
            return Ok(chosen);
        }
        let names =
            || self.instances.iter().flat_map(|one| [&one.name, &one.suite_name, &one.platform]);
        let failure = Failure::new(Kind::Usage, format!("there is no instance `{word}`"));
        Err(match did_you_mean(word, names().map(String::as_str)) {
            Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
            None => failure.hint("skep kitchen:list    what there is"),
        })
    }
}

/// Fuzz target: a `kitchen.toml` of any bytes neither panics nor hangs.
#[doc(hidden)]
pub fn fuzz_kitchen_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse(KITCHEN_FILE, text) {
        Ok(file) => {
            assert!(file.instances.iter().all(|one| file.chosen(Some(&one.name)).is_ok()));
        }
        Err(failure) => drop(failure.to_string()),
    }
}
