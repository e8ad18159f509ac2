//! Generated files: the reference in `docs/cli`, manual pages, completions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::context::Context;

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli")
}

fn pages(directory: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(directory) else { return BTreeMap::new() };
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

#[test]
fn the_reference_says_what_the_program_does() {
    let context = Context::new();
    let target = context.work().join("cli");
    let text = context.run(&["docs", "./cli"]);
    assert!(text.starts_with("exit 0"), "{text}");
    let generated = pages(&target);
    if std::env::var_os("SKEP_REGENERATE").is_some() {
        let _ = fs::remove_dir_all(committed());
        fs::create_dir_all(committed()).unwrap();
        for (name, text) in &generated {
            fs::write(committed().join(name), text).unwrap();
        }
    }
    let committed = pages(&committed());
    let names = |pages: &BTreeMap<String, String>| pages.keys().cloned().collect::<Vec<_>>();
    let hint = "run with SKEP_REGENERATE=1 to write docs/cli again";
    assert_eq!(names(&committed), names(&generated), "{hint}");
    for (name, text) in &generated {
        assert_eq!(text, &committed[name], "docs/cli/{name}: {hint}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let context = Context::new();
    context.run(&["docs", "--man", "./man"]);
    let pages = pages(&context.work().join("man"));
    assert!(pages.contains_key("skep.1") && pages.contains_key("skep-env-set.1"));
    assert!(pages.values().all(|page| page.contains(".SH NAME") && page.contains(".SH SYNOPSIS")));
}

#[test]
fn completions_are_scripts() {
    let context = Context::new();
    for shell in ["bash", "zsh", "fish"] {
        let output = context.command(&["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("app:rollback"), "{shell} does not know the commands");
        if shell == "bash" {
            let path = context.work().join("skep.bash");
            fs::write(&path, script).unwrap();
            let checked = Command::new("bash").arg("-n").arg(&path).output().unwrap();
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        }
    }
}
