//! What the documents say of the code, compared with the code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Returns the root of the repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// Returns what stands in backquotes.
fn quoted(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Returns the cells of a table's row, `| a | b |`.
fn cells(line: &str) -> Option<Vec<&str>> {
    let row = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(row.split('|').map(str::trim).collect())
}

/// Returns the names in a manifest's section of this title.
fn dependencies(manifest: &str, section: &str) -> BTreeSet<String> {
    let mut lines = manifest.lines().skip_while(|line| *line != section);
    lines.next();
    lines
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_code_map_is_what_the_manifests_say() {
    let crates: BTreeSet<String> = std::fs::read_dir(repository().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let architecture = read("ARCHITECTURE.md");
    let map = architecture.split("## Code map").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<(String, BTreeSet<String>)> = map
        .lines()
        .filter_map(cells)
        .filter(|cells| cells.len() == 3 && cells[0].starts_with('`'))
        .map(|cells| (cells[0].trim_matches('`').to_owned(), quoted(cells[1])))
        .collect();
    let named: BTreeSet<String> = rows.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(named, crates, "ARCHITECTURE.md and crates/ differ");
    let mut above = BTreeSet::new();
    for (name, uses) in rows {
        let manifest = read(format!("crates/{name}/Cargo.toml"));
        let real = dependencies(&manifest, "[dependencies]");
        let real: BTreeSet<String> = real.intersection(&crates).cloned().collect();
        assert_eq!(uses, real, "what {name} uses");
        assert!(uses.is_subset(&above), "{name} uses what stands below it");
        above.insert(name);
    }
}

#[test]
fn every_crate_says_what_it_is() {
    for entry in std::fs::read_dir(repository().join("crates")).unwrap() {
        let path = entry.unwrap().path().join("README.md");
        assert!(path.is_file(), "{} is missing", path.display());
    }
}

#[test]
fn every_reason_code_is_explained() {
    let text = read("docs/guide/troubleshooting.md");
    let rows: BTreeMap<String, String> = text
        .lines()
        .filter_map(cells)
        .filter(|cells| cells.len() == 3)
        .map(|cells| (cells[0].trim_matches('`').to_owned(), cells[1].to_owned()))
        .collect();
    for reason in proxy::Reason::ALL {
        let status = rows.get(reason.code());
        assert_eq!(status, Some(&reason.status().to_string()), "{}", reason.code());
    }
}

#[test]
fn exit_codes_are_the_same_everywhere() {
    let table = |path: &str| -> Vec<String> {
        let text = read(path);
        let section = text.split("## Exit codes").nth(1).unwrap().to_owned();
        section.lines().filter(|line| line.starts_with("| ")).map(str::to_owned).collect()
    };
    let codes = table("docs/cli/README.md");
    assert!(!codes.is_empty());
    assert_eq!(table("docs/guide/troubleshooting.md"), codes);
}

#[test]
fn links_lead_somewhere() {
    let mut documents = vec![];
    let mut directories = vec![repository().join("docs"), repository().join("examples")];
    directories.push(repository().join("crates"));
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => directories.push(path),
                Some(extension) if extension == "md" => documents.push(path),
                _ => {}
            }
        }
    }
    let root = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
    documents.extend(root.map(|name| repository().join(name)));
    let mut broken = vec![];
    for document in documents {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            if link.contains("://") {
                continue;
            }
            let target = match path {
                "" => document.clone(),
                path => document.parent().unwrap().join(path),
            };
            if !target.exists() || !fragment.is_empty() && !headings(&target).contains(fragment) {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

/// Returns a document's headings as they are linked to.
fn headings(document: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(document).unwrap();
    let titles = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |title: &str| -> String {
        let kept = title.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    titles.map(anchor).collect()
}
