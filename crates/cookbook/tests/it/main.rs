//! Cookbooks on a disk: repositories in temporary directories, real git repositories, a real age key.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod attributes;
mod data_bags;
mod dna;
mod from_git;
mod manifests;
mod repositories;
mod run_lists;
mod scene;
