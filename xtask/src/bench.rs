//! `cargo xtask bench`: runs the programs in `bench/`.
//!
//! Each is an executable file that runs a peer beside us and prints a ratio; absolute times are not
//! compared between runs. It finds the release build in `SKEP` and an empty directory to use and
//! fill in `BENCH_DIRECTORY`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::demo;
use crate::needs;
use crate::place::{Place, clone};
use crate::step::{Stop, Tried, announce, run as run_step};

pub(crate) fn run(wanted: &[&str]) -> Result<(), Stop> {
    let place = Place::find()?;
    let all = programs(&place.source)?;
    if let Some(unknown) = wanted.iter().find(|name| !all.contains_key(**name)) {
        return Err(Stop::Usage(format!("no measurement `{unknown}`; there are: {}", names()?)));
    }
    needs::for_benchmarks()?;
    let skep = demo::build(&place)?;
    for (name, program) in &all {
        if !wanted.is_empty() && !wanted.contains(&name.as_str()) {
            continue;
        }
        announce(format_args!("bench {name}"));
        let directory = place.target.join("bench").join(name);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).tried(format_args!("create {}", directory.display()))?;
        run_step(
            Command::new(program)
                .current_dir(&place.source)
                .env("SKEP", &skep)
                .env("BENCH_DIRECTORY", &directory),
        )?;
        fs::remove_dir_all(&directory).tried(format_args!("remove {}", directory.display()))?;
    }
    Ok(())
}

/// Returns the names of the measurements.
pub(crate) fn names() -> Result<String, Stop> {
    Ok(programs(&clone())?.into_keys().collect::<Vec<_>>().join(", "))
}

/// Returns the executable files of `bench/` by their names without extension.
fn programs(source: &Path) -> Result<BTreeMap<String, PathBuf>, Stop> {
    let directory = source.join("bench");
    let entries = fs::read_dir(&directory).tried(format_args!("list {}", directory.display()))?;
    let mut programs = BTreeMap::new();
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        let executable = fs::metadata(&path)
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o100 != 0);
        if let (true, Some(stem)) = (executable, path.file_stem()) {
            programs.insert(stem.to_string_lossy().into_owned(), path.clone());
        }
    }
    Ok(programs)
}
