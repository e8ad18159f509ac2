//! What the source directory looks like: the facts that defaults and detection go by.
//!
//! A [`Layout`] is plain data, read from a directory or built by hand. It knows names of the top
//! two levels and the text of a few well-known small files; it never runs code, follows no
//! symbolic link and reads a bounded number of bounded files.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use crate::load::read_regular;

/// Most entries of a directory that are looked at.
const MAX_DIRECTORY_ENTRIES: usize = 2048;
/// Most directories of the top level that are looked into.
const MAX_DIRECTORIES: usize = 64;
/// Most bytes read of one file: settings and requirements are far smaller.
const MAX_FACT_BYTES: u64 = 256 * 1024;
/// Most files read.
const MAX_FACT_FILES: usize = 128;

/// Files of the top level that say what a project requires.
const REQUIREMENT_FILES: &[&str] =
    &["requirements.txt", "pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "uv.lock"];

/// Directories that are no code of the project's.
const PASSED_OVER: &[&str] = &["node_modules", "__pycache__", "tests", "docs"];

/// Facts about a source directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    directory_name: String,
    files: BTreeSet<String>,
    directories: BTreeSet<String>,
    texts: BTreeMap<String, String>,
}

impl Layout {
    /// Returns the layout of an empty directory of that name.
    pub fn new(directory_name: impl Into<String>) -> Self {
        Self { directory_name: directory_name.into(), ..Self::default() }
    }

    /// Adds a file with its text.
    #[must_use]
    pub fn with_file(mut self, path: &str, text: &str) -> Self {
        if let Some((directory, _)) = path.split_once('/') {
            self.directories.insert(directory.to_owned());
        }
        self.files.insert(path.to_owned());
        self.texts.insert(path.to_owned(), text.to_owned());
        self
    }

    /// Adds a directory.
    #[must_use]
    pub fn with_directory(mut self, path: &str) -> Self {
        self.directories.insert(path.to_owned());
        self
    }

    /// Reads the layout of a directory. What cannot be read in it is as if it were not there.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let full = directory.canonicalize()?;
        let name = full.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut layout = Self::new(name.unwrap_or_default());
        let top = list(&full)?;
        for (name, kind) in &top {
            layout.note(&full, name, *kind);
        }
        let directories =
            top.iter().filter(|(name, kind)| *kind == Entry::Directory && is_code(name));
        for (directory, _) in directories.take(MAX_DIRECTORIES) {
            for (name, kind) in list(&full.join(directory)).unwrap_or_default() {
                layout.note(&full, &format!("{directory}/{name}"), kind);
            }
        }
        Ok(layout)
    }

    /// Returns the directory's own name.
    pub fn directory_name(&self) -> &str {
        &self.directory_name
    }

    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.files.contains(path)
    }

    pub(crate) fn has_directory(&self, path: &str) -> bool {
        self.directories.contains(path)
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Returns directories that are Python environments.
    pub(crate) fn environments(&self) -> impl Iterator<Item = &str> {
        let marked = self.files.iter().filter_map(|file| file.strip_suffix("/pyvenv.cfg"));
        let usual = [".venv", "venv"].into_iter();
        marked.chain(usual)
    }

    /// Returns Python files and their texts.
    pub(crate) fn python(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts
            .iter()
            .filter(|(path, _)| path.rsplit_once('.').is_some_and(|(_, end)| end == "py"))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Returns whether the project requires a distribution, by its normalised name.
    pub(crate) fn requires(&self, distribution: &str) -> bool {
        let files = self.texts.iter().filter(|(path, _)| is_requirements(path));
        files.flat_map(|(_, text)| text.lines()).any(|line| {
            let line = line.split('#').next().unwrap_or_default().to_ascii_lowercase();
            line.replace('_', "-")
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.')
                .any(|word| word == distribution)
        })
    }

    /// Returns the file that a missing requirement belongs into.
    pub(crate) fn requirements_file(&self) -> &'static str {
        let known = REQUIREMENT_FILES.iter().find(|file| self.has_file(file));
        known.copied().unwrap_or("requirements.txt")
    }

    fn note(&mut self, root: &Path, path: &str, kind: Entry) {
        match kind {
            Entry::Directory => {
                self.directories.insert(path.to_owned());
            }
            Entry::File => {
                if self.texts.len() < MAX_FACT_FILES && is_telling(path) {
                    let text = read_regular(&root.join(path), MAX_FACT_BYTES);
                    if let Some(text) = text.ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
                        self.texts.insert(path.to_owned(), text);
                    }
                }
                self.files.insert(path.to_owned());
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    File,
    Directory,
}

/// Returns the entries of a directory in the order of their names, without symbolic links.
fn list(directory: &Path) -> io::Result<Vec<(String, Entry)>> {
    let mut entries = Vec::new();
    for entry in directory.read_dir()?.take(MAX_DIRECTORY_ENTRIES) {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            entries.push((name, Entry::Directory));
        } else if kind.is_file() {
            entries.push((name, Entry::File));
        }
    }
    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(entries)
}

fn is_code(directory: &str) -> bool {
    !directory.starts_with('.') && !PASSED_OVER.contains(&directory)
        // An environment is looked into for its `pyvenv.cfg`, and has few entries.
        || directory == ".venv"
}

fn is_requirements(path: &str) -> bool {
    REQUIREMENT_FILES.contains(&path)
        || (path.starts_with("requirements/") || path.starts_with("requirements-"))
            && path.rsplit_once('.').is_some_and(|(_, end)| end == "txt")
}

/// Returns whether the text of a file is worth knowing.
fn is_telling(path: &str) -> bool {
    is_requirements(path)
        || path == "Procfile"
        || path.rsplit_once('.').is_some_and(|(stem, end)| {
            let name = stem.rsplit('/').next().unwrap_or(stem);
            let depth = path.matches('/').count();
            end == "py"
                && (depth == 0 || ["__init__", "settings", "config", "base", "app"].contains(&name))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_found_in_each_kind_of_file() {
        for (file, text, expected) in [
            ("requirements.txt", "Flask==3.0\ngunicorn>=20 # server", true),
            ("requirements.txt", "flask\n# gunicorn", false),
            ("requirements.txt", "gunicorn-color", false),
            ("requirements/prod.txt", "gunicorn[gevent]", true),
            ("pyproject.toml", "dependencies = [\"flask\", \"Gunicorn>=20\"]", true),
            ("uv.lock", "[[package]]\nname = \"gunicorn\"", true),
            ("Pipfile", "gunicorn = \"*\"", true),
            ("notes.txt", "gunicorn", false),
        ] {
            let layout = Layout::new("x").with_file(file, text);
            assert_eq!(layout.requires("gunicorn"), expected, "{file}: {text}");
        }
    }

    #[test]
    fn a_directory_is_read_without_following_links() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("My Shop");
        std::fs::create_dir_all(root.join("shop")).unwrap();
        std::fs::create_dir_all(root.join(".git/x")).unwrap();
        std::fs::write(root.join("manage.py"), "x").unwrap();
        std::fs::write(root.join("shop/wsgi.py"), "y").unwrap();
        std::fs::write(root.join("shop/settings.py"), "z").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("app.py")).unwrap();
        let layout = Layout::read(&root).unwrap();
        assert_eq!(layout.directory_name(), "My Shop");
        let files: Vec<&str> = layout.files().collect();
        assert_eq!(files, ["manage.py", "shop/settings.py", "shop/wsgi.py"]);
        assert_eq!(layout.text("shop/settings.py"), Some("z"));
        assert_eq!(layout.text("shop/wsgi.py"), None);
        assert!(layout.has_directory("shop"));
    }
}
