//! Takes out of an environment what says where and when it was built.
//!
//! uv leaves locks and cache tags in the environment, in each local package `uv_cache.json` (times in
//! nanoseconds) and `direct_url.json` (the stage's path), and their digests in the package's
//! `RECORD`. Without them the tree is a function of its inputs, so that the same inputs give the
//! same id. A `direct_url.json` that names a repository or an archive elsewhere stays.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use disk::DiskError;

use crate::tree::Tree;

/// What uv puts at the root of an environment for its own use.
const TOP_LEVEL: [&str; 3] = [".gitignore", ".lock", "CACHEDIR.TAG"];
/// Largest `RECORD` or `direct_url.json` that is read; a record has a line per installed file.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// What is left out of an environment and what is written differently.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Normalised {
    pub(crate) dropped: BTreeSet<String>,
    pub(crate) rewritten: BTreeMap<String, Vec<u8>>,
}

/// Reads the environment at `root`.
pub(crate) fn environment(root: &Path) -> Result<Normalised, DiskError> {
    let tree = Tree::open(root)?;
    let mut normalised =
        Normalised { dropped: TOP_LEVEL.map(str::to_owned).into(), rewritten: BTreeMap::new() };
    for directory in dist_info_directories(root) {
        let mut gone = BTreeSet::new();
        let file = |name: &str| format!("{directory}/{name}");
        if tree.stat(&file("uv_cache.json"))?.is_some() {
            gone.insert("uv_cache.json");
        }
        if let Some(text) = read(&tree, &file("direct_url.json"))?
            && names_local_directory(&text)
        {
            gone.insert("direct_url.json");
        }
        if gone.is_empty() {
            continue;
        }
        if let Some(record) = read(&tree, &file("RECORD"))? {
            normalised.rewritten.insert(file("RECORD"), without(&record, &gone));
        }
        normalised.dropped.extend(gone.into_iter().map(file));
    }
    Ok(normalised)
}

/// Returns `lib/pythonX.Y/site-packages/*.dist-info`.
fn dist_info_directories(root: &Path) -> Vec<String> {
    walkdir::WalkDir::new(root.join("lib"))
        .min_depth(3)
        .max_depth(3)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_dir())
        .filter_map(|entry| entry.path().strip_prefix(root).ok()?.to_str().map(str::to_owned))
        .filter(|path| path.ends_with(".dist-info") && path.contains("/site-packages/"))
        .collect()
}

fn read(tree: &Tree, path: &str) -> Result<Option<Vec<u8>>, DiskError> {
    if tree.stat(path)?.is_none() {
        return Ok(None);
    }
    let (file, _) = tree.open_file(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|source| DiskError::new("read", &tree.path().join(path), source))?;
    Ok(Some(bytes))
}

/// Reads `direct_url.json` (PEP 610).
fn names_local_directory(text: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(text)
        .ok()
        .and_then(|value| Some(value.get("url")?.as_str()?.starts_with("file:")))
        .unwrap_or(false)
}

/// Returns a `RECORD` (PEP 376: `path,hash,size` a line) without the lines of some files of its own
/// directory, in the order of paths: installers do not agree on one.
fn without(record: &[u8], gone: &BTreeSet<&str>) -> Vec<u8> {
    let text = String::from_utf8_lossy(record);
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| {
            let path = line.split(',').next().unwrap_or_default();
            let inside = path.rsplit_once('/').filter(|(above, _)| above.ends_with(".dist-info"));
            !inside.is_some_and(|(_, name)| gone.contains(name))
        })
        .collect();
    lines.sort_unstable();
    let mut text = lines.join("\n");
    text.push('\n');
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_names_the_stage_goes_and_the_rest_stays() {
        let root = tempfile::tempdir().unwrap();
        let packages = root.path().join("lib/python3.11/site-packages");
        let local = packages.join("shop-1.dist-info");
        let remote = packages.join("lib-1.dist-info");
        fs::create_dir_all(&local).unwrap();
        fs::create_dir_all(&remote).unwrap();
        fs::write(local.join("uv_cache.json"), "{}").unwrap();
        fs::write(local.join("direct_url.json"), r#"{"url":"file:///stage/source"}"#).unwrap();
        let record = "shop.py,sha256=x,1\nshop-1.dist-info/uv_cache.json,sha256=y,2\n\
            shop-1.dist-info/direct_url.json,sha256=z,3\nshop-1.dist-info/RECORD,,\n";
        fs::write(local.join("RECORD"), record).unwrap();
        fs::write(remote.join("direct_url.json"), r#"{"url":"https://a.example/lib.whl"}"#)
            .unwrap();

        let normalised = environment(root.path()).unwrap();
        let prefix = "lib/python3.11/site-packages/shop-1.dist-info";
        assert!(normalised.dropped.contains(&format!("{prefix}/uv_cache.json")));
        assert!(normalised.dropped.contains(&format!("{prefix}/direct_url.json")));
        assert_eq!(normalised.dropped.len(), 2 + TOP_LEVEL.len());
        assert_eq!(
            normalised.rewritten,
            BTreeMap::from([(
                format!("{prefix}/RECORD"),
                b"shop-1.dist-info/RECORD,,\nshop.py,sha256=x,1\n".to_vec()
            )])
        );
    }
}
