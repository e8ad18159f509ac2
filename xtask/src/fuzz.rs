//! Keeps `fuzz/` complete: every `fuzz_…` function of a crate has its target there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::place::clone;

/// Returns the names of all functions `pub fn fuzz_…` below a directory.
fn functions(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|line| {
                let rest = line.trim_start().strip_prefix("pub fn fuzz_")?;
                rest.split_once('(').map(|(name, _)| name.to_owned())
            });
            found.extend(names);
        }
    }
}

#[test]
fn every_parser_of_outside_bytes_has_its_target() {
    let mut in_crates = BTreeSet::new();
    functions(&clone().join("crates"), &mut in_crates);
    let targets: BTreeSet<String> = fs::read_dir(clone().join("fuzz/fuzz_targets"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(in_crates, targets, "fuzz/README.md says how to add one");
}
