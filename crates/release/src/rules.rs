//! What comes into a source set and what stays out.

use std::path::Path;

use app::model::{App, Build};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::path;
use crate::source::SourceError;

/// Names of files and directories that are made by tools and never part of a release.
pub const DEFAULT_EXCLUDES: [&str; 18] = [
    ".git",
    ".hg",
    ".svn",
    ".venv",
    "venv",
    "node_modules",
    "__pycache__",
    "*.pyc",
    "*.egg-info",
    ".tox",
    ".nox",
    ".eggs",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".coverage",
    ".DS_Store",
    "*.swp",
];

/// What SQLite keeps beside a database while it is open; they go wherever it goes.
pub(crate) const DATABASE_COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// What is in and what is out.
pub(crate) struct Rules {
    defaults: GlobSet,
    include: GlobSet,
    exclude: GlobSet,
    data: Vec<String>,
}

impl Rules {
    pub(crate) fn new(app: &App) -> Result<Self, SourceError> {
        let Build { include, exclude, .. } = &app.build;
        let defaults = DEFAULT_EXCLUDES.map(|name| format!("**/{name}"));
        Ok(Self {
            defaults: globs("exclude", &defaults)?,
            include: globs("include", include)?,
            exclude: globs("exclude", exclude)?,
            data: app.data.iter().map(|data| data.path.clone()).collect(),
        })
    }

    /// Returns whether a tool made a file or directory of this name.
    pub(crate) fn is_made_by_tools(&self, path: &Path) -> bool {
        self.defaults.is_match(path)
    }

    pub(crate) fn includes(&self, path: &str) -> bool {
        matches(&self.include, path)
    }

    pub(crate) fn excludes(&self, path: &str) -> bool {
        matches(&self.exclude, path)
    }

    pub(crate) fn is_data(&self, path: &str) -> bool {
        self.data.iter().any(|data| {
            path::is_within(path, data)
                || path
                    .strip_prefix(data.as_str())
                    .is_some_and(|r| DATABASE_COMPANIONS.contains(&r))
        })
    }
}

/// Returns whether the path or a directory above it matches.
fn matches(set: &GlobSet, path: &str) -> bool {
    !set.is_empty() && Path::new(path).ancestors().any(|part| set.is_match(part))
}

fn globs(key: &'static str, patterns: &[String]) -> Result<GlobSet, SourceError> {
    let bad = |pattern: &str| {
        let pattern = pattern.to_owned();
        move |source| SourceError::Pattern { key, pattern, source }
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern.trim_start_matches("./").trim_end_matches('/'))
            .literal_separator(true)
            .build()
            .map_err(bad(pattern))?;
        set.add(glob);
    }
    set.build().map_err(bad(&patterns.join(", ")))
}
