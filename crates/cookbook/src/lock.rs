//! `cookbooks.lock`: which cookbooks exactly, generated and committed.
//!
//! ```toml
//! # Written by Skep from every cookbook.toml and cookbooks.toml; not edited by hand.
//! version = 1
//!
//! [[cookbook]]
//! name = "nginx"
//! version = "1.2.0"
//! source = "git https://git.example.com/nginx.git"
//! commit = "5f2b…"
//! sha256 = "9c56…"
//! dependencies = ["base"]
//! ```
//!
//! Sorted by name; the same cookbooks give the same bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use nodes::{ParseErrors, Value};

use crate::mistakes::Mistakes;
use crate::version::Version;

/// The file's name.
pub const LOCK: &str = "cookbooks.lock";

const VERSION: i64 = 1;
const HEADER: &str =
    "# Written by Skep from every cookbook.toml and cookbooks.toml; not edited by hand.\n";

/// Which cookbooks exactly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// By name.
    pub cookbooks: BTreeMap<String, Locked>,
}

/// One cookbook of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    /// Its version.
    pub version: Version,
    /// Where it comes from, as [`crate::Source`] is written.
    pub source: String,
    /// Which commit, if it comes from git.
    pub commit: Option<String>,
    /// The digest of its files.
    pub sha256: String,
    /// What it needs, sorted.
    pub dependencies: Vec<String>,
}

impl Lock {
    /// Returns the file's bytes.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}version = {VERSION}\n");
        for (name, locked) in &self.cookbooks {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "\n[[cookbook]]\nname = {}\nversion = {}\nsource = {}\n",
                quoted(name),
                quoted(&locked.version.to_string()),
                quoted(&locked.source),
            );
            if let Some(commit) = &locked.commit {
                let _ = writeln!(text, "commit = {}", quoted(commit));
            }
            let _ = writeln!(text, "sha256 = {}", quoted(&locked.sha256));
            if !locked.dependencies.is_empty() {
                let names: Vec<String> =
                    locked.dependencies.iter().map(|name| quoted(name)).collect();
                let _ = writeln!(text, "dependencies = [{}]", names.join(", "));
            }
        }
        text
    }

    /// Returns how another lock differs, one sentence for each cookbook.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, locked) in &now.cookbooks {
            match self.cookbooks.get(name) {
                None => found.push(format!("{name} {} is not in it", locked.version)),
                Some(old) if old.version != locked.version => {
                    found.push(format!("{name} is {}, not {}", locked.version, old.version));
                }
                Some(old) if old.source != locked.source || old.commit != locked.commit => {
                    found.push(format!("{name} comes from {}, not {}", locked.source, old.source));
                }
                Some(old) if old.sha256 != locked.sha256 => {
                    found.push(format!("the files of {name} are different"));
                }
                Some(old) if old.dependencies != locked.dependencies => {
                    found.push(format!("{name} needs others"));
                }
                Some(_) => {}
            }
        }
        let gone = self.cookbooks.keys().filter(|name| !now.cookbooks.contains_key(*name));
        found.extend(gone.map(|name| format!("{name} is gone")));
        found
    }
}

/// Returns a TOML string.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Reads the text of a lock.
pub fn parse_lock(text: &str) -> Result<Lock, ParseErrors> {
    // `cookbooks.lock` does not end like TOML, and is it.
    let named = |errors: ParseErrors| ParseErrors {
        file: LOCK.to_owned(),
        excerpts: errors
            .excerpts
            .into_iter()
            .map(|excerpt| report::Excerpt { file: LOCK.to_owned(), ..excerpt })
            .collect(),
        hints: vec![format!("it is generated: delete {LOCK}, and the next plan writes it again")],
        ..errors
    };
    let (mut mistakes, root) = Mistakes::read("cookbooks.lock.toml", text, LOCK).map_err(named)?;
    let lock = read(&mut mistakes, &root);
    mistakes.into_result(lock).map_err(named)
}

fn read(mistakes: &mut Mistakes, root: &Value) -> Option<Lock> {
    let entries = mistakes.dict("a lock", root, &["version", "cookbook"])?;
    match entries.get("version") {
        Some(entry) if entry.value.as_integer() == Some(VERSION) => {}
        Some(entry) => {
            let label = format!("expected version {VERSION}: a newer Skep may have written it");
            mistakes.add(entry.value.origin.span.clone(), label);
            return None;
        }
        None => mistakes.add(0..0, "`version` is missing"),
    }
    let mut lock = Lock::default();
    let items = entries.get("cookbook").map(|entry| entry.value.items()).unwrap_or_default();
    for item in items {
        const KEYS: [&str; 6] = ["name", "version", "source", "commit", "sha256", "dependencies"];
        const WHAT: &str = "a locked cookbook";
        let keys = mistakes.dict(WHAT, item, &KEYS)?;
        let mut text =
            |key: &str| mistakes.required(WHAT, item, key).map(|(text, _)| text.to_owned());
        let (name, version) = (text("name"), text("version"));
        let (source, sha256) = (text("source"), text("sha256"));
        let commit = mistakes.text(keys, "commit").map(|(text, _)| text.to_owned());
        let commit_is_one = |commit: &String| commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        if commit.as_ref().is_some_and(|commit| commit.is_empty() || !commit_is_one(commit)) {
            mistakes.add(item.origin.span.clone(), "`commit` is no commit");
            return None;
        }
        let version: Option<Version> = version.and_then(|text| text.parse().ok());
        let dependencies = keys.get("dependencies").map(|entry| entry.value.items());
        let dependencies = dependencies.unwrap_or_default().iter().filter_map(Value::as_text);
        let dependencies = dependencies.map(str::to_owned).collect();
        let (Some(name), Some(version), Some(source), Some(sha256)) =
            (name, version, source, sha256)
        else {
            mistakes.add(item.origin.span.clone(), "not what Skep wrote");
            return None;
        };
        let locked = Locked { version, source, commit, sha256, dependencies };
        if lock.cookbooks.insert(name, locked).is_some() {
            mistakes.add(item.origin.span.clone(), "this cookbook is there twice");
        }
    }
    Some(lock)
}
